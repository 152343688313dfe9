/* Helium (Armv8.1-M MVE): sixteen products an instruction.
 *
 * VMLADAV multiplies bytes of one sign, so a group's input is copied to scratch as u - 128 = q, int8, its channels side
 * by side, padding included: then the k pixels under a row of the kernel are k * channels neighbouring bytes. What is
 * taken off comes back in the bias, 128 times the sum of the weights. Lanes behind the last weight of a row hold weight
 * 0, so that it does not matter what input is in them. Four neighbouring outputs of a row are requantised together. */
#ifndef HM_HELIUM_H
#define HM_HELIUM_H

#include "hm_conv.h"

#include <arm_mve.h>

/* A convolution as these functions see it: see Kernel; right: padding columns behind a row; pitch: bytes of a row of one
 * group's input in scratch, a multiple of 16. */
typedef struct hm_helium {
    uint16_t k;
    uint16_t stride;
    uint16_t left;
    uint16_t right;
    uint16_t in_w;
    uint16_t in_c;
    uint16_t in_g;
    uint16_t out_w;
    uint16_t out_c;
    uint16_t out_g;
    uint16_t shuffle;
    uint16_t pitch;
    uint8_t relu;
    uint8_t padding;
} hm_helium;

/* What turns four sums of one channel into bytes. */
typedef struct hm_helium_channel {
    int32_t bias;
    int32_t multiplier;
    int32_t shift; /* to the left */
} hm_helium_channel;

/* Copies n rows of group g to scratch; padding is what stands for zero. */
__attribute__((noinline, unused)) static void hm_helium_rows(const hm_helium *s, const uint8_t *const *rows, int n, int g,
                                                              int8_t *planes)
{
    const int in_g = s->in_g;
    const int in_c = s->in_c;
    const uint8x16_t turn = vdupq_n_u8(0x80);
    const uint8x16_t zero = vdupq_n_u8(s->padding ^ 0x80);
    const uint32x4_t spread = vmulq_n_u32(vidupq_n_u32(0, 1), (uint32_t)in_c);

    for (int y = 0; y < n; y++, planes += s->pitch) {
        uint8_t *to = (uint8_t *)planes;
        const int unknown = rows[y] == NULL ? s->pitch : s->left * in_g;
        for (int i = 0; i < unknown; i += 16) {
            vstrbq_u8(to + i, zero);
        }
        if (rows[y] == NULL) {
            continue;
        }
        const uint8_t *from = rows[y] + g * in_g;
        to += s->left * in_g;
        if (in_g == in_c) {
            for (int left = s->in_w * in_c; left > 0; left -= 16, from += 16, to += 16) {
                vstrbq_u8(to, veorq_u8(vldrbq_z_u8(from, vctp8q((uint32_t)left)), turn));
            }
        } else if (in_g == 4 && s->padding == 0) { /* whole words, in maps: the image may lie at any address */
            for (int left = s->in_w; left > 0; left -= 4, from += 4 * in_c, to += 16) {
                const uint32x4_t words = vldrwq_gather_offset_z_u32((const uint32_t *)(const void *)from, spread, vctp32q((uint32_t)left));
                vstrbq_u8(to, veorq_u8(vreinterpretq_u8_u32(words), turn));
            }
        } else {
            for (int x = 0; x < s->in_w; x++, from += in_c, to += in_g) {
                for (int i = 0; i < in_g; i += 16) {
                    vstrbq_u8(to + i, veorq_u8(vldrbq_z_u8(from + i, vctp8q((uint32_t)(in_g - i))), turn));
                }
            }
        }
        to = (uint8_t *)planes + (s->left + s->in_w) * in_g;
        for (int i = 0; i < s->right * in_g; i += 16) {
            vstrbq_u8(to + i, zero);
        }
    }
}

/* n weights, at most 16, and zeros behind them. */
static inline int8x16_t hm_helium_weights(const int8_t *weight, int n)
{
    return vldrbq_z_s8(weight, vctp8q((uint32_t)n));
}

static inline hm_helium_channel hm_helium_load(const hm_conv *conv, int c, int32_t sum_of_weights)
{
    const hm_helium_channel channel = {conv->bias[c] + 128 * sum_of_weights, conv->multiplier[c], -(int32_t)conv->shift[c]};
    return channel;
}

/* The sums of one pixel: of two channels in %[a] and %[b], over three or two vectors; the pointers go on to the next. */
#define HM_HELIUM_PIXEL2(a, b)                                                                                          \
    "vldrb.8 %q[b], [%[p0]], #%c[step]\n\t"                                                                             \
    "vmladav.s8 %[" a "], %q[b], %q[w0]\n\t"                                                                            \
    "vmladav.s8 %[" b "], %q[b], %q[v0]\n\t"                                                                            \
    "vldrb.8 %q[b], [%[p1]], #%c[step]\n\t"                                                                             \
    "vmladava.s8 %[" a "], %q[b], %q[w1]\n\t"                                                                           \
    "vmladava.s8 %[" b "], %q[b], %q[v1]\n\t"
