/* Tiles of sums in registers, for cores without packed arithmetic: a multiplication and an addition a product, and each
 * byte that is loaded serves several.
 *
 * A tile is four channels of two pixels, or of four where there are registers enough. Channels and pixels alike, bytes of
 * a tile lie at fixed distances: a group's input is copied to scratch, padding included, in cells of four channels of a
 * pixel (three in an image), and the pixels of a tile are two cells apart: neighbours at stride 2, every other one at
 * stride 1. The weights of the four channels lie side by side, in the order of use. */
#ifndef HM_TILED_H
#define HM_TILED_H

#include "hm_conv.h"
#include "hm_memory.h"

#if defined(__riscv) || !defined(__GNUC__) || __SIZEOF_POINTER__ > 4
#define HM_TILED_PAIRS 2 /* of pixels in a tile: 16 sums, 4 inputs, a weight, a product, 4 pointers */
#else
#define HM_TILED_PAIRS 1 /* 8 sums, 2 inputs, a weight, 3 pointers */
#endif

/* A value that the compiler does not know: what it loads or adds stays where it is written. */
#if defined(__GNUC__)
#define HM_TILED_HIDE(x) __asm__ volatile("" : "+r"(x))
#else
#define HM_TILED_HIDE(x) ((void)0)
#endif

/* A convolution as these functions see it: see Kernel. A line is what `cells` cells one behind the other are; a pixel
 * has `lines` of them, each line_step behind the other. */
typedef struct hm_tiled {
    uint16_t in_w;
    uint16_t in_step; /* bytes from one pixel that is read to the next, in a map, and */
    uint16_t step;    /* in scratch */
    uint16_t slot;    /* bytes of a pixel there that lie together */
    uint16_t blocks;  /* of slots, a group */
    uint16_t line_step;
    uint16_t row_step;
    uint16_t lines;
    uint16_t out_w;
    uint16_t out_c;
    uint16_t in_g;
    uint16_t out_g;
    uint16_t groups;
    uint16_t size; /* channels behind which a shuffle goes on beside the first ones */
    uint8_t k;
    uint8_t stride;
    uint8_t rows; /* from one row that is read to the next */
    uint8_t left; /* columns of padding before a row, and behind it */
    uint8_t right;
    uint8_t cell;
    uint8_t cells;
    uint8_t apart; /* pixels of a pair */
    uint8_t padding;
    uint8_t relu;
} hm_tiled;

/* What turns a channel's sums into bytes. Of sums behind a ReLU, doubled, and the doubled multiplier the high word holds
 * one bit more than TFLite's high product; both roundings are then one. */
typedef struct hm_tiled_channel {
    int32_t bias;
    uint32_t multiplier; /* doubled */
    uint32_t round;
    uint32_t shift; /* and one */
} hm_tiled_channel;

/* The sums of a channel, of each pixel of a tile; or the inputs of a tap. */
typedef struct hm_tiled_four {
    int32_t a, b, c, d;
} hm_tiled_four;

/* Two pixels: where their input begins, and where their outputs go. */
typedef struct hm_tiled_pair {
    const uint8_t *in;
    uint8_t *to;
    uint8_t *other;
} hm_tiled_pair;

static inline uint8_t hm_tiled_relu(int32_t sum, hm_tiled_channel c)
{
#if defined(__ARM_FEATURE_SAT)
    uint32_t twice;
    __asm__("usat %0, #31, %1, lsl #1" : "=r"(twice) : "r"(sum));
    const uint32_t high = (uint32_t)((uint64_t)twice * c.multiplier >> 32);
    uint32_t byte;
    __asm__("usat %0, #8, %1" : "=r"(byte) : "r"((high + c.round) >> c.shift));
    return (uint8_t)byte;
#else
    const uint32_t twice = ((uint32_t)sum & hm_mask(sum > 0)) << 1;
    const uint32_t high = (uint32_t)((uint64_t)twice * c.multiplier >> 32);
    const uint32_t rounded = (high + c.round) >> c.shift;
    return (uint8_t)(rounded | hm_mask(rounded > 255));
#endif
}

