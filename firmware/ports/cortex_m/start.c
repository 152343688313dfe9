/* From reset to hm_main on any Cortex-M, the vector table, and how much of the stack was ever used. */
#include "core.h"

#include "../../device/hm_port.h"

extern uint32_t hm_stack_limit[]; /* the lowest word of the stack, all from the linker script */
extern uint32_t hm_stack_top[];
extern const uint32_t hm_data_load[];
extern uint32_t hm_data_start[];
extern uint32_t hm_data_end[];
extern uint32_t hm_bss_start[];
extern uint32_t hm_bss_end[];

_Noreturn void hm_reset(void);
void hm_tick(void);

static const uint32_t painted = 0xA5A5A5A5U;

__attribute__((always_inline)) static inline uint32_t *stack_pointer(void)
{
    uint32_t *sp;
    __asm__ volatile("mov %0, sp" : "=r"(sp));
    return sp;
}

_Noreturn void hm_reset(void)
{
    for (uint32_t volatile *word = hm_stack_limit; word < stack_pointer(); word++) {
        *word = painted;
    }
    const uint32_t *from = hm_data_load;
    for (uint32_t volatile *to = hm_data_start; to < hm_data_end; to++) {
        *to = *from++;
    }
    for (uint32_t volatile *to = hm_bss_start; to < hm_bss_end; to++) {
        *to = 0;
    }
    hm_board_begin();
    hm_main();
    hm_stop();
}

uint32_t hm_port_stack_used(void)
{
    const uint32_t volatile *word = hm_stack_limit;
    while (word < hm_stack_top && *word == painted) {
        word++;
    }
    return (uint32_t)((const uint8_t *)hm_stack_top - (const uint8_t volatile *)word);
}

/* On a fresh stack: an overflow of the old one may be the cause. */
static _Noreturn void fault(void)
{
    __asm__ volatile("msr msp, %0" : : "r"(hm_stack_top) : "memory");
    hm_stop();
}

#ifdef HM_NMI
static void non_maskable(void)
{
    if (!hm_nmi()) {
        fault();
    }
}
#else
#define non_maskable fault
#endif

#ifdef HM_TORN_ORIGIN
/* Flash with check bits may answer the read of a word that a power cut tore with a fault of the bus, and whoever mounts it
 * has to read it. Such a load is passed over: its register holds what it held, and the check sums of what was read say the
 * rest. frame: what the core stacked; its words 6 and 7 are where to go on, and the state there with that of an IT block. */
__attribute__((used)) void hm_pass_over(uint32_t *frame);

void hm_pass_over(uint32_t *frame)
{
    const uint32_t why = HM_CFSR;
    const uint32_t precise = 1U << 9 | 1U << 15;
    if ((why & precise) != precise || HM_BFAR - HM_TORN_ORIGIN >= HM_TORN_BYTES) {
        fault();
    }
    const uint16_t instruction = *(const uint16_t *)(uintptr_t)frame[6];
    frame[6] += instruction >> 11 >= 0x1DU ? 4U : 2U;
    uint32_t block = (frame[7] >> 25 & 3U) | (frame[7] >> 10 & 0x3FU) << 2;
    block = (block & 7U) == 0 ? 0 : (block & 0xE0U) | (block << 1 & 0x1FU);
    frame[7] = (frame[7] & ~(3U << 25 | 0x3FU << 10)) | (block & 3U) << 25 | block >> 2 << 10;
    HM_CFSR = why;
    HM_HFSR = 1U << 30;
}

__attribute__((naked)) static void hard_fault(void)
{
    __asm__ volatile("mov r0, sp\n b hm_pass_over");
}
#else
#define hard_fault fault
#endif

typedef union vector {
    uint32_t *stack;
    void (*handler)(void);
} vector;

#ifdef HM_IRQ
enum { VECTORS = 16 + HM_IRQ + 1 };
#else
enum { VECTORS = 16 };
#endif

/* Initial stack pointer, reset, the faults of the architecture (NMI, Hard, Memory, Bus, Usage, Secure), SysTick, and the
 * one interrupt that a board enables. */
__attribute__((section(".vectors"), used)) static const vector vectors[VECTORS] = {
    [0] = {.stack = hm_stack_top},   [1] = {.handler = hm_reset},
    [2] = {.handler = non_maskable}, [3] = {.handler = hard_fault},
    [4] = {.handler = fault},        [5] = {.handler = fault},
    [6] = {.handler = fault},        [7] = {.handler = fault},
    [15] = {.handler = hm_tick},
#ifdef HM_IRQ
    [16 + HM_IRQ] = {.handler = hm_irq},
#endif
};
