/* Bytes at any address: words as little-endian ones (back again by hm_word of core/hm_blob.h), and whether any is set. */
#ifndef HM_BYTES_H
#define HM_BYTES_H

#include <stddef.h>
#include <stdint.h>

static inline void hm_set_word(uint8_t *to, uint32_t word)
{
    for (uint32_t i = 0; i < 4; i++) {
        to[i] = (uint8_t)(word >> 8 * i & 0xFF);
    }
}

/* All of n bytes ORed: 0 where each of them is. */
static inline uint32_t hm_any(const uint8_t *bytes, size_t n)
{
    uint32_t any = 0;
    for (size_t i = 0; i < n; i++) {
        any |= bytes[i];
    }
    return any;
}

#endif
