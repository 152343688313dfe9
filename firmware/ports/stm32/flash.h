/* What the flash drivers of F4, F7, L4 and U5 share: one set of registers at other places, the same two keys. */
#ifndef HM_STM32_FLASH_H
#define HM_STM32_FLASH_H

#include "stm32.h"

enum { STM32_FLASH_ORIGIN = 0x08000000 };

/* Unlocks the control register, forgets old errors and waits for what is going on. */
static inline bool stm32_flash_unlock(uint32_t errors, uint32_t busy)
{
    if ((HM_REG(HM_FLASH_CR) & 1U << 31) != 0) {
        HM_REG(HM_FLASH_KEYR) = 0x45670123U;
        HM_REG(HM_FLASH_KEYR) = 0xCDEF89ABU;
    }
    HM_REG(HM_FLASH_SR) = errors;
    return stm32_wait(HM_FLASH_SR, busy, 0);
}

/* Lets the caches of F4 and L4 forget what they held: off, reset, and as they were. */
static inline void stm32_flash_forget(void)
{
    const uint32_t caches = 3U << 9;
    const uint32_t resets = 3U << 11;
    const uint32_t acr = HM_REG(HM_FLASH_ACR) & ~resets;
    HM_REG(HM_FLASH_ACR) = acr & ~caches;
    HM_REG(HM_FLASH_ACR) = (acr & ~caches) | resets;
    HM_REG(HM_FLASH_ACR) = acr;
}

#endif
