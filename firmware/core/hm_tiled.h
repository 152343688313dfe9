/* Tiles of sums in registers, for cores without packed arithmetic: a multiplication and an addition a product, and each
 * byte that is loaded serves several of them.
 *
 * A tile is four channels of two pixels (hm_tiled_pairs.h), or of four where there are registers enough
 * (hm_tiled_rv32.h): any pixels, each has a pointer to its input. The input of a pointwise kernel is read where it lies;
 * of others a group's is copied to scratch, padding included, its channels side by side: then the k pixels under a row of
 * the kernel are a run of k * channels bytes. The weights of four channels are copied together, in cells of four (or
 * three) taps; behind them lies what turns their sums into bytes. */
#ifndef HM_TILED_H
#define HM_TILED_H

#include "hm_conv.h"
#include "hm_memory.h"
#include "hm_types.h"

#if defined(__riscv_mul) && __riscv_xlen == 32 && !defined(__riscv_32e)
#define HM_TILED_RV32
#define HM_TILED_PIXELS 4 /* of a tile */
#else
#define HM_TILED_PIXELS 2
#endif

#if defined(__ARM_FEATURE_SAT) && defined(__thumb2__) /* clang has the first of a Cortex-M23, too, which has no USAT */
#define HM_TILED_USAT
#endif

/* A convolution as these functions see it: see Kernel. */
typedef struct hm_tiled {
    uint16_t in_w;
    uint16_t in_c;
    uint16_t in_g;
    uint16_t out_w;
    uint16_t out_c;
    uint16_t out_g;
    uint16_t groups;
    uint16_t shuffled; /* channels behind which a shuffle begins again */
    uint16_t pitch;    /* bytes of a row of one group's input in scratch */
    uint16_t cells;    /* of a sum */
    uint8_t cell;      /* taps of a cell */
    uint8_t k;
    uint8_t stride;
    uint8_t left; /* columns of padding before a row, and behind it */
    uint8_t right;
    uint8_t padding;
    uint8_t relu;
} hm_tiled;

/* What turns a channel's sums into bytes. Of doubled sums behind a ReLU and the doubled multiplier, the high word holds
 * one bit more than TFLite's high product; then both roundings are one. */
typedef struct hm_tiled_channel {
    int32_t bias;
    uint32_t multiplier; /* doubled */
    uint32_t round;
    uint32_t shift; /* and one */
} hm_tiled_channel;

/* Where a pixel's input begins, and where its outputs go: seen from the first pixel's. */
typedef struct hm_tiled_pixel {
    int32_t in;
    int32_t out;
} hm_tiled_pixel;

/* Bytes of a cell's weights: four of each channel, then the way from its input to the next cell's, 0 at the end. */
#define HM_TILED_CELL 20

/* Bytes of what lies behind the weights: four hm_tiled_channel, and on RV32 the rest of hm_tiled_walk. */
#define HM_TILED_FOUR 92
HM_STATIC_ASSERT(4 * sizeof(hm_tiled_channel) <= HM_TILED_FOUR, "hm_tiled_channel is larger than its place");

/* Bytes of scratch, where these lie one behind the other: pixels in whole tiles, and bytes of input. */
#define HM_TILED_SCRATCH(pixels, cells, planes)                                                                         \
    ((pixels) * sizeof(hm_tiled_pixel) + (cells) * HM_TILED_CELL + HM_TILED_FOUR + (planes))

/* Lists the pixels of n rows, the last one twice where that fills a tile; returns how many. */
static inline int hm_tiled_pixels(const hm_tiled *s, const uint8_t *const *rows, uint8_t *const *out, int n,
                                  hm_tiled_pixel *pixels)
{
    int count = 0;
    for (int y = 0; y < n; y++) {
        const int32_t in = s->k > 1 ? y * s->stride * s->pitch : (int32_t)(rows[y * s->stride] - rows[0]);
        const int step = s->stride * (s->k > 1 ? s->in_g : s->in_c);
        const int32_t to = (int32_t)(out[y] - out[0]);
        for (int x = 0; x < s->out_w; x++, count++) {
            pixels[count].in = in + x * step;
            pixels[count].out = to + x * s->out_c;
        }
    }
    pixels[count] = pixels[count - 1]; /* in a full tile's place or, behind the last tile, in that of weights to come */
    return count + (count % HM_TILED_PIXELS == HM_TILED_PIXELS - 1);
}

/* Writes the padding of n rows, the same for every group: from the pixels of a row on to those of the next. */
static inline void hm_tiled_padding(const hm_tiled *s, const uint8_t *const *rows, int n, uint8_t *planes)
{
    uint8_t *from = planes;
    for (int y = 0; y <= n; y++, planes += s->pitch) {
        uint8_t *const pixels = y < n ? planes + s->left * s->in_g : planes;
        uint8_t *const behind = y < n ? pixels + s->in_w * s->in_g : planes;
        uint8_t *const to = y < n && rows[y] == NULL ? behind : pixels;
        hm_fill(from, s->padding, (size_t)(to - from));
        from = behind;
    }
}