#define HM_HELIUM_PIXEL3(a, b)                                                                                          \
    HM_HELIUM_PIXEL2(a, b)                                                                                              \
    "vldrb.8 %q[b], [%[p2]], #%c[step]\n\t"                                                                             \
    "vmladava.s8 %[" a "], %q[b], %q[w2]\n\t"                                                                           \
    "vmladava.s8 %[" b "], %q[b], %q[v2]\n\t"

/* Four outputs of one channel before they are cut to bytes: both roundings. */
static inline int32x4_t hm_helium_scaled(int32x4_t sum, hm_helium_channel c)
{
    return vrshlq_n_s32(vqrdmulhq_n_s32(vaddq_n_s32(sum, c.bias), c.multiplier), c.shift);
}

/* Behind a ReLU, bytes between 0 and 255. */
static inline int32x4_t hm_helium_relu(int32x4_t sum, hm_helium_channel c)
{
    const uint16x8_t u = vqmovunbq_s32(vuninitializedq_u16(), hm_helium_scaled(sum, c));
    return vreinterpretq_s32_u8(vqmovnbq_u16(vuninitializedq_u8(), u));
}

/* The same at a linear end: halves away from zero, so one less before the shift if negative. */
static inline int32x4_t hm_helium_linear(int32x4_t sum, hm_helium_channel c)
{
    const int32x4_t high = vqrdmulhq_n_s32(vaddq_n_s32(sum, c.bias), c.multiplier);
    const int32x4_t less = vshrq_n_s32(vandq_s32(high, vdupq_n_s32(c.shift)), 31); /* c.shift is negative, or 0 */
    const int16x8_t q = vqmovnbq_s32(vuninitializedq_s16(), vrshlq_n_s32(vaddq_s32(high, less), c.shift));
    return vreinterpretq_s32_s8(vqmovnbq_s16(vuninitializedq_s8(), q));
}

/* Channels first ... first + out_g - 1 of n rows, two channels at a time, behind a ReLU. Their weights stay in registers:
 * `steps` vectors each, over the k = steps rows of the kernel or over a pixel's channels. step: bytes from pixel to pixel.
 *
 * Registers of the loop: six vectors of weights, one of input, one of the first channel's sums; of the others, VMLADAV
 * adds to even ones alone. */
