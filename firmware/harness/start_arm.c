/* From reset to main on any Cortex-M: stack, .data, .bss; a fault ends the program. */
#include "port.h"

extern const uint32_t hm_data_load[];
extern uint32_t hm_data_start[];
extern uint32_t hm_data_end[];
extern uint32_t hm_bss_start[];
extern uint32_t hm_bss_end[];
extern uint32_t hm_stack_top[];

int main(void);
_Noreturn void hm_reset(void);

void hm_reset(void)
{
    const uint32_t *from = hm_data_load;
    for (uint32_t volatile *to = hm_data_start; to < hm_data_end; to++) {
        *to = *from++;
    }
    for (uint32_t volatile *to = hm_bss_start; to < hm_bss_end; to++) {
        *to = 0;
    }
    port_exit(main());
}

/* On a fresh stack: an overflow of the old one may be the fault. */
static _Noreturn void fault(void)
{
    __asm__ volatile("msr msp, %0" : : "r"(hm_stack_top) : "memory");
    port_exit(PORT_FAULT);
}

typedef union vector {
    uint32_t *stack;
    void (*handler)(void);
} vector;

/* Initial stack pointer, reset, and the faults of the architecture (NMI, Hard, Memory, Bus, Usage, Secure). */
__attribute__((section(".vectors"), used)) static const vector vectors[16] = {
    {.stack = hm_stack_top}, {.handler = hm_reset}, {.handler = fault}, {.handler = fault},
    {.handler = fault},      {.handler = fault},    {.handler = fault}, {.handler = fault},
};
