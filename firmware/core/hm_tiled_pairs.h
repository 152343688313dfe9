/* Tiles of four channels of two pixels, for any core: 8 sums, 2 inputs, a weight and 3 pointers are a Cortex-M's 14
 * registers. */
#ifndef HM_TILED_PAIRS_H
#define HM_TILED_PAIRS_H

#include "hm_tiled.h"

#ifndef HM_TILED_RV32

/* A number of each pixel of a tile. */
typedef struct hm_tiled_pair {
    int32_t a, b;
} hm_tiled_pair;

/* One channel's sums: each pixel's input times the weight. volatile and "memory" keep all in this order: compilers would
 * load early, add late, and run out of registers. */
static inline void hm_tiled_add(hm_tiled_pair *sum, const hm_tiled_pair *in, int32_t weight)
{
#ifdef __thumb2__
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

/* Tap t of a cell. */
#define HM_TILED_TAP(t)                                                                                                 \
    do {                                                                                                                \
        const hm_tiled_pair tap = {p0[t], p1[t]};                                                                       \
        hm_tiled_add(&s0, &tap, w[t]);                                                                                   \
        hm_tiled_add(&s1, &tap, w[4 + (t)]);                                                                             \
        hm_tiled_add(&s2, &tap, w[8 + (t)]);                                                                             \
        hm_tiled_add(&s3, &tap, w[12 + (t)]);                                                                            \
    } while (0)

/* Four channels of all pixels, from `out` in the first one on, `next` bytes from channel to channel. */
__attribute__((noinline, unused)) static void hm_tiled_tiles(const hm_tiled *s, const hm_tiled_channel *channels,
                                                             const int8_t *weights, const hm_tiled_pixel *pixels,
                                                             int count, const uint8_t *in, uint8_t *out, int next)
{
    const int relu = s->relu;
    const int fourth = s->cell == 4;
    for (; count > 0; count -= 2, pixels += 2) {
        const uint8_t *p0 = in + pixels[0].in;
        const uint8_t *p1 = in + pixels[1].in;
        const int8_t *w = weights;
        int32_t way;
        hm_tiled_pair s0 = {channels[0].bias, channels[0].bias};
        hm_tiled_pair s1 = {channels[1].bias, channels[1].bias};
        hm_tiled_pair s2 = {channels[2].bias, channels[2].bias};
        hm_tiled_pair s3 = {channels[3].bias, channels[3].bias};
        do {
            HM_TILED_TAP(0);
            HM_TILED_TAP(1);
            HM_TILED_TAP(2);
            int more = fourth;
            __asm__ volatile("" : "+r"(more)); /* or GCC would take a sum's register for it */
            if (more) {
                HM_TILED_TAP(3);
            }
            way = (int32_t)hm_aligned_word(w + HM_TILED_CELL - 4);
            p0 += way;
            p1 += way;
            w += HM_TILED_CELL;
        } while (way != 0);
        if (relu) { /* channel by channel: both pixels by what was loaded once */
            uint8_t *const to0 = out + pixels[0].out;
            uint8_t *const to1 = out + pixels[1].out;
            to0[0] = hm_tiled_relu(s0.a, channels[0]);
            to1[0] = hm_tiled_relu(s0.b, channels[0]);
            to0[next] = hm_tiled_relu(s1.a, channels[1]);
            to1[next] = hm_tiled_relu(s1.b, channels[1]);
            to0[2 * next] = hm_tiled_relu(s2.a, channels[2]);
            to1[2 * next] = hm_tiled_relu(s2.b, channels[2]);
            to0[3 * next] = hm_tiled_relu(s3.a, channels[3]);
            to1[3 * next] = hm_tiled_relu(s3.b, channels[3]);
        } else {
            const int32_t sums[2][4] = {{s0.a, s1.a, s2.a, s3.a}, {s0.b, s1.b, s2.b, s3.b}};
            for (int i = 0; i < 2; i++) {
                hm_tiled_outputs(channels, 0, sums[i], out + pixels[i].out, next);
            }
        }
    }
}

#endif

#endif
