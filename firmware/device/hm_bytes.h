/* Words as little-endian bytes at any address; back again by hm_word of core/hm_blob.h. */
#ifndef HM_BYTES_H
#define HM_BYTES_H

#include <stdint.h>

static inline void hm_set_word(uint8_t *to, uint32_t word)
{
    for (uint32_t i = 0; i < 4; i++) {
        to[i] = (uint8_t)(word >> 8 * i & 0xFF);
    }
}

#endif
