/* 1x1 convolutions by the DSP instructions: two outputs of two pixels at a time. */
#ifndef HM_DSP_1X1_H
#define HM_DSP_1X1_H

#include "hm_dsp.h"

/* What lies behind the weights of two channels. */
typedef struct hm_dsp_pair {
    hm_dsp_scale scale0;
    uint32_t place0; /* of their bytes in a pixel */
    uint32_t place1;
    uint8_t *const *to; /* two pixels a block */
    hm_dsp_scale scale1;
    int32_t bias0;
    int32_t bias1;
    const uint32_t *end; /* of the input */
    uint32_t kept;       /* r7 meanwhile */
} hm_dsp_pair;

HM_STATIC_ASSERT(sizeof(void *) != 4 || (offsetof(hm_dsp_pair, scale1) == 24 && offsetof(hm_dsp_pair, kept) == 48 &&
                                         sizeof(hm_dsp_pair) == 52),
                 "HM_DSP_PAIRS and kernels/dsp.py expect another hm_dsp_pair");

/* Four channels of two pixels: what one pixel brings to two outputs is loaded once, and so is a weight for two pixels. */
#define HM_DSP_STEP(sum1, sum3)                                                                                        \
    "ldm r0!, {r4, r5, r6, r8}\n\t"                                                                                    \
    "ldm r1!, {r9, r10, r11, r12}\n\t"                                                                                 \
    "smlad r3, r10, r4, " sum1 "\n\t"                                                                                  \
    "smlad r2, r9, r4, r2\n\t"                                                                                         \
    "smlad r7, r10, r5, " sum3 "\n\t"                                                                                  \
    "smlad lr, r9, r5, lr\n\t"                                                                                         \
    "smlad r3, r12, r6, r3\n\t"                                                                                        \
    "smlad r2, r11, r6, r2\n\t"                                                                                        \
    "smlad r7, r12, r8, r7\n\t"                                                                                        \
    "smlad lr, r11, r8, lr\n\t"
#define HM_DSP_FIRST HM_DSP_STEP("r2", "lr")
#define HM_DSP_NEXT4 HM_DSP_STEP("r3", "r7")
#define HM_DSP_MORE "ldr r4, [r0], #4\n\tcmp r4, #0\n\tbne 2b\n\t" /* of them, if the word behind the weights says so */

/* The blocks of two channels whose weights take `size` bytes, at most 980; steps: all products; byte: HM_DSP_BYTE, or
 * HM_DSP_SIGNED at a linear end. */
#define HM_DSP_PAIRS(name, size, steps, byte)                                                                          \
    __attribute__((noinline, unused)) static void name(const uint32_t *w, const uint32_t *x)                           \
    {                                                                                                                  \
        register const uint32_t *r0 __asm__("r0") = w;                                                                 \
        register const uint32_t *r1 __asm__("r1") = x;                                                                 \
        __asm__ volatile("str r7, [r0, %[kept]]\n\t"                                                                   \
                         "1: ldrd r2, lr, [r0, %[bias]]\n\t" steps                                                     \
                         "ldm r0!, {r4, r5, r6, r8, r9, r10}\n\t"                                                      \
                         "ldm r10!, {r11, r12}\n\t"                                                                    \
                         "str r10, [r0, #-4]\n\t" byte("r2") "strb r2, [r11, r8]\n\t" byte("r3")                       \
                         "strb r3, [r12, r8]\n\t"                                                                      \
                         "ldm r0, {r4, r5, r6}\n\t" byte("lr") "strb lr, [r11, r9]\n\t" byte("r7")                     \
                         "strb r7, [r12, r9]\n\t"                                                                      \
                         "ldr r4, [r0, #20]\n\t"                                                                       \
                         "sub r0, r0, %[back]\n\t"                                                                     \
                         "cmp r1, r4\n\t"                                                                              \
                         "bne 1b\n\t"                                                                                  \
                         "ldr r7, [r0, %[kept]]"                                                                       \
                         : "+r"(r0), "+r"(r1)                                                                          \
                         : [kept] "i"((size) + 48), [bias] "i"((size) + 36), [back] "i"((size) + 24)                   \
                         : "r2", "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");       \
    }