__attribute__((always_inline)) static inline void hm_helium_pairs(const hm_helium *s, const hm_conv *conv, int first,
                                                                  const int8_t *planes, uint8_t *const *out, int n,
                                                                  const int steps, const int step)
{
    const int line = s->k * s->in_g;
    const int next_weights = steps == s->k ? line : 16;
    const int next = steps == s->k ? s->pitch : 16;
    const int rest = steps == s->k ? line : line - 16 * (steps - 1);
    const int size = s->out_c / s->shuffle;
    const uint16x8_t pixels = vmulq_n_u16(vshrq_n_u16(vidupq_n_u16(0, 1), 1), s->out_c);

    for (int c = first; c < first + s->out_g; c += 2) {
        const int8_t *w = conv->weight + c * s->k * line;
        const int8_t *v = w + s->k * line;
        const int8x16_t w0 = hm_helium_weights(w, line);
        const int8x16_t v0 = hm_helium_weights(v, line);
        const int8x16_t w1 = hm_helium_weights(w + next_weights, rest);
        const int8x16_t v1 = hm_helium_weights(v + next_weights, rest);
        const int8x16_t w2 = steps > 2 ? hm_helium_weights(w + 2 * next_weights, rest) : w1;
        const int8x16_t v2 = steps > 2 ? hm_helium_weights(v + 2 * next_weights, rest) : v1;
        int32_t sum_w = vaddvaq_s8(vaddvq_s8(w0), w1);
        int32_t sum_v = vaddvaq_s8(vaddvq_s8(v0), v1);
        if (steps > 2) {
            sum_w = vaddvaq_s8(sum_w, w2);
            sum_v = vaddvaq_s8(sum_v, v2);
        }
        const hm_helium_channel cw = hm_helium_load(conv, c, sum_w);
        const hm_helium_channel cv = hm_helium_load(conv, c + 1, sum_v);
        const int place_w = hm_shuffled(c, s->shuffle, size);
        const int place_v = hm_shuffled(c + 1, s->shuffle, size);
        const int place = place_w < place_v ? place_w : place_v;
        const uint32_t both = (uint32_t)(place_v - place) << 16 | (uint32_t)(place_w - place);
        const uint16x8_t places = vaddq_u16(pixels, vreinterpretq_u16_u32(vdupq_n_u32(both)));
        for (int y = 0; y < n; y++) {
            const int8_t *p0 = planes + y * s->stride * s->pitch;
            const int8_t *p1 = p0 + next;
            const int8_t *p2 = p1 + next;
            uint8_t *to = out[y] + place;
            for (int left = s->out_w; left > 0; left -= 4, to += 4 * s->out_c) {
                int32x4_t sums_w;
                int32x4_t sums_v;
                int32_t a0, a1, b0, b1, b2, b3;
                if (steps > 2) {
                    __asm__(HM_HELIUM_PIXEL3("a0", "b0") HM_HELIUM_PIXEL3("a1", "b1") "vmov %e[a], %[a0], %[a1]\n\t"
                            HM_HELIUM_PIXEL3("a0", "b2") HM_HELIUM_PIXEL3("a1", "b3") "vmov %f[a], %[a0], %[a1]\n\t"
                            "vmov %e[b], %[b0], %[b1]\n\t"
                            "vmov %f[b], %[b2], %[b3]"
                            : [a] "=&w"(sums_w), [b] "=&w"(sums_v), [p0] "+r"(p0), [p1] "+r"(p1), [p2] "+r"(p2),
                              [a0] "=&Te"(a0), [a1] "=&Te"(a1), [b0] "=&Te"(b0), [b1] "=&Te"(b1), [b2] "=&Te"(b2),
                              [b3] "=&Te"(b3)
                            : [w0] "w"(w0), [w1] "w"(w1), [w2] "w"(w2), [v0] "w"(v0), [v1] "w"(v1), [v2] "w"(v2),
                              [step] "i"(step)
                            : "memory");
                } else {
                    __asm__(HM_HELIUM_PIXEL2("a0", "b0") HM_HELIUM_PIXEL2("a1", "b1") "vmov %e[a], %[a0], %[a1]\n\t"
                            HM_HELIUM_PIXEL2("a0", "b2") HM_HELIUM_PIXEL2("a1", "b3") "vmov %f[a], %[a0], %[a1]\n\t"
                            "vmov %e[b], %[b0], %[b1]\n\t"
                            "vmov %f[b], %[b2], %[b3]"
                            : [a] "=&w"(sums_w), [b] "=&w"(sums_v), [p0] "+r"(p0), [p1] "+r"(p1),
                              [a0] "=&Te"(a0), [a1] "=&Te"(a1), [b0] "=&Te"(b0), [b1] "=&Te"(b1), [b2] "=&Te"(b2),
                              [b3] "=&Te"(b3)
                            : [w0] "w"(w0), [w1] "w"(w1), [v0] "w"(v0), [v1] "w"(v1), [step] "i"(step)
                            : "memory");
                }
                const uint16x8_t u = vqmovuntq_s32(vqmovunbq_s32(vuninitializedq_u16(), hm_helium_scaled(sums_w, cw)), hm_helium_scaled(sums_v, cv));
                const uint16x8_t bytes = vreinterpretq_u16_u8(vqmovnbq_u16(vuninitializedq_u8(), u));
                vstrbq_scatter_offset_p_u16(to, places, bytes, vctp16q(2 * (uint32_t)left));
            }
        }
    }
}

/* The same for a kernel of one pixel and `steps` vectors of channels, one output channel at a time, linear or not. */
__attribute__((always_inline)) static inline void hm_helium_ones(const hm_helium *s, const hm_conv *conv, int first,
                                                                 const int8_t *planes, uint8_t *const *out, int n,
                                                                 const int steps, const int step)
{
    const int size = s->out_c / s->shuffle;
    const uint32x4_t spread = vmulq_n_u32(vidupq_n_u32(0, 1), s->out_c);

    for (int c = first; c < first + s->out_g; c++) {
        const int8_t *const weight = conv->weight + c * s->in_g;
        int8x16_t w[6];
        int32_t sum = 0;
#pragma GCC unroll 6
        for (int i = 0; i < steps; i++) {
            w[i] = hm_helium_weights(weight + 16 * i, s->in_g - 16 * i);
            sum = vaddvaq_s8(sum, w[i]);
        }
        const hm_helium_channel channel = hm_helium_load(conv, c, sum);
        for (int y = 0; y < n; y++) {
            int8_t *to = (int8_t *)out[y] + hm_shuffled(c, s->shuffle, size);
            const int8_t *p = planes + y * s->stride * s->pitch;
            for (int left = s->out_w; left > 0; left -= 4, to += 4 * s->out_c) {
                int32_t a[4];
#pragma GCC unroll 4
                for (int x = 0; x < 4; x++, p += step) {
                    a[x] = vmladavq_s8(vldrbq_s8(p), w[0]);
#pragma GCC unroll 5
                    for (int i = 1; i < steps; i++) {
                        a[x] = vmladavaq_s8(a[x], vldrbq_s8(p + 16 * i), w[i]);
                    }
                }
                int32x4_t sums;
                __asm__("vmov %e0, %1, %2\n\tvmov %f0, %3, %4" : "=w"(sums) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]));
                vstrbq_scatter_offset_p_s32(to, spread, s->relu ? hm_helium_relu(sums, channel) : hm_helium_linear(sums, channel), vctp32q((uint32_t)left));
            }
        }
    }
}

