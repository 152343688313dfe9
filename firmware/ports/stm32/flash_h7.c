/* Flash of H7: two banks of eight sectors of 128 KB, words of 256 bits with check bits of their own. RM0433 4.3, 4.9. */
#include "stm32.h"

#include "../cortex_m/nvm.h"

#include "../../core/hm_blob.h" /* hm_word */

enum {
    FLASH_ORIGIN = 0x08000000,
    BANK = 0x100000,
    SECTOR = 0x20000,
    LOCKED = 1 << 0,
    PROGRAM = 1 << 1,
    ERASE = 1 << 2,
    PARALLEL_64 = 3 << 4,
    START = 1 << 7,
    QUEUED = 1 << 2,   /* an operation that is not over */
    ERRORS = 0x7EE0000 /* of writing, of strobes, of check bits */
};

/* The registers of the bank that an address is in. */
static uint32_t bank_of(uint32_t address)
{
    return HM_FLASH + (address - FLASH_ORIGIN) / BANK * 0x100U;
}

#define KEYR(bank) ((bank) + 0x04U)
#define CR(bank) ((bank) + 0x0CU)
#define SR(bank) ((bank) + 0x10U)
#define CCR(bank) ((bank) + 0x14U)

static bool unlock(uint32_t bank)
{
    if ((HM_REG(CR(bank)) & LOCKED) != 0) {
        HM_REG(KEYR(bank)) = 0x45670123U;
        HM_REG(KEYR(bank)) = 0xCDEF89ABU;
    }
    HM_REG(CCR(bank)) = ERRORS;
    return stm32_wait(SR(bank), QUEUED, 0);
}

static bool finish(uint32_t bank, bool done)
{
    HM_REG(CR(bank)) = LOCKED;
    hm_barrier();
    return done && (HM_REG(SR(bank)) & ERRORS) == 0;
}

void hm_nvm_begin(void)
{
}

bool hm_nvm_erase(uint32_t address)
{
    const uint32_t bank = bank_of(address);
    bool done = unlock(bank);
    if (done) {
        HM_REG(CR(bank)) = PARALLEL_64 | ERASE | (address - FLASH_ORIGIN) % BANK / SECTOR << 8;
        HM_REG(CR(bank)) |= START;
        hm_barrier();
        done = stm32_wait(SR(bank), QUEUED, 0);
    }
    return finish(bank, done);
}

bool hm_nvm_program(uint32_t address, const uint8_t *bytes, uint32_t n)
{
    const uint32_t bank = bank_of(address);
    bool done = unlock(bank);
    for (uint32_t i = 0; done && i < n; i += 32) {
        HM_REG(CR(bank)) = PARALLEL_64 | PROGRAM;
        hm_barrier();
        for (uint32_t k = i; k < i + 32; k += 4) {
            HM_REG(address + k) = hm_word(bytes + k);
        }
        hm_barrier();
        done = stm32_wait(SR(bank), QUEUED, 0) && (HM_REG(SR(bank)) & ERRORS) == 0;
    }
    return finish(bank, done);
}
