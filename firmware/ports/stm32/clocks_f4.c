/* Clocks of F4 and F7: 16 MHz of the internal oscillator, 168 MHz by the PLL (F411: 96 MHz).
 *
 * RM0090 7, RM0383 6, RM0390 6, RM0385 5: VCO = 16 MHz / M · N, core = VCO / P, VCO / Q = 48 MHz for the RNG. Wait states
 * are those of 2.7 V to 3.6 V. */
#include "stm32.h"

#if defined(HM_STM32F411)
enum { N = 384, P = 4, Q = 8, WAIT_STATES = 3, CORE_MHZ = 96, APB1 = 4 /* by 2 */, APB1_MHZ = 48, APB2 = 0, APB2_MHZ = 96 };
#else
enum { N = 336, P = 2, Q = 7, WAIT_STATES = 5, CORE_MHZ = 168, APB1 = 5 /* by 4 */, APB1_MHZ = 42, APB2 = 4, APB2_MHZ = 84 };
#endif
enum { M = 16, MHZ = 1000000, HSI_HZ = 16 * MHZ };

static bool pll_runs(void)
{
    stm32_enable(HM_RCC_APB1, 1U << 28);    /* the power controller */
    HM_REG(HM_PWR_CR) |= 3U << 14;          /* regulator scale 1; F405 has the lower bit alone */
    HM_REG(HM_RCC_PLLCFGR) = M | (uint32_t)N << 6 | (P / 2U - 1U) << 16 | (uint32_t)Q << 24; /* from the HSI */
    HM_REG(HM_RCC_CR) |= 1U << 24;
    if (!stm32_wait(HM_RCC_CR, 1U << 25, 1U << 25)) {
        return false;
    }
    HM_REG(HM_FLASH_ACR) = (uint32_t)WAIT_STATES | 7U << 8; /* prefetch, both caches (F7: prefetch, ART) */
    if (!stm32_wait(HM_FLASH_ACR, 15U, WAIT_STATES)) {
        return false;
    }
    HM_REG(HM_RCC_CFGR) = (uint32_t)APB1 << 10 | (uint32_t)APB2 << 13;
    HM_REG(HM_RCC_CFGR) |= 2U;
    return stm32_wait(HM_RCC_CFGR, 3U << 2, 2U << 2);
}

stm32_clocks stm32_clocks_begin(void)
{
#if defined(HM_STM32_F7)
    stm32_instruction_cache_begin();
#endif
    if (!pll_runs()) {
        HM_REG(HM_RCC_CFGR) = 0;
        return (stm32_clocks){HSI_HZ, HSI_HZ};
    }
    return (stm32_clocks){CORE_MHZ * MHZ, (HM_USART == 1 ? APB2_MHZ : APB1_MHZ) * MHZ};
}
