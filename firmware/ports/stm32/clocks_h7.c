/* Clocks of H7: 64 MHz of the internal oscillator, 400 MHz by PLL1, 200 MHz for the buses, 100 MHz for the USART.
 *
 * RM0433 6.6 (voltage scaling needs the supply to be named first), 8.5 (PLL), 4.3 (two wait states at 200 MHz in VOS1). */
#include "stm32.h"

enum { MHZ = 1000000 };

static bool pll_runs(void)
{
    HM_REG(HM_PWR_CR3) = (HM_REG(HM_PWR_CR3) & ~7U) | 1U << 1; /* LDO, as the board has it; written once */
    if (!stm32_wait(HM_PWR_CSR1, 1U << 13, 1U << 13)) {
        return false;
    }
    hm_set_bits(HM_PWR_D3CR, 3U << 14, 3U << 14); /* VOS1 */
    if (!stm32_wait(HM_PWR_D3CR, 1U << 13, 1U << 13)) {
        return false;
    }
    HM_REG(HM_RCC_PLLCKSELR) = 4U << 4;                    /* 64 MHz / 4 */
    HM_REG(HM_RCC_PLLCFGR) = 3U << 2 | 1U << 16;           /* 8 to 16 MHz in, wide VCO, output P */
    HM_REG(HM_RCC_PLL1DIVR) = (50U - 1U) | (2U - 1U) << 9 | (8U - 1U) << 16 | (2U - 1U) << 24; /* · 50, / 2 */
    HM_REG(HM_RCC_CR) |= 1U << 24;
    if (!stm32_wait(HM_RCC_CR, 1U << 25, 1U << 25)) {
        return false;
    }
    HM_REG(HM_FLASH_ACR) = 2U | 2U << 4;
    if (!stm32_wait(HM_FLASH_ACR, 15U, 2U)) {
        return false;
    }
    HM_REG(HM_RCC_D1CFGR) = 8U | 4U << 4; /* AXI by 2, APB3 by 2 */
    HM_REG(HM_RCC_D2CFGR) = 4U << 4 | 4U << 8;
    HM_REG(HM_RCC_D3CFGR) = 4U << 4;
    hm_set_bits(HM_RCC_CFGR, 7U, 3U);
    return stm32_wait(HM_RCC_CFGR, 7U << 3, 3U << 3);
}

stm32_clocks stm32_clocks_begin(void)
{
    stm32_instruction_cache_begin();
    HM_REG(HM_RCC_CR) |= 1U << 12; /* HSI48, which the RNG takes */
    if (!pll_runs()) {
        hm_set_bits(HM_RCC_CFGR, 7U, 0);
        HM_REG(HM_RCC_D1CFGR) = 0;
        HM_REG(HM_RCC_D2CFGR) = 0;
        return (stm32_clocks){64 * MHZ, 64 * MHZ};
    }
    return (stm32_clocks){400 * MHZ, 100 * MHZ};
}
