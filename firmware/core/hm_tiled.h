/* Tiles of sums in registers, for cores without packed arithmetic: a multiplication and an addition a product, and each
 * byte that is loaded serves several of them.
 *
 * A tile is four channels of two pixels, or of four where there are registers enough: any pixels, each has a pointer to
 * its input. The input of a pointwise kernel is read where it lies; of others a group's is copied to scratch, padding
 * included, its channels side by side: then the k pixels under a row of the kernel are a run of k * channels bytes. The
 * weights of four channels are copied together, in cells of four (or three) taps. */
#ifndef HM_TILED_H
#define HM_TILED_H

#include "hm_conv.h"
#include "hm_memory.h"

#if defined(__riscv_mul) && __riscv_xlen == 32 && !defined(__riscv_32e)
#define HM_TILED_RV32
#define HM_TILED_PIXELS 4 /* 16 sums, 4 inputs, a weight, a product, 5 pointers: 27 of the 28 that a function has */
#else
#define HM_TILED_PIXELS 2 /* 8 sums, 2 inputs, a weight, 3 pointers: a Cortex-M's 14 */
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

/* Writes four bytes to a multiple of 4. */
static inline void hm_tiled_set_word(void *to, uint32_t word)
{
    HM_MEMCPY(__builtin_assume_aligned(to, 4), &word, sizeof word);
}

/* Lists the pixels of n rows, the last one more than once so that they fill tiles; returns how many. */
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
    for (; count % HM_TILED_PIXELS; count++) {
        pixels[count] = pixels[count - 1];
    }
    return count;
}

/* Copies n rows of the group whose first channel is `first`. */
static inline void hm_tiled_rows(const hm_tiled *s, const uint8_t *const *rows, int n, int first, uint8_t *planes)
{
    const int in_g = s->in_g;
    const int in_c = s->in_c;
    const int left = s->left * in_g;
    const int width = s->in_w * in_g;
    const int right = s->right * in_g;
    const int piece = in_g == in_c ? width : in_g; /* that lies together */
    for (int y = 0; y < n; y++, planes += s->pitch) {
        if (rows[y] == NULL) {
            hm_fill(planes, s->padding, (size_t)(left + width + right));
            continue;
        }
        const uint8_t *from = rows[y] + first;
        uint8_t *to = planes + left;
        uint8_t *const end = to + width;
        for (int i = 0; i < left; i++) {
            planes[i] = s->padding;
        }
        for (int i = 0; i < right; i++) {
            end[i] = s->padding;
        }
        if (in_g == 4 && s->padding == 0) { /* whole words, in maps: the image may lie at any address */
            for (; to != end; to += 4, from += in_c) {
                hm_tiled_set_word(to, hm_aligned_word(from));
            }
        } else {
            for (; to != end; to += piece, from += in_c) {
                hm_copy(to, from, (size_t)piece);
            }
        }
    }
}

/* Writes the ways from cell to cell. */
static inline void hm_tiled_ways(const hm_tiled *s, int8_t *weights)
{
    const int cell = s->cell;
    const int run = s->k * s->in_g;
    int8_t *to = weights + HM_TILED_CELL - 4;
    for (int y = 0; y < s->k; y++) {
        for (int left = run; left > 0; left -= cell, to += HM_TILED_CELL) {
            hm_tiled_set_word(to, (uint32_t)(left > cell ? cell : cell + s->pitch - run));
        }
    }
    hm_tiled_set_word(to - HM_TILED_CELL, 0);
}

