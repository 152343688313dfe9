/* A flash partition: what hm_store and hm_gate keep their data in. A port gives one; tests cut its power. */
#ifndef HM_FLASH_H
#define HM_FLASH_H

#include "hm_code.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* base: where the partition can be read, at a multiple of 16. size: its bytes, a whole number of units. unit: what is
 * erased at once. word: what is programmed at once (1, 2, 4, 8, 16 or 32 bytes): a word is programmed once after each
 * erasure and never again, so that flash with its own check bits takes it. erase and program return false where flash did
 * not take it; whoever calls compares what then is there, and does not trust them alone.
 *
 * Erased bytes are 0xFF. Power may fail at any moment: the unit being erased or the words being programmed then hold
 * anything. */
enum { HM_FLASH_WORD = 32, HM_FLASH_UNIT = 256 }; /* largest word, smallest unit that is looked after */

typedef struct hm_flash {
    const uint8_t *base;
    uint32_t size;
    uint32_t unit;
    uint32_t word;
    void *context;
    bool (*erase)(void *context, uint32_t offset);
    bool (*program)(void *context, uint32_t offset, const uint8_t *bytes, uint32_t n);
} hm_flash;

/* Whether sizes and alignment are as above, and both calls are there: what a mount asks first. */
bool hm_flash_is_sound(const hm_flash *flash);

/* Erases the unit at `offset` and looks whether it is. */
HM_MUST_CHECK hm_code hm_flash_erase(const hm_flash *flash, uint32_t offset);

/* Programs n bytes at `offset`, both multiples of `word`, and compares them. */
HM_MUST_CHECK hm_code hm_flash_program(const hm_flash *flash, uint32_t offset, const void *bytes, uint32_t n);

/* Whether n bytes at `offset` are erased. */
bool hm_flash_is_erased(const hm_flash *flash, uint32_t offset, uint32_t n);

/* CRC-32 as hm_crc32 has it, as one function with one table for all but the engine, which has its own. */
uint32_t hm_flash_crc(uint32_t crc, const void *bytes, uint32_t n);

#endif