/* Four channels' weights from channel c on, tap by tap. */
__attribute__((noinline)) static void hm_tiled_weights(const hm_tiled *s, const hm_conv *conv, int c, hm_tiled_channel *channels, int8_t *to)
{
    const int line = s->k * s->in_g;
    const int8_t *rows[4];
    for (int i = 0; i < 4; i++) {
        const uint32_t shift = conv->shift[c + i];
        channels[i].bias = conv->bias[c + i];
        channels[i].multiplier = (uint32_t)conv->multiplier[c + i] << 1;
        channels[i].round = UINT32_C(1) << shift | 1;
        channels[i].shift = shift + 1;
        rows[i] = conv->weight + (c + i) * s->k * line;
    }
    for (int y = 0; y < s->k; y++) {
        for (int b = 0; b < s->in_g; b += s->slot) {
            for (int x = 0; x < line; x += s->in_g) {
                const int8_t *w0 = rows[0] + y * line + b + x;
                const int8_t *w1 = rows[1] + y * line + b + x;
                const int8_t *w2 = rows[2] + y * line + b + x;
                const int8_t *w3 = rows[3] + y * line + b + x;
                for (int i = 0; i < s->slot; i++, to += 4) {
                    to[0] = *w0++;
                    to[1] = *w1++;
                    to[2] = *w2++;
                    to[3] = *w3++;
                }
            }
        }
    }
}

/* Copies the rows under n rows, of the group whose first channel is `first`. */
__attribute__((noinline)) static void hm_tiled_rows(const hm_tiled *s, const uint8_t *const *rows, int n, int first, uint8_t *planes)
{
    const int slot = s->slot;
    for (int y = 0; y < n; y++, rows += s->rows, planes += s->row_step) {
        uint8_t *line = planes;
        for (int b = 0; b < s->blocks; b++, line += s->line_step) {
            const int width = (s->left + s->in_w + s->right) * slot;
            if (*rows == NULL) {
                hm_fill(line, s->padding, (size_t)width);
                continue;
            }
            const uint8_t *from = *rows + first + b * slot;
            uint8_t *to = line + s->left * slot;
            uint8_t *const end = to + s->in_w * slot;
            for (int i = 0; i < s->left * slot; i++) {
                line[i] = s->padding;
            }
            if (slot == 3) {
                hm_copy(to, from, (size_t)s->in_w * 3);
            } else {
                for (; to < end; to += slot, from += s->in_step) {
                    hm_copy(to, from, 4);
                    if (slot == 8) {
                        hm_copy(to + 4, from + 4, 4);
                    }
                }
            }
            for (int i = 0; i < s->right * slot; i++) {
                end[i] = s->padding;
            }
        }
    }
}

/* One input channel of a column: each input for four weights, each weight for all inputs. */
#define HM_TILED_TAP(apart, t)                                                                                          \
    do {                                                                                                                \
        const hm_tiled_four in = hm_tiled_inputs(p + (t), q + (t), apart);                                               \
        HM_TILED_ADD(0, t);                                                                                             \
        HM_TILED_ADD(1, t);                                                                                             \
        HM_TILED_ADD(2, t);                                                                                             \
        HM_TILED_ADD(3, t);                                                                                             \
    } while (0)
#if HM_TILED_PAIRS > 1
#define HM_TILED_ADD(i, t)                                                                                              \
    do {                                                                                                                \
        const int32_t weight = w[4 * (t) + i];                                                                          \
        sums[i].a += weight * in.a;                                                                                      \
        sums[i].b += weight * in.b;                                                                                      \
        sums[i].c += weight * in.c;                                                                                      \
        sums[i].d += weight * in.d;                                                                                      \
        __asm__ volatile("" : "+r"(sums[i].a), "+r"(sums[i].b), "+r"(sums[i].c), "+r"(sums[i].d), "+r"(w)); \
    } while (0)
#else
#define HM_TILED_ADD(i, t)                                                                                              \
    do {                                                                                                                \
        const int32_t weight = w[4 * (t) + i];                                                                          \
        sums[i].a += weight * in.a;                                                                                      \
        sums[i].b += weight * in.b;                                                                                      \
    } while (0)
#endif

static inline hm_tiled_four hm_tiled_inputs(const uint8_t *p, const uint8_t *q, int apart)
{
    hm_tiled_four x = {p[0], p[apart], 0, 0};
    if (HM_TILED_PAIRS > 1) {
        x.c = q[0];
        x.d = q[apart];
    }
    return x;
}

/* A tile's outputs at a linear end. */
static inline void hm_tiled_linear(const hm_tiled_four *sums, const hm_tiled_channel *channels, const hm_tiled_pair *pairs, int next)
{
    for (int i = 0; i < 4; i++) {
        const int32_t multiplier = (int32_t)(channels[i].multiplier >> 1);
        const uint8_t shift = (uint8_t)(channels[i].shift - 1);
        for (int j = HM_TILED_PAIRS - 1; j >= 0; j--) {
            pairs[j].other[i * next] = (uint8_t)hm_requantise_linear(j ? sums[i].d : sums[i].b, multiplier, shift);
            pairs[j].to[i * next] = (uint8_t)hm_requantise_linear(j ? sums[i].c : sums[i].a, multiplier, shift);
        }
    }
}