/* Copies n rows of the group whose first channel is `first`. */
static inline void hm_tiled_rows(const hm_tiled *s, const uint8_t *const *rows, int n, int first, uint8_t *planes)
{
    const int in_g = s->in_g;
    const int in_c = s->in_c;
    const int width = s->in_w * in_g;
    const int piece = in_g == in_c ? width : in_g; /* that lies together */
    const int words = in_g == 4 && s->padding == 0; /* in maps: the image may lie at any address */
    uint8_t *to = planes + s->left * in_g;
    for (int y = 0; y < n; y++, to += s->pitch) {
        const uint8_t *from = rows[y];
        if (from == NULL) {
            continue;
        }
        from += first;
        uint8_t *const end = to + width;
        if (words) {
            for (uint8_t *at = to; at != end; at += 4, from += in_c) {
                hm_set_aligned_word(at, hm_aligned_word(from));
            }
        } else {
            for (uint8_t *at = to; at != end; at += piece, from += in_c) {
                hm_copy(at, from, (size_t)piece);
            }
        }
    }
}

/* Whether a sum begins at its last cell: on RV32 where cells are of three taps. Then the way to the next one, the only
 * number that the loop looks at, is below zero, and above where they are of four. */
#ifdef HM_TILED_RV32
#define HM_TILED_BACK(cell) ((cell) == 3)
#else
#define HM_TILED_BACK(cell) 0
#endif

/* Writes the ways from cell to cell; returns where the first one is, seen from a sum's first tap. */
static inline int hm_tiled_ways(const hm_tiled *s, int8_t *weights)
{
    const int cell = s->cell;
    const int run = s->k * s->in_g;
    const int sign = HM_TILED_BACK(cell) ? -1 : 1;
    int8_t *to = weights + HM_TILED_CELL - 4;
    for (int y = 0; y < s->k; y++) {
        for (int left = run; left > 0; left -= cell, to += HM_TILED_CELL) {
            const int way = left > cell ? cell : cell + s->pitch - run;
            hm_set_aligned_word(to, (uint32_t)(sign * way));
        }
    }
    hm_set_aligned_word(to - HM_TILED_CELL, 0);
    return HM_TILED_BACK(cell) ? (s->k - 1) * s->pitch + run - 3 : 0;
}

/* Four channels from channel c on: their weights cell by cell, and behind them `channels`. */
static inline void hm_tiled_weights(const hm_tiled *s, const hm_conv *conv, int c, int8_t *to, hm_tiled_channel *channels)
{
    const int cell = s->cell;
    const int taps = s->k * s->k * s->in_g;
    for (int i = 0; i < 4; i++) {
        const uint32_t shift = conv->shift[c + i];
        channels[i].bias = conv->bias[c + i];
        channels[i].multiplier = (uint32_t)conv->multiplier[c + i] << 1;
        channels[i].round = UINT32_C(1) << shift | 1;
        channels[i].shift = shift + 1;
    }
    const int8_t *from = conv->weight + c * taps;
    if (cell == 4 && (uintptr_t)from % 4 == 0) {
        for (int left = s->cells; left > 0; left--, from += 4, to += HM_TILED_CELL) {
            hm_set_aligned_word(to, hm_aligned_word(from));
            hm_set_aligned_word(to + 4, hm_aligned_word(from + taps));
            hm_set_aligned_word(to + 8, hm_aligned_word(from + 2 * taps));
            hm_set_aligned_word(to + 12, hm_aligned_word(from + 3 * taps));
        }
        return;
    }
    const int way = HM_TILED_BACK(cell) ? -3 : cell;
    from += HM_TILED_BACK(cell) ? taps - 3 : 0;
    for (int i = 0; i < 4; i++, to += 4, from += taps) {
        const int8_t *tap = from;
        int8_t *column = to;
        for (int left = s->cells; left > 0; left--, tap += way, column += HM_TILED_CELL) {
            column[0] = tap[0];
            column[1] = tap[1];
            column[2] = tap[2];
            if (cell == 4) {
                column[3] = tap[3];
            }
        }
    }
}

/* Twice the sum, or 0 where that is negative. */
static inline uint32_t hm_tiled_twice(int32_t sum)
{
    uint32_t twice;
#ifdef HM_TILED_USAT
    __asm__("usat %0, #31, %1, lsl #1" : "=r"(twice) : "r"(sum));
#else
    twice = ((uint32_t)sum & ~hm_mask(sum < 0)) << 1;
#endif
    return twice;
}

/* Behind a ReLU: q + 128, so 0 ... 255. */
static inline uint8_t hm_tiled_relu(int32_t sum, hm_tiled_channel c)
{
    const uint32_t high = (uint32_t)((uint64_t)hm_tiled_twice(sum) * c.multiplier >> 32);
    const uint32_t rounded = (high + c.round) >> c.shift;
#ifdef HM_TILED_USAT
    uint32_t byte;
    __asm__("usat %0, #8, %1" : "=r"(byte) : "r"(rounded));
    return (uint8_t)byte;
#else
    return (uint8_t)(rounded | (0U - ((255U - rounded) >> 31))); /* by its top bit: of a comparison clang makes a branch */
#endif
}

/* A pixel's outputs of four channels, `next` bytes from one to the next. */
static inline void hm_tiled_outputs(const hm_tiled_channel *channels, int relu, const int32_t sums[4], uint8_t *to,
                                    int next)
{
    for (int i = 0; i < 4; i++, to += next) {
        const hm_tiled_channel c = channels[i];
        *to = relu ? hm_tiled_relu(sums[i], c)
                   : (uint8_t)hm_requantise_linear(sums[i], (int32_t)(c.multiplier >> 1), (uint8_t)(c.shift - 1));
    }
}

#endif