/* For n steps the pairs of four bytes each of a and b. */
#define HM_DSP_INTERLEAVE(name, instruction)                                                                           \
    static inline uint32_t *name(uint32_t *into, const void *even, const void *odd, int steps)                         \
    {                                                                                                                  \
        register uint32_t *to __asm__("r0") = into; /* by name, as in hm_dsp_planes */                                 \
        register const void *a __asm__("r1") = even;                                                                   \
        register const void *b __asm__("r2") = odd;                                                                    \
        register int n __asm__("r12") = steps;                                                                         \
        __asm__ volatile("1: ldr r8, [%[a]], #4\n\t"                                                                   \
                         "ldr r9, [%[b]], #4\n\t" instruction " r3, r8\n\t" instruction " r4, r9\n\t" instruction      \
                         " r5, r8, ror #8\n\t" instruction " r6, r9, ror #8\n\t"                                       \
                         "stm %[to]!, {r3, r4, r5, r6}\n\t"                                                            \
                         "subs %[n], #1\n\t"                                                                           \
                         "bne 1b"                                                                                      \
                         : [to] "+&r"(to), [a] "+&r"(a), [b] "+&r"(b), [n] "+&r"(n)                                    \
                         :                                                                                             \
                         : "r3", "r4", "r5", "r6", "r8", "r9", "cc", "memory");                                        \
        return to;                                                                                                     \
    }
HM_DSP_INTERLEAVE(hm_dsp_pixels, "uxtb16")
HM_DSP_INTERLEAVE(hm_dsp_weights, "sxtb16")

/* Where the pixels of n rows go, two a block, and group g of their input; an odd last one makes a block with itself.
 * Returns the end of the input. */
__attribute__((noinline, unused)) static uint32_t *hm_dsp_blocks2(const hm_dsp *s, const uint8_t *const *rows, int n, int g,
                                                                  uint8_t *const *out, uint8_t **to, uint32_t *x)
{
    const uint8_t *even = NULL;
    int odd = 0;
    for (int y = 0; y < n; y++) {
        const uint8_t *from = rows[y * s->stride] + g * s->in_g;
        uint8_t *pixel = out[y];
        for (int i = s->out_w; i > 0; i--, from += s->stride * s->in_c, pixel += s->out_c) {
            *to++ = pixel;
            if (odd) {
                x = hm_dsp_pixels(x, even, from, s->in_g / 4);
            }
            even = from;
            odd ^= 1;
        }
    }
    if (odd) {
        *to = to[-1];
        x = hm_dsp_pixels(x, even, even, s->in_g / 4);
    }
    return x;
}

/* The weights of channels c and c + 1 and what lies behind them; place: of channel c. The weights are `parts` times so many
 * steps and, if there are several, after each a word that is 0 behind the last. */
__attribute__((noinline, unused)) static void hm_dsp_pair_of(const hm_dsp *s, const hm_conv *conv, int c, int place,
                                                             uint32_t *w, int steps, int parts)
{
    const int8_t *weight = conv->weight + c * s->in_g;
    for (int part = parts; part > 0; part--, weight += 4 * steps) {
        w = hm_dsp_weights(w, weight, weight + s->in_g, steps);
        if (parts > 1) {
            *w++ = (uint32_t)part - 1;
        }
    }
    hm_dsp_pair *const pair = (hm_dsp_pair *)(void *)w;
    pair->scale0 = hm_dsp_scale_of(conv, c);
    pair->scale1 = hm_dsp_scale_of(conv, c + 1);
    pair->bias0 = conv->bias[c];
    pair->bias1 = conv->bias[c + 1];
    pair->place0 = (uint32_t)place;
    pair->place1 = (uint32_t)hm_dsp_next(s, place);
    pair->to = (uint8_t *const *)(void *)(pair + 1);
}

/* n rows; pairs: what HM_DSP_PAIRS has made for so many steps and parts. */
__attribute__((always_inline)) static inline void hm_dsp_pointwise(const hm_dsp *s, const hm_conv *conv, uint32_t *scratch,
                                                                   const uint8_t *const *rows, uint8_t *const *out, int n,
                                                                   const int steps, const int parts,
                                                                   void (*pairs)(const uint32_t *, const uint32_t *))
{
    hm_dsp_pair *const pair = (hm_dsp_pair *)(void *)(scratch + (4 * steps + (parts > 1)) * parts);
    uint8_t **const to = (uint8_t **)(void *)(pair + 1);
    uint32_t *const pixels = (uint32_t *)(void *)(to + (n * s->out_w + 1) / 2 * 2);
    for (int c = 0, g = 0, place = 0; c < s->out_c; g++) {
        pair->end = hm_dsp_blocks2(s, rows, n, g, out, to, pixels);
        for (int end = c + s->out_g; c < end; c += 2) {
            hm_dsp_pair_of(s, conv, c, place, scratch, steps, parts);
            place = hm_dsp_next(s, hm_dsp_next(s, place));
            pairs(scratch, pixels);
        }
    }
}

#endif
