/* The device's key in a flash partition of its own: written once, and only while all of its place is erased.
 *
 * A record that is neither whole nor erased is no key, and no new one is taken either: damage must not put a device back
 * into the factory, where whoever holds the wire may give it a key. Only a debugger's erasure does. */
#include "nvm.h"

#include "../../core/hm_memory.h"
#include "../../device/hm_bytes.h"

enum { NUMBER = 0, KEY = 4, CRC = KEY + HM_KEY_BYTES, RECORD = 64 }; /* whole words of any flash */

bool hm_port_key(uint8_t key[HM_KEY_BYTES], uint32_t *number)
{
    const uint8_t *const record = hm_nvm_key()->base;
    const uint32_t found = hm_aligned_word(record + NUMBER);
    if (found == 0 || hm_flash_crc(0, record, CRC) != hm_aligned_word(record + CRC)) { /* erased, it is not all ones */
        return false;
    }
    hm_copy(key, record + KEY, HM_KEY_BYTES);
    *number = found;
    return true;
}

bool hm_port_set_key(const uint8_t key[HM_KEY_BYTES], uint32_t number)
{
    const hm_flash *const flash = hm_nvm_key();
    if (number == 0 || !hm_flash_is_erased(flash, 0, RECORD)) {
        return false;
    }
    uint8_t record[RECORD];
    hm_fill(record, 0xFF, sizeof record);
    hm_set_word(record + NUMBER, number);
    hm_copy(record + KEY, key, HM_KEY_BYTES);
    hm_set_word(record + CRC, hm_flash_crc(0, record, CRC));
    const bool kept = hm_flash_program(flash, 0, record, sizeof record) == HM_CODE_OK;
    hm_wipe(record, sizeof record);
    return kept;
}
