/* Clocks of U5: 16 MHz of the internal oscillator, 160 MHz by PLL1. RM0456 11, 10.5.4 (range 1 and its booster), 7.3.3
 * (four wait states). */
#include "stm32.h"

enum { MHZ = 1000000, WAIT_STATES = 4 };

static bool pll_runs(void)
{
    HM_REG(HM_RCC_CR) |= 1U << 8 | 1U << 12; /* HSI16; HSI48, which the RNG takes */
    if (!stm32_wait(HM_RCC_CR, 1U << 10, 1U << 10)) {
        return false;
    }
    stm32_enable(HM_RCC_AHB3, 1U << 2); /* the power controller */
    hm_set_bits(HM_PWR_VOSR, 3U << 16, 3U << 16);
    if (!stm32_wait(HM_PWR_VOSR, 1U << 15, 1U << 15)) {
        return false;
    }
    HM_REG(HM_RCC_PLL1CFGR) = 2U | 3U << 2 | 1U << 18; /* HSI16 / 1, 8 to 16 MHz in, output R; booster undivided */
    HM_REG(HM_RCC_PLL1DIVR) = (10U - 1U) | (2U - 1U) << 9 | (2U - 1U) << 16 | (1U - 1U) << 24; /* · 10, R / 1 */
    HM_REG(HM_PWR_VOSR) |= 1U << 18;
    if (!stm32_wait(HM_PWR_VOSR, 1U << 14, 1U << 14)) {
        return false;
    }
    HM_REG(HM_RCC_CR) |= 1U << 24;
    if (!stm32_wait(HM_RCC_CR, 1U << 25, 1U << 25)) {
        return false;
    }
    HM_REG(HM_FLASH_ACR) = (uint32_t)WAIT_STATES | 1U << 8;
    if (!stm32_wait(HM_FLASH_ACR, 15U, WAIT_STATES)) {
        return false;
    }
    hm_set_bits(HM_RCC_CFGR1, 3U, 3U);
    return stm32_wait(HM_RCC_CFGR1, 3U << 2, 3U << 2);
}

stm32_clocks stm32_clocks_begin(void)
{
    const bool runs = pll_runs();
    if (stm32_wait(HM_ICACHE_SR, 1U, 0)) { /* it is invalidated by the reset */
        HM_REG(HM_ICACHE_CR) |= 1U;
    }
    if (!runs) {
        hm_set_bits(HM_RCC_CFGR1, 3U, 0);
        return (stm32_clocks){4 * MHZ, 4 * MHZ};
    }
    return (stm32_clocks){160 * MHZ, 160 * MHZ};
}
