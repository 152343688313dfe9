/* Random numbers of a chip that has no generator (F411, F446): HMAC-SHA-256 of the device's key and a count of starts.
 *
 * Who has not the key cannot tell them from random ones, and none comes twice: the count goes up in flash before the
 * first number of a start is made. That is what a challenge needs; a key could not be made so. A start takes one bit of
 * the key's partition, which flash of F4 can program one by one, as it has no check bits. Without a key there are none. */
#include "../cortex_m/nvm.h"

#include "../../core/hm_memory.h"

enum { COUNT_OFFSET = 256, SEED_BYTES = HM_SHA256_BYTES };

static uint8_t seed[SEED_BYTES];
static bool seeded;

/* Counts a start by the next bit that is set; the number of that bit, from 1, and 0 where none takes it. Not how many are
 * gone: one that power failed on may be there again at another start, and the count would come twice. */
static uint32_t count_start(void)
{
    const hm_flash *const flash = hm_nvm_key();
    for (uint32_t at = COUNT_OFFSET; at < flash->size; at += 4) {
        const uint32_t word = hm_aligned_word(flash->base + at);
        if (word != 0) {
            const uint32_t next = word & (word - 1U);
            uint8_t bytes[4];
            uint32_t bit = 1;
            while ((word >> (bit - 1) & 1U) == 0) {
                bit++;
            }
            hm_copy(bytes, &next, sizeof bytes);
            const bool counted = hm_flash_program(flash, at, bytes, sizeof bytes) == HM_CODE_OK;
            return counted ? (at - COUNT_OFFSET) / 4 * 32 + bit : 0;
        }
    }
    return 0;
}

static bool seed_once(void)
{
    static const uint8_t label[] = "hyper-mcu random";
    uint8_t key[HM_KEY_BYTES];
    uint32_t number = 0;
    if (!seeded && hm_port_key(key, &number)) {
        const uint32_t start = count_start();
        hm_hmac mac;
        hm_hmac_begin(&mac, key, sizeof key);
        hm_hmac_add(&mac, label, sizeof label - 1);
        hm_hmac_add(&mac, &start, sizeof start);
        hm_hmac_end(&mac, seed);
        seeded = start != 0;
    }
    hm_wipe(key, sizeof key);
    return seeded;
}

bool hm_port_random(uint8_t *bytes, size_t n)
{
    static const uint8_t parts[2] = {1, 2}; /* what goes out, and the next seed */
    if (!seed_once()) {
        return false;
    }
    for (size_t done = 0; done < n; done += SEED_BYTES) {
        uint8_t block[SEED_BYTES];
        hm_hmac mac;
        hm_hmac_begin(&mac, seed, sizeof seed);
        hm_hmac_add(&mac, &parts[0], 1);
        hm_hmac_end(&mac, block);
        hm_copy(bytes + done, block, n - done < SEED_BYTES ? n - done : SEED_BYTES);
        hm_hmac_begin(&mac, seed, sizeof seed);
        hm_hmac_add(&mac, &parts[1], 1);
        hm_hmac_end(&mac, seed);
        hm_wipe(block, sizeof block);
    }
    return true;
}
