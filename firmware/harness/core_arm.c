/* From reset to hm_start on any Cortex-M; a fault ends the program. */
#include "core.h"

extern uint32_t hm_stack_top[];

_Noreturn void hm_reset(void);

void hm_reset(void)
{
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
    *(uint32_t volatile *)0xE000ED88U |= 0xFU << 20; /* CPACR: floating point and Helium (Armv8-M ARM, D1.2) */
    __asm__ volatile("dsb\n isb" : : : "memory");
#endif
    hm_start();
}

static _Noreturn void fault(void)
{
    __asm__ volatile("msr msp, %0" : : "r"(hm_stack_top) : "memory");
    hm_fault();
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