/* Four channels from channel c on, cell by cell. */
static inline void hm_tiled_weights(const hm_tiled *s, const hm_conv *conv, int c, hm_tiled_channel *channels,
                                    int8_t *to)
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
    const int words = cell == 4 && (uintptr_t)from % 4 == 0;
    for (int left = s->cells; left > 0; left--, from += cell, to += HM_TILED_CELL) {
        if (words) {
            hm_tiled_set_word(to, hm_aligned_word(from));
            hm_tiled_set_word(to + 4, hm_aligned_word(from + taps));
            hm_tiled_set_word(to + 8, hm_aligned_word(from + 2 * taps));
            hm_tiled_set_word(to + 12, hm_aligned_word(from + 3 * taps));
        } else {
            const int8_t *w = from;
            for (int i = 0; i < 16; i += 4, w += taps) {
                to[i] = w[0];
                to[i + 1] = w[1];
                to[i + 2] = w[2];
                if (cell == 4) {
                    to[i + 3] = w[3];
                }
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
#elif defined(HM_TILED_RV32) /* volatile, or GCC would do this for all sums first, and run out of registers */
    __asm__ volatile("sgtz %0, %1\n\tslli %0, %0, 1\n\tmul %0, %0, %1" : "=&r"(twice) : "r"(sum) : "memory");
#else
    twice = ((uint32_t)sum & hm_mask(sum > 0)) << 1;
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
    return (uint8_t)(rounded | hm_mask(rounded > 255));
#endif
}

/* A number of each pixel of a tile. */
typedef struct hm_tiled_four {
    int32_t a, b, c, d;
} hm_tiled_four;

/* One channel's sums: each pixel's input times the weight. */
static inline void hm_tiled_add(hm_tiled_four *sum, const hm_tiled_four *in, int32_t weight)
{
#ifdef HM_TILED_RV32 /* GCC would load early, add late, and run out of registers */
    int32_t product;
    __asm__ volatile("mul %[product], %[x0], %[w]\n\tadd %[a], %[a], %[product]\n\t"
                     "mul %[product], %[x1], %[w]\n\tadd %[b], %[b], %[product]\n\t"
                     "mul %[product], %[x2], %[w]\n\tadd %[c], %[c], %[product]\n\t"
                     "mul %[product], %[x3], %[w]\n\tadd %[d], %[d], %[product]"
                     : [a] "+r"(sum->a), [b] "+r"(sum->b), [c] "+r"(sum->c), [d] "+r"(sum->d), [product] "=&r"(product)
                     : [x0] "r"(in->a), [x1] "r"(in->b), [x2] "r"(in->c), [x3] "r"(in->d), [w] "r"(weight)
                     : "memory");
#elif defined(__thumb2__)
    __asm__ volatile("mla %[a], %[x0], %[w], %[a]\n\tmla %[b], %[x1], %[w], %[b]"
                     : [a] "+r"(sum->a), [b] "+r"(sum->b)
                     : [x0] "r"(in->a), [x1] "r"(in->b), [w] "r"(weight)
                     : "memory");
#else
    sum->a += in->a * weight;
    sum->b += in->b * weight;
    __asm__ volatile("" : "+r"(sum->a), "+r"(sum->b) : : "memory");
#endif
}

/* Tap t of a cell, and the way to the next cell. */
#define HM_TILED_TAP(t)                                                                                                 \
    do {                                                                                                                \
        const hm_tiled_four tap = {p0[t], p1[t], HM_TILED_PIXELS == 4 ? p2[t] : 0, HM_TILED_PIXELS == 4 ? p3[t] : 0};   \
        hm_tiled_add(&s0, &tap, w[t]);                                                                                  \
        hm_tiled_add(&s1, &tap, w[4 + (t)]);                                                                            \
        hm_tiled_add(&s2, &tap, w[8 + (t)]);                                                                            \
        hm_tiled_add(&s3, &tap, w[12 + (t)]);                                                                           \
    } while (0)
#define HM_TILED_NEXT()                                                                                                 \
    do {                                                                                                                \
        way = (int32_t)hm_aligned_word(w + HM_TILED_CELL - 4);                                                          \
        p0 += way;                                                                                                      \
        p1 += way;                                                                                                      \
        p2 += way;                                                                                                      \
        p3 += way;                                                                                                      \
        w += HM_TILED_CELL;                                                                                             \
    } while (0)

/* Where the pixels' outputs go. */
typedef struct hm_tiled_places {
    uint8_t *a, *b, *c, *d;
} hm_tiled_places;

/* A channel's outputs behind a ReLU. */
static inline void hm_tiled_store(hm_tiled_places to, int at, hm_tiled_four sum, hm_tiled_channel channel)
{
    to.a[at] = hm_tiled_relu(sum.a, channel);
    to.b[at] = hm_tiled_relu(sum.b, channel);
    if (HM_TILED_PIXELS == 4) {
        to.c[at] = hm_tiled_relu(sum.c, channel);
        to.d[at] = hm_tiled_relu(sum.d, channel);
    }
}

/* And at a linear end. */
static inline void hm_tiled_store_linear(uint8_t *out, const hm_tiled_pixel *pixels, const int32_t sum[4],
                                         hm_tiled_channel channel)
{
    const int32_t multiplier = (int32_t)(channel.multiplier >> 1);
    const uint8_t shift = (uint8_t)(channel.shift - 1);
    for (int i = 0; i < HM_TILED_PIXELS; i++) {
        out[pixels[i].out] = (uint8_t)hm_requantise_linear(sum[i], multiplier, shift);
    }
}

/* Four channels of all pixels, from `out` in the first one on, `next` bytes from channel to channel. */
__attribute__((noinline, unused)) static void hm_tiled_tiles(const hm_tiled *s, const hm_tiled_channel *channels,
                                                             const int8_t *weights, const hm_tiled_pixel *pixels,
                                                             int count, const uint8_t *in, uint8_t *out, int next)
{
    const int fourth = s->cell == 4;
    for (; count > 0; count -= HM_TILED_PIXELS, pixels += HM_TILED_PIXELS) {
        const uint8_t *p0 = in + pixels[0].in;
        const uint8_t *p1 = in + pixels[1].in;
        const uint8_t *p2 = in + pixels[HM_TILED_PIXELS - 2].in; /* of two pixels again the first, and not used */
        const uint8_t *p3 = in + pixels[HM_TILED_PIXELS - 1].in;
        const int8_t *w = weights;
        int32_t way;
        hm_tiled_four s0 = {channels[0].bias, channels[0].bias, channels[0].bias, channels[0].bias};
        hm_tiled_four s1 = {channels[1].bias, channels[1].bias, channels[1].bias, channels[1].bias};
        hm_tiled_four s2 = {channels[2].bias, channels[2].bias, channels[2].bias, channels[2].bias};
        hm_tiled_four s3 = {channels[3].bias, channels[3].bias, channels[3].bias, channels[3].bias};
        if (HM_TILED_PIXELS == 4 && s->cell == 4) { /* a loop of its own: no register is left */
            do {
                HM_TILED_TAP(0);
                HM_TILED_TAP(1);
                HM_TILED_TAP(2);
                HM_TILED_TAP(3);
                HM_TILED_NEXT();
            } while (way != 0);
        } else {
            do {
                HM_TILED_TAP(0);
                HM_TILED_TAP(1);
                HM_TILED_TAP(2);
                if (HM_TILED_PIXELS == 2 && fourth) {
                    HM_TILED_TAP(3);
                }
                HM_TILED_NEXT();
            } while (way != 0);
        }
        if (s->relu) {
            const hm_tiled_places to = {out + pixels[0].out, out + pixels[1].out, out + pixels[HM_TILED_PIXELS - 2].out,
                                        out + pixels[HM_TILED_PIXELS - 1].out};
            hm_tiled_store(to, 0, s0, channels[0]);
            hm_tiled_store(to, next, s1, channels[1]);
            hm_tiled_store(to, 2 * next, s2, channels[2]);
            hm_tiled_store(to, 3 * next, s3, channels[3]);
        } else {
            const int32_t sums[4][4] = {{s0.a, s0.b, s0.c, s0.d},
                                        {s1.a, s1.b, s1.c, s1.d},
                                        {s2.a, s2.b, s2.c, s2.d},
                                        {s3.a, s3.b, s3.c, s3.d}};
            for (int i = 0; i < 4; i++) {
                hm_tiled_store_linear(out + i * next, pixels, sums[i], channels[i]);
            }
        }
    }
}

/* n rows of a stage: group by group, four channels at a time. next: bytes from an output to the next channel's. */
__attribute__((noinline, unused)) static void hm_tiled_strip(const hm_tiled *s, const hm_conv *conv,
                                                             const uint8_t *const *rows, uint8_t *const *out, int n,
                                                             void *scratch, int next)
{
    hm_tiled_channel *const channels = (hm_tiled_channel *)scratch;
    hm_tiled_pixel *const pixels = (hm_tiled_pixel *)(channels + 4);
    const int count = hm_tiled_pixels(s, rows, out, n, pixels);
    int8_t *const weights = (int8_t *)(pixels + count);
    uint8_t *const planes = (uint8_t *)weights + s->cells * HM_TILED_CELL;
    hm_tiled_ways(s, weights);
    for (int g = 0; g < s->groups; g++) {
        const int end = (g + 1) * s->out_g;
        const uint8_t *in = planes;
        if (s->k > 1) {
            hm_tiled_rows(s, rows, (n - 1) * s->stride + s->k, g * s->in_g, planes);
        } else {
            in = rows[0] + g * s->in_g;
        }
        for (int from = end - s->out_g; from < end; from += 4) {
            const int c = from < end - 4 ? from : end - 4; /* the last four may be among those before */
            hm_tiled_weights(s, conv, c, channels, weights);
            const int place = next == 1 ? c : hm_shuffled(c, next, s->shuffled);
            hm_tiled_tiles(s, channels, weights, pixels, count, in, out[0] + place, next);
        }
    }
}

#endif
