/* person.bin: whether a blob is whole, and whether its integers keep the arithmetic in bounds. SPEC.md has its bytes. */
#ifndef HM_BLOB_H
#define HM_BLOB_H

#include "hm_check.h"
#include "hm_conv.h"
#include "hm_types.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Offsets, and the sizes of what is always there: the head, and the check sum at the end. */
enum {
    HM_BLOB_FORMAT = 4,
    HM_BLOB_TOTAL = 8,
    HM_BLOB_LAYOUT = 12,
    HM_BLOB_WEIGHTS_BYTES = 16,
    HM_BLOB_FACTS_BYTES = 20,
    HM_BLOB_PERSON = 24,
    HM_BLOB_ARCHITECTURE = 48,
    HM_BLOB_NAME = 80,
    HM_BLOB_HEAD = 128,
    HM_BLOB_CRC = 4
};

/* The little-endian number at any address. */
static inline uint32_t hm_word(const uint8_t *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static inline bool hm_equal(const uint8_t *a, const uint8_t *b, size_t n)
{
    unsigned difference = 0;
    for (size_t i = 0; i < n; i++) {
        difference |= (unsigned)(a[i] ^ b[i]);
    }
    return difference == 0;
}

/* Whether n bytes are a C identifier with zeros behind it, one at least. */
static inline bool hm_is_name(const uint8_t *bytes, int n)
{
    int length = 0;
    for (; length < n && bytes[length] != 0; length++) {
        const int c = bytes[length];
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && (length == 0 || c < '0' || c > '9')) {
            return false;
        }
    }
    for (int i = length; i < n; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    return length > 0 && length < n;
}

/* Whether a blob is whole, undamaged and of this format. Nothing outside its `size` bytes is read. */
static inline hm_status hm_check_blob(const uint8_t *blob, size_t size)
{
    static const uint8_t magic[4] = {'H', 'M', 'p', 'b'};
    if (size < HM_BLOB_HEAD + HM_BLOB_CRC || !hm_equal(blob, magic, sizeof magic)) {
        return HM_NOT_A_PERSON;
    }
    if (hm_word(blob + HM_BLOB_FORMAT) != 1 || hm_word(blob + HM_BLOB_LAYOUT) != 1) {
        return HM_WRONG_FORMAT;
    }
    if (hm_word(blob + HM_BLOB_TOTAL) != size) {
        return HM_WRONG_SIZE;
    }
    const size_t rest = size - HM_BLOB_HEAD - HM_BLOB_CRC;
    const uint32_t weights = hm_word(blob + HM_BLOB_WEIGHTS_BYTES);
    if (weights > rest || hm_word(blob + HM_BLOB_FACTS_BYTES) != rest - weights) {
        return HM_WRONG_SIZE;
    }
    if (hm_crc32(0, blob, size - HM_BLOB_CRC) != hm_word(blob + size - HM_BLOB_CRC)) {
        return HM_CORRUPT_PERSON;
    }
    return hm_is_name(blob + HM_BLOB_NAME, HM_BLOB_HEAD - HM_BLOB_NAME) ? HM_OK : HM_CORRUPT_PERSON;
}

/* Whether |bias| + peak * the sum of |w| stays below 2^bits, and no w is -128. The bias has `zero` times the sum of w
 * taken off. */
static inline bool hm_sum_holds(const int8_t *w, int n, int32_t bias, int zero, int peak, int bits)
{
    int32_t sum = 0;
    int32_t magnitude = 0;
    for (int t = 0; t < n; t++) {
        if (w[t] == -128) {
            return false;
        }
        sum += w[t];
        magnitude += w[t] < 0 ? -w[t] : w[t];
    }
    const int64_t whole = bias + (int64_t)zero * sum;
    return (whole < 0 ? -whole : whole) + (int64_t)peak * magnitude < INT64_C(1) << bits;
}

/* Whether a convolution's integers are what hm_requantise needs, for every image. */
static inline bool hm_conv_holds(hm_conv conv, int channels, int taps, int zero)
{
    for (int c = 0; c < channels; c++) {
        if (conv.multiplier[c] < INT32_C(1) << 30 || conv.shift[c] > 30) {
            return false;
        }
        if (!hm_sum_holds(conv.weight + c * taps, taps, conv.bias[c], zero, 256, 30)) {
            return false;
        }
    }
    return true;
}

#endif
