/* Flash of L4 and U5: two banks of pages, words of 64 and 128 bits with check bits of their own. RM0351 3.3 and 3.7,
 * RM0456 7.3 and 7.9. */
#include "flash.h"

#include "../cortex_m/nvm.h"

#include "../../core/hm_blob.h" /* hm_word */

enum {
    ERRORS = 0x23FA, /* of operation, programming, protection, alignment, size, sequence; the last two of L4 alone */
#if defined(HM_STM32_U5)
    BUSY = 3 << 16, /* and words that wait */
#else
    BUSY = 1 << 16,
#endif
    PROGRAM = 1 << 0,
    ERASE = 1 << 1
};

/* Locks, and forgets what the caches held of it. */
static bool finish(bool done)
{
    HM_REG(HM_FLASH_CR) = 1U << 31;
#if defined(HM_STM32_U5)
    HM_REG(HM_ICACHE_CR) |= 1U << 1;
    done = stm32_wait(HM_ICACHE_SR, 1U, 0) && done;
#else
    stm32_flash_forget();
#endif
    hm_barrier();
    return done && (HM_REG(HM_FLASH_SR) & ERRORS) == 0;
}

/* Two wrong bits in a word are a non-maskable interrupt, and the read goes on with what is there: such words are what a
 * power cut leaves, and whoever reads them looks at check sums. */
bool hm_nmi(void)
{
    if ((HM_REG(HM_FLASH_ECCR) & 1U << 31) == 0) {
        return false;
    }
    HM_REG(HM_FLASH_ECCR) |= 1U << 31;
    return true;
}

void hm_nvm_begin(void)
{
}

bool hm_nvm_erase(uint32_t address)
{
    const uint32_t offset = address - STM32_FLASH_ORIGIN;
    bool done = stm32_flash_unlock(ERRORS, BUSY);
    if (done) {
        const uint32_t page = offset % HM_FLASH_BANK / HM_FLASH_PAGE;
        HM_REG(HM_FLASH_CR) = ERASE | page << 3 | offset / HM_FLASH_BANK << 11;
        HM_REG(HM_FLASH_CR) |= 1U << 16;
        hm_barrier();
        done = stm32_wait(HM_FLASH_SR, BUSY, 0);
    }
    return finish(done);
}

bool hm_nvm_program(uint32_t address, const uint8_t *bytes, uint32_t n)
{
    bool done = stm32_flash_unlock(ERRORS, BUSY);
    for (uint32_t i = 0; done && i < n; i += HM_NVM_WORD) {
        HM_REG(HM_FLASH_CR) = PROGRAM;
        hm_barrier();
        for (uint32_t k = i; k < i + HM_NVM_WORD; k += 4) {
            HM_REG(address + k) = hm_word(bytes + k);
        }
        hm_barrier();
        done = stm32_wait(HM_FLASH_SR, BUSY, 0) && (HM_REG(HM_FLASH_SR) & ERRORS) == 0;
    }
    return finish(done);
}