/* Four channels of n rows, from `place` of a pixel on, `next` bytes from channel to channel. */
__attribute__((noinline)) static void hm_tiled_tiles(const hm_tiled *s, const hm_tiled_channel *channels, const int8_t *weights, const uint8_t *planes, int place, int next, uint8_t *const *out, int n)
{
    const int cell = s->cell;
    int x = 0;
    int y = 0;
    while (y < n) {
        hm_tiled_pair pairs[2] = {{0,0,0}};
#pragma GCC unroll 2
        for (int i = 0; i < HM_TILED_PAIRS; i++) {
            if (y < n) {
                pairs[i].in = planes + y * s->stride * s->row_step + x * s->step;
                pairs[i].to = out[y] + x * s->out_c + place;
                pairs[i].other = pairs[i].to + (x + s->apart < s->out_w ? s->apart * s->out_c : 0);
                x += s->apart == 1 ? 2 : 1 + (x & 1) * 2;
                if (x >= s->out_w) {
                    x = 0;
                    y++;
                }
            } else {
                pairs[i] = pairs[0];
            }
        }
        hm_tiled_four sums[4];
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) {
            sums[i].a = sums[i].b = sums[i].c = sums[i].d = channels[i].bias;
        }
        const int8_t *w = weights;
        const uint8_t *p = pairs[0].in;
        const uint8_t *q = pairs[HM_TILED_PAIRS - 1].in;
        const int skip = s->line_step - s->cells * cell;
        for (int line = s->lines; line > 0; line--, p += skip, q += skip) {
            const uint8_t *const end = p + s->cells * cell;
            if (cell == 4) {
                do {
                    HM_TILED_TAP(8, 0);
                    HM_TILED_TAP(8, 1);
                    HM_TILED_TAP(8, 2);
                    HM_TILED_TAP(8, 3);
                    p += 4;
                    q += 4;
                    w += 16;
                    HM_TILED_HIDE(p);
                    HM_TILED_HIDE(q);
                } while (p != end);
            } else {
                do {
                    HM_TILED_TAP(6, 0);
                    HM_TILED_TAP(6, 1);
                    HM_TILED_TAP(6, 2);
                    p += 3;
                    q += 3;
                    w += 12;
                    HM_TILED_HIDE(p);
                    HM_TILED_HIDE(q);
                } while (p != end);
            }
        }
        if (!s->relu) {
            hm_tiled_linear(sums, channels, pairs, next);
            continue;
        }
        /* A pixel that is not there goes where the first of its pair does, before that. */
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) {
            const hm_tiled_channel c = channels[i];
            if (HM_TILED_PAIRS > 1) {
                pairs[1].other[i * next] = hm_tiled_relu(sums[i].d, c);
                pairs[1].to[i * next] = hm_tiled_relu(sums[i].c, c);
            }
            pairs[0].other[i * next] = hm_tiled_relu(sums[i].b, c);
            pairs[0].to[i * next] = hm_tiled_relu(sums[i].a, c);
        }
    }
}

/* n rows of a stage: group by group, four channels at a time. next: bytes from an output to the next channel's. */
__attribute__((noinline, unused)) static void hm_tiled_strip(const hm_tiled *s, const hm_conv *conv, const uint8_t *const *rows, uint8_t *const *out, int n, void *scratch, int next)
{
    hm_tiled_channel *const channels = (hm_tiled_channel *)scratch;
    int8_t *const weights = (int8_t *)(channels + 4);
    uint8_t *const planes = (uint8_t *)weights + 4 * s->k * s->k * s->in_g;
    const int count = s->k == 1 ? n : (n - 1) * s->stride + s->k;
    for (int g = 0; g < s->groups; g++) {
        const int end = (g + 1) * s->out_g;
        hm_tiled_rows(s, rows, count, g * s->in_g, planes);
        for (int next_c = g * s->out_g; next_c < end; next_c += 4) {
            const int c = next_c < end - 4 ? next_c : end - 4; /* the last ones may be among those before */
            hm_tiled_weights(s, conv, c, channels, weights);
            hm_tiled_tiles(s, channels, weights, planes, next == 1 ? c : hm_shuffled(c, next, s->size), next, out, n);
        }
    }
}

#endif
