/* From reset to main on any Cortex-M, the vector table, and how much of the stack was ever used. */
#include "core.h"

#include "../../device/hm_port.h"

extern uint32_t hm_stack_limit[]; /* the lowest word of the stack, all from the linker script */
extern uint32_t hm_stack_top[];
extern const uint32_t hm_data_load[];
extern uint32_t hm_data_start[];
extern uint32_t hm_data_end[];
extern uint32_t hm_bss_start[];
extern uint32_t hm_bss_end[];

int main(void);
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
    (void)main();
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
    [0] = {.stack = hm_stack_top}, [1] = {.handler = hm_reset}, [2] = {.handler = fault}, [3] = {.handler = fault},
    [4] = {.handler = fault},      [5] = {.handler = fault},    [6] = {.handler = fault}, [7] = {.handler = fault},
    [15] = {.handler = hm_tick},
#ifdef HM_IRQ
    [16 + HM_IRQ] = {.handler = hm_irq},
#endif
};
