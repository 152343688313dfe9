/* Flash of F4 and F7: sectors of three sizes, words of 32 bits. RM0090 3.6, RM0383 3.5, RM0390 3.4, RM0385 3.3.
 *
 * There is one bank, so the core stands still while a sector is erased: up to some seconds for a large one. */
#include "flash.h"

#include "../cortex_m/nvm.h"

#include "../../core/hm_blob.h" /* hm_word */

enum { ERRORS = 0xF2, BUSY = 1 << 16, ALIGNED_32 = 2 << 8, PROGRAM = 1, ERASE = 2 };

static uint32_t sector_at(uint32_t address)
{
    const uint32_t offset = address - STM32_FLASH_ORIGIN;
    if (offset < 4 * HM_SECTOR_BYTES) {
        return offset / HM_SECTOR_BYTES;
    }
    return 4 + offset / (8 * HM_SECTOR_BYTES);
}

/* Locks, and forgets what the caches of F4 held of it. */
static bool finish(bool done)
{
    HM_REG(HM_FLASH_CR) = 1U << 31;
#ifndef HM_STM32_F7
    stm32_flash_forget();
#endif
    hm_barrier();
    return done && (HM_REG(HM_FLASH_SR) & ERRORS) == 0;
}

void hm_nvm_begin(void)
{
}

bool hm_nvm_erase(uint32_t address)
{
    bool done = stm32_flash_unlock(ERRORS, BUSY);
    if (done) {
        HM_REG(HM_FLASH_CR) = ALIGNED_32 | ERASE | sector_at(address) << 3;
        HM_REG(HM_FLASH_CR) |= 1U << 16;
        hm_barrier();
        done = stm32_wait(HM_FLASH_SR, BUSY, 0);
    }
    return finish(done);
}

bool hm_nvm_program(uint32_t address, const uint8_t *bytes, uint32_t n)
{
    bool done = stm32_flash_unlock(ERRORS, BUSY);
    for (uint32_t i = 0; done && i < n; i += 4) {
        HM_REG(HM_FLASH_CR) = ALIGNED_32 | PROGRAM;
        HM_REG(address + i) = hm_word(bytes + i);
        hm_barrier();
        done = stm32_wait(HM_FLASH_SR, BUSY, 0) && (HM_REG(HM_FLASH_SR) & ERRORS) == 0;
    }
    return finish(done);
}
