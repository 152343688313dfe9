/* Checks: CRC-32 of a person's bytes, and the image of the self-test. */
#ifndef HM_CHECK_H
#define HM_CHECK_H

#include <stddef.h>
#include <stdint.h>

/* CRC-32 as in zlib and Ethernet, four bits at a time. Begin with crc = 0; the result of one part begins the next. */
static inline uint32_t hm_crc32(uint32_t crc, const void *data, size_t n)
{
    static const uint32_t nibble[16] = {
        0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4, 0x4DB26158, 0x5005713C,
        0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C, 0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C,
    };
    const uint8_t *bytes = (const uint8_t *)data;
    crc = ~crc;
    for (size_t i = 0; i < n; i++) {
        crc ^= bytes[i];
        crc = nibble[crc & 15] ^ (crc >> 4);
        crc = nibble[crc & 15] ^ (crc >> 4);
    }
    return ~crc;
}

/* The next n bytes of the self-test's image: the top byte of each xorshift32 state (Marsaglia 2003). Returns the state. */
static inline uint32_t hm_random_bytes(uint32_t state, uint8_t *bytes, int n)
{
    for (int i = 0; i < n; i++) {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        bytes[i] = (uint8_t)(state >> 24);
    }
    return state;
}

#endif
