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
        } else if (in_g == 4) {
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

static inline int32x4_t hm_helium_vector(int32_t a, int32_t b, int32_t c, int32_t d)
{
    int32x4_t v;
    __asm__("vmov %e0, %1, %2\n\tvmov %f0, %3, %4" : "=&w"(v) : "r"(a), "r"(b), "r"(c), "r"(d));
    return v;
}

/* Stores four outputs behind a ReLU, in the low byte of each lane: both roundings, and between 0 and 255. */
static inline int32x4_t hm_helium_relu(int32x4_t sum, hm_helium_channel c)
{
    const int32x4_t r = vrshlq_n_s32(vqrdmulhq_n_s32(vaddq_n_s32(sum, c.bias), c.multiplier), c.shift);
    const uint16x8_t u = vqmovunbq_s32(vreinterpretq_u16_s32(r), r);
    return vreinterpretq_s32_u8(vqmovnbq_u16(vreinterpretq_u8_u16(u), u));
}

/* The same at a linear end, between -128 and 127: halves away from zero, so one less before the shift if negative. */
static inline int32x4_t hm_helium_linear(int32x4_t sum, hm_helium_channel c)
{
    const int32x4_t high = vqrdmulhq_n_s32(vaddq_n_s32(sum, c.bias), c.multiplier);
    const int32x4_t less = vshrq_n_s32(vandq_s32(high, vdupq_n_s32(c.shift)), 31); /* c.shift is negative, or 0 */
    const int32x4_t r = vrshlq_n_s32(vaddq_s32(high, less), c.shift);
    const int16x8_t q = vqmovnbq_s32(vreinterpretq_s16_s32(r), r);
    return vreinterpretq_s32_s8(vqmovnbq_s16(vreinterpretq_s8_s16(q), q));
}

/* Channels first ... first + out_g - 1 of n rows, two channels at a time, behind a ReLU. Their weights stay in registers:
 * `steps` vectors each, over the k = steps rows of the kernel or over a pixel's channels. step: bytes from pixel to pixel. */
__attribute__((always_inline)) static inline void hm_helium_pairs(const hm_helium *s, const hm_conv *conv, int first,
                                                                  const int8_t *planes, uint8_t *const *out, int n,
                                                                  const int steps, const int step)
{
    const int line = s->k * s->in_g;
    const int next_weights = steps == s->k ? line : 16;
    const int next = steps == s->k ? s->pitch : 16;
    const int rest = steps == s->k ? line : line - 16 * (steps - 1);
    const int size = s->out_c / s->shuffle;
    const uint32x4_t spread = vmulq_n_u32(vidupq_n_u32(0, 1), s->out_c);

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
        for (int y = 0; y < n; y++) {
            const int8_t *p = planes + y * s->stride * s->pitch;
            int8_t *to_w = (int8_t *)out[y] + place_w;
            int8_t *to_v = (int8_t *)out[y] + place_v;
            for (int left = s->out_w; left > 0; left -= 4, p += 4 * step, to_w += 4 * s->out_c, to_v += 4 * s->out_c) {
                int32_t a[4];
                int32_t b[4];
#pragma GCC unroll 4
                for (int i = 0; i < 4; i++) {
                    int8x16_t q = vldrbq_s8(p + i * step);
                    a[i] = vmladavq_s8(q, w0);
                    b[i] = vmladavq_s8(q, v0);
                    q = vldrbq_s8(p + next + i * step);
                    a[i] = vmladavaq_s8(a[i], q, w1);
                    b[i] = vmladavaq_s8(b[i], q, v1);
                    if (steps > 2) {
                        q = vldrbq_s8(p + 2 * next + i * step);
                        a[i] = vmladavaq_s8(a[i], q, w2);
                        b[i] = vmladavaq_s8(b[i], q, v2);
                    }
                }
                const mve_pred16_t there = vctp32q((uint32_t)left);
                const int32x4_t sums_w = hm_helium_vector(a[0], a[1], a[2], a[3]);
                const int32x4_t sums_v = hm_helium_vector(b[0], b[1], b[2], b[3]);
                vstrbq_scatter_offset_p_s32(to_w, spread, hm_helium_relu(sums_w, cw), there);
                vstrbq_scatter_offset_p_s32(to_v, spread, hm_helium_relu(sums_v, cv), there);
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
                const int32x4_t sums = hm_helium_vector(a[0], a[1], a[2], a[3]);
                const int32x4_t bytes = s->relu ? hm_helium_relu(sums, channel) : hm_helium_linear(sums, channel);
                vstrbq_scatter_offset_p_s32(to, spread, bytes, vctp32q((uint32_t)left));
            }
        }
    }
}

#endif
