/* What ports of a Cortex-M share: registers of the core, its start, its clock, its stack.
 *
 * Addresses and bits are those of the Armv7-M and Armv8-M Architecture Reference Manuals, "System Control Space" and
 * "Data Watchpoint and Trace". */
#ifndef HM_CORE_H
#define HM_CORE_H

#include <stdbool.h>
#include <stdint.h>

#define HM_REG(address) (*(uint32_t volatile *)(uintptr_t)(address))

#define HM_SYST_CSR HM_REG(0xE000E010U)
#define HM_SYST_RVR HM_REG(0xE000E014U)
#define HM_SYST_CVR HM_REG(0xE000E018U)
#define HM_NVIC_ISER(n) HM_REG(0xE000E100U + 4U * (n))
#define HM_ICSR HM_REG(0xE000ED04U)
#define HM_CFSR HM_REG(0xE000ED28U)
#define HM_HFSR HM_REG(0xE000ED2CU)
#define HM_BFAR HM_REG(0xE000ED38U)
#define HM_AIRCR HM_REG(0xE000ED0CU)
#define HM_CCR HM_REG(0xE000ED14U)
#define HM_ICIALLU HM_REG(0xE000EF50U)
#define HM_DEMCR HM_REG(0xE000EDFCU)
#define HM_DWT_CTRL HM_REG(0xE0001000U)
#define HM_DWT_CYCCNT HM_REG(0xE0001004U)
#define HM_DWT_LAR HM_REG(0xE0001FB0U) /* of a Cortex-M7, which keeps its counter locked */

/* A board's part: clocks and pins, before hm_main. */
void hm_board_begin(void);

/* A board's interrupt of number HM_IRQ, where that is defined. */
void hm_irq(void);

/* A board's non-maskable interrupt, where HM_NMI is defined: true where it was one that may be passed over. */
bool hm_nmi(void);

/* What a fault does: it ends what runs. Nothing may stay open. */
_Noreturn void hm_stop(void);

/* Starts the clock of milliseconds and the counter of cycles; hz: the core's. */
void hm_clock_begin(uint32_t hz);

static inline void hm_barrier(void)
{
    __asm__ volatile("dsb\n isb" : : : "memory");
}

static inline void hm_wait_for_interrupt(void)
{
    __asm__ volatile("dsb\n wfi" : : : "memory");
}

/* Sets the bits of `mask` to `value`. */
static inline void hm_set_bits(uint32_t address, uint32_t mask, uint32_t value)
{
    HM_REG(address) = (HM_REG(address) & ~mask) | value;
}

#endif
