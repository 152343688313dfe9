/* Flash of F4 and F7: sectors of three sizes, words of 32 bits. RM0090 3.6, RM0383 3.5, RM0390 3.4, RM0385 3.3.
 *
 * There is one bank, so the core stands still while a sector is erased: up to some seconds for a large one. */
#include "stm32.h"

#include "../cortex_m/nvm.h"

#include "../../core/hm_blob.h" /* hm_word */

#define KEYR (HM_FLASH + 0x04U)
#define SR (HM_FLASH + 0x0CU)
#define CR (HM_FLASH + 0x10U)

enum { FLASH_ORIGIN = 0x08000000, ERRORS = 0xF2, BUSY = 1 << 16, ALIGNED_32 = 2 << 8, PROGRAM = 1, ERASE = 2 };

static uint32_t sector_at(uint32_t address)
{
    const uint32_t offset = address - FLASH_ORIGIN;
    if (offset < 4 * HM_SECTOR_BYTES) {
        return offset / HM_SECTOR_BYTES;
    }
    return 4 + offset / (8 * HM_SECTOR_BYTES);
}

static bool unlock(void)
{
    if ((HM_REG(CR) & 1U << 31) != 0) {
        HM_REG(KEYR) = 0x45670123U;
        HM_REG(KEYR) = 0xCDEF89ABU;
    }
    HM_REG(SR) = ERRORS;
    return stm32_wait(SR, BUSY, 0);
}

/* Locks, and forgets what the caches of F4 held of it. */
static bool finish(bool done)
{
    HM_REG(CR) = 1U << 31;
#ifndef HM_STM32_F7
    const uint32_t acr = HM_REG(HM_FLASH_ACR);
    HM_REG(HM_FLASH_ACR) = acr & ~(3U << 9);
    HM_REG(HM_FLASH_ACR) = (acr & ~(3U << 9)) | 3U << 11;
    HM_REG(HM_FLASH_ACR) = acr;
#endif
    hm_barrier();
    return done && (HM_REG(SR) & ERRORS) == 0;
}

void hm_nvm_begin(void)
{
}

bool hm_nvm_erase(uint32_t address)
{
    bool done = unlock();
    if (done) {
        HM_REG(CR) = ALIGNED_32 | ERASE | sector_at(address) << 3;
        HM_REG(CR) |= 1U << 16;
        hm_barrier();
        done = stm32_wait(SR, BUSY, 0);
    }
    return finish(done);
}

bool hm_nvm_program(uint32_t address, const uint8_t *bytes, uint32_t n)
{
    bool done = unlock();
    for (uint32_t i = 0; done && i < n; i += 4) {
        HM_REG(CR) = ALIGNED_32 | PROGRAM;
        HM_REG(address + i) = hm_word(bytes + i);
        hm_barrier();
        done = stm32_wait(SR, BUSY, 0) && (HM_REG(SR) & ERRORS) == 0;
    }
    return finish(done);
}
