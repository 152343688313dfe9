/* Clocks of L4: 16 MHz of the internal oscillator, 80 MHz by the PLL, 40 MHz for the RNG. RM0351 6, and 3.3.3 for the wait
 * states of range 1, in which the chip comes up. */
#include "stm32.h"

enum { MHZ = 1000000, WAIT_STATES = 4 };

static bool pll_runs(void)
{
    HM_REG(HM_RCC_CR) |= 1U << 8;
    if (!stm32_wait(HM_RCC_CR, 1U << 10, 1U << 10)) {
        return false;
    }
    HM_REG(HM_RCC_PLLCFGR) = 2U | 10U << 8 | 1U << 20 | 1U << 21 | 1U << 24; /* HSI16 · 10; / 4 for Q, / 2 for R */
    HM_REG(HM_RCC_CR) |= 1U << 24;
    if (!stm32_wait(HM_RCC_CR, 1U << 25, 1U << 25)) {
        return false;
    }
    hm_set_bits(HM_RCC_CCIPR, 3U << 26, 2U << 26); /* the RNG takes Q */
    HM_REG(HM_FLASH_ACR) = (uint32_t)WAIT_STATES | 7U << 8;
    if (!stm32_wait(HM_FLASH_ACR, 7U, WAIT_STATES)) {
        return false;
    }
    hm_set_bits(HM_RCC_CFGR, 3U, 3U);
    return stm32_wait(HM_RCC_CFGR, 3U << 2, 3U << 2);
}

stm32_clocks stm32_clocks_begin(void)
{
    if (!pll_runs()) {
        hm_set_bits(HM_RCC_CFGR, 3U, 0);
        return (stm32_clocks){4 * MHZ, 4 * MHZ};
    }
    return (stm32_clocks){80 * MHZ, 80 * MHZ};
}