/* The same for any shape, one channel at a time, with a linear end or without. */
__attribute__((noinline, unused)) static void hm_helium_any(const hm_helium *s, const hm_conv *conv, int first,
                                                            const int8_t *planes, uint8_t *const *out, int n)
{
    const int line = s->k * s->in_g;
    const int step = s->stride * s->in_g;
    const int size = s->out_c / s->shuffle;
    const uint32x4_t spread = vmulq_n_u32(vidupq_n_u32(0, 1), s->out_c);

    for (int c = first; c < first + s->out_g; c++) {
        const int8_t *const weight = conv->weight + c * s->k * line;
        int32_t sum = 0;
        for (int t = 0; t < s->k * line; t += 16) {
            sum = vaddvaq_s8(sum, hm_helium_weights(weight + t, s->k * line - t));
        }
        const hm_helium_channel channel = hm_helium_load(conv, c, sum);
        for (int y = 0; y < n; y++) {
            int8_t *to = (int8_t *)out[y] + hm_shuffled(c, s->shuffle, size);
            const int8_t *p = planes + y * s->stride * s->pitch;
            for (int left = s->out_w; left > 0; left -= 4, p += 4 * step, to += 4 * s->out_c) {
                int32_t a[4] = {0, 0, 0, 0};
                const int8_t *w = weight;
                for (int ky = 0; ky < s->k; ky++, w += line) {
                    for (int t = 0; t < line; t += 16) {
                        const int8_t *q = p + ky * s->pitch + t;
                        const int8x16_t v = hm_helium_weights(w + t, line - t);
#pragma GCC unroll 4
                        for (int i = 0; i < 4; i++, q += step) {
                            a[i] = vmladavaq_s8(a[i], vldrbq_s8(q), v);
                        }
                    }
                }
                int32x4_t sums;
                __asm__("vmov %e0, %1, %2\n\tvmov %f0, %3, %4" : "=w"(sums) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]));
                vstrbq_scatter_offset_p_s32(to, spread, s->relu ? hm_helium_relu(sums, channel) : hm_helium_linear(sums, channel), vctp32q((uint32_t)left));
            }
        }
    }
}

/* An Add: n rows of `size` bytes. */
__attribute__((noinline, unused)) static void hm_helium_sums(const uint8_t *const *a, uint8_t *const *b,
                                                             uint8_t *const *out, int n, int size)
{
    for (int y = 0; y < n; y++) {
        const uint8_t *p = a[y];
        const uint8_t *q = b[y];
        uint8_t *to = out[y];
        for (int i = size / 16; i > 0; i--, p += 16, q += 16, to += 16) {
            vstrbq_u8(to, vqaddq_u8(vldrbq_u8(p), vldrbq_u8(q)));
        }
        const mve_pred16_t rest = vctp8q((uint32_t)size % 16);
        vstrbq_p_u8(to, vqaddq_u8(vldrbq_z_u8(p, rest), vldrbq_z_u8(q, rest)), rest);
    }
}

/* The same before a shuffle: n rows of `width` pixels, at most 256 channels, sixteen of each pixel at a time. */
__attribute__((noinline, unused)) static void hm_helium_sums_shuffled(const uint8_t *const *a, uint8_t *const *b,
                                                                      uint8_t *const *out, int n, int width, int channels,
                                                                      int groups)
{
    for (int c = 0, place = 0; c < channels; c += 16) {
        uint8_t where[16];
        for (int i = 0; i < 16; i++) {
            where[i] = (uint8_t)place;
            place = place + groups < channels ? place + groups : place + groups - channels + 1;
        }
        const uint8x16_t places = vldrbq_u8(where);
        const mve_pred16_t there = vctp8q((uint32_t)(channels - c));
        for (int y = 0; y < n; y++) {
            const uint8_t *p = a[y] + c;
            const uint8_t *q = b[y] + c;
            uint8_t *to = out[y];
            for (int x = width; x > 0; x--, p += channels, q += channels, to += channels) {
                const uint8x16_t sum = vqaddq_u8(vldrbq_z_u8(p, there), vldrbq_z_u8(q, there));
                vstrbq_scatter_offset_p_u8(to, places, sum, there);
            }
        }
    }
}

#endif
