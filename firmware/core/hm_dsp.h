/* The DSP instructions of Armv7E-M and Armv8-M: two products an instruction.
 *
 * SMLAD multiplies pairs of 16-bit numbers, so a strip's input and one or two channels' weights are widened to words of
 * two in scratch, and used from there many times. A word holds two channels of a pixel: 0 and 2 of four neighbouring
 * ones, then 1 and 3, as UXTB16 and SXTB16 give them. What a channel needs to become a byte lies behind its weights: when
 * the products are summed, the pointer to the weights has arrived there. */
#ifndef HM_DSP_H
#define HM_DSP_H

#include "hm_conv.h"
#include "hm_memory.h"

/* A convolution as these functions see it: see Kernel; pitch: words of a row of a plane. */
typedef struct hm_dsp {
    uint16_t k;
    uint16_t stride;
    uint16_t left;
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
} hm_dsp;

/* What turns a channel's sums into bytes: SMMLAR(a, multiplier, a) is the rounding doubling high product. */
typedef struct hm_dsp_scale {
    int32_t multiplier; /* doubled, less 2^32 */
    int32_t half;       /* of 2^shift */
    int32_t shift;
} hm_dsp_scale;

static inline hm_dsp_scale hm_dsp_scale_of(const hm_conv *conv, int c)
{
    const uint32_t shift = conv->shift[c];
    const hm_dsp_scale scale = {(int32_t)((uint32_t)conv->multiplier[c] << 1), (int32_t)((UINT32_C(1) << shift) >> 1), (int32_t)shift};
    return scale;
}

/* Four bytes at any address. */
static inline uint32_t hm_dsp_word(const void *from)
{
    uint32_t word;
    hm_copy(&word, from, sizeof word);
    return word;
}

/* Bytes 0 and 2 of a word as a pair of numbers, and bytes 1 and 3; without a sign, then with. */
#define HM_DSP_PAIR(name, instruction)                                                                                  \
    static inline uint32_t name(uint32_t word)                                                                          \
    {                                                                                                                   \
        uint32_t pair;                                                                                                  \
        __asm__(instruction : "=r"(pair) : "r"(word));                                                                  \
        return pair;                                                                                                    \
    }
HM_DSP_PAIR(hm_dsp_u02, "uxtb16 %0, %1")
HM_DSP_PAIR(hm_dsp_u13, "uxtb16 %0, %1, ror #8")
HM_DSP_PAIR(hm_dsp_s02, "sxtb16 %0, %1")
HM_DSP_PAIR(hm_dsp_s13, "sxtb16 %0, %1, ror #8")
#undef HM_DSP_PAIR

/* Behind a ReLU: both roundings, cut to a byte; r4, r5 and r6 hold a hm_dsp_scale. Below zero neither can reach 1. */
#define HM_DSP_BYTE(a)                                                                                                  \
    "smmlar %[" a "], %[" a "], r4, %[" a "]\n\t"                                                                       \
    "add %[" a "], %[" a "], r5\n\t"                                                                                    \
    "asr %[" a "], %[" a "], r6\n\t"                                                                                    \
    "usat %[" a "], #8, %[" a "]\n\t"

/* The same at a linear end: halves away from zero, so one less before the shift if negative and shifted at all. */
#define HM_DSP_SIGNED(a)                                                                                                \
    "smmlar %[" a "], %[" a "], r4, %[" a "]\n\t"                                                                       \
    "rsb r11, r6, #0\n\t"                                                                                               \
    "and r11, r11, %[" a "]\n\t"                                                                                        \
    "add %[" a "], %[" a "], r11, asr #31\n\t"                                                                          \
    "add %[" a "], %[" a "], r5\n\t"                                                                                    \
    "asr %[" a "], %[" a "], r6\n\t"                                                                                    \
    "ssat %[" a "], #8, %[" a "]\n\t"

/* ---- 3x3: four neighbouring outputs of one channel, a block, at a time ---- */

/* What lies behind the weights of a channel. */
typedef struct hm_dsp_channel {
    hm_dsp_scale scale;
    uint32_t place;   /* of its bytes in a pixel */
    uint32_t pixel;   /* bytes from pixel to pixel */
    uint32_t pixels3; /* and over three */
    int32_t bias;
} hm_dsp_channel;

/* Where the pixels of a block go, and where the input of the next one lies: NULL behind the last. */
typedef struct hm_dsp_block {
    uint8_t *to;
    const uint32_t *next;
} hm_dsp_block;

/* The blocks of n rows from their input on: `row` words for a row of outputs, `step` for one of them. Where a row is no
 * multiple of four wide, its last block computes some outputs again. */
static inline void hm_dsp_blocks(const hm_dsp *s, hm_dsp_block *block, const uint32_t *x, int row, int step,
                                 uint8_t *const *out, int n)
{
    const int last = s->out_w - 4;
    for (int y = 0; y < n; y++, x += row) {
        for (int i = 0; i < last + 4; i += 4, block++) {
            const int now = i < last ? i : last;
            const int next = i + 4 < last ? i + 4 : last;
            block->to = out[y] + now * s->out_c;
            block->next = now < last ? x + next * step : x + row;
        }
    }
    block[-1].next = NULL;
}

static inline void hm_dsp_begin(hm_dsp_channel *channel, const hm_dsp *s, const hm_conv *conv, int c)
{
    channel->scale = hm_dsp_scale_of(conv, c);
    channel->place = (uint32_t)hm_shuffled(c, s->shuffle, s->out_c / s->shuffle);
    channel->bias = conv->bias[c];
}

/* The sums a0 ... a3 to the bytes of a block. */
#define HM_DSP_STORE                                                                                                    \
    "add %[x], %[x], r8\n\t" HM_DSP_BYTE("a0") "strb %[a0], [%[x]]\n\t" HM_DSP_BYTE("a1") "strb %[a1], [%[x], r9]\n\t"  \
    HM_DSP_BYTE("a2") "strb %[a2], [%[x], r9, lsl #1]\n\t" HM_DSP_BYTE("a3") "strb %[a3], [%[x], r10]\n\t"

/* Three weights and four pixels' input of one pair of channels, from neighbouring columns ... */
#define HM_DSP_PLANE1(bias0, bias1, bias2, bias3)                                                                       \
    "ldm %[w]!, {r4, r5, r6}\n\t"                                                                                       \
    "ldm %[x]!, {r8, r9, r10}\n\t"                                                                                      \
    "smlad %[a0], r8, r4, %[" bias0 "]\n\t"                                                                             \
    "smlad %[a1], r9, r4, %[" bias1 "]\n\t"                                                                             \
    "smlad %[a2], r10, r4, %[" bias2 "]\n\t"                                                                            \
    "smlad %[a0], r9, r5, %[a0]\n\t"                                                                                    \
    "smlad %[a1], r10, r5, %[a1]\n\t"                                                                                   \
    "smlad %[a0], r10, r6, %[a0]\n\t"                                                                                   \
    "ldm %[x]!, {r8, r9, r10}\n\t"                                                                                      \
    "smlad %[a3], r8, r4, %[" bias3 "]\n\t"                                                                             \
    "smlad %[a2], r8, r5, %[a2]\n\t"                                                                                    \
    "smlad %[a1], r8, r6, %[a1]\n\t"                                                                                    \
    "smlad %[a3], r9, r5, %[a3]\n\t"                                                                                    \
    "smlad %[a2], r9, r6, %[a2]\n\t"                                                                                    \
    "smlad %[a3], r10, r6, %[a3]\n\t"

/* ... and from every second one. */
#define HM_DSP_PLANE2(bias0, bias1, bias2, bias3)                                                                       \
    "ldm %[w]!, {r4, r5, r6}\n\t"                                                                                       \
    "ldm %[x]!, {r8, r9, r10}\n\t"                                                                                      \
    "smlad %[a0], r8, r4, %[" bias0 "]\n\t"                                                                             \
    "smlad %[a1], r10, r4, %[" bias1 "]\n\t"                                                                            \
    "smlad %[a0], r9, r5, %[a0]\n\t"                                                                                    \
    "smlad %[a0], r10, r6, %[a0]\n\t"                                                                                   \
    "ldm %[x]!, {r8, r9, r10}\n\t"                                                                                      \
    "smlad %[a2], r9, r4, %[" bias2 "]\n\t"                                                                             \
    "smlad %[a1], r8, r5, %[a1]\n\t"                                                                                    \
    "smlad %[a1], r9, r6, %[a1]\n\t"                                                                                    \
    "smlad %[a2], r10, r5, %[a2]\n\t"                                                                                   \
    "ldm %[x]!, {r8, r9, r10}\n\t"                                                                                      \
    "smlad %[a3], r8, r4, %[" bias3 "]\n\t"                                                                             \
    "smlad %[a2], r8, r6, %[a2]\n\t"                                                                                    \
    "smlad %[a3], r9, r5, %[a3]\n\t"                                                                                    \
    "smlad %[a3], r10, r6, %[a3]\n\t"

#define HM_DSP_NEXT "add %[x], %[x], %[skip]\n\t"

/* The blocks of a channel over four channels: two planes, three rows of each. */
#define HM_DSP_GROUP(name, plane)                                                                                       \
    __attribute__((noinline, unused)) static void name(const uint32_t *w, const uint32_t *x, uint32_t skip,             \
                                                       const hm_dsp_block *block)                                       \
    {                                                                                                                   \
        int32_t a0, a1, a2, a3;                                                                                         \
        __asm__ volatile(                                                                                               \
            "1: ldr %[a3], [%[w], #96]\n\t" plane("a3", "a3", "a3", "a3") HM_DSP_NEXT plane("a0", "a1", "a2", "a3")     \
                HM_DSP_NEXT plane("a0", "a1", "a2", "a3") HM_DSP_NEXT plane("a0", "a1", "a2", "a3")                     \
                    HM_DSP_NEXT plane("a0", "a1", "a2", "a3") HM_DSP_NEXT plane("a0", "a1", "a2", "a3")                 \
            "ldm %[w], {r4, r5, r6, r8, r9, r10}\n\t"                                                                   \
            "sub %[w], %[w], #72\n\t"                                                                                   \
            "ldr %[x], [%[block]]\n\t" HM_DSP_STORE                                                                     \
            "ldr %[x], [%[block], #4]\n\t"                                                                              \
            "add %[block], %[block], #8\n\t"                                                                            \
            "cmp %[x], #0\n\t"                                                                                          \
            "bne 1b"                                                                                                    \
            : [a0] "=&r"(a0), [a1] "=&r"(a1), [a2] "=&r"(a2), [a3] "=&r"(a3), [x] "+&r"(x), [w] "+&r"(w),               \
              [block] "+&r"(block)                                                                                      \
            : [skip] "r"(skip)                                                                                          \
            : "r4", "r5", "r6", "r8", "r9", "r10", "cc", "memory");                                                     \
    }
HM_DSP_GROUP(hm_dsp_group1, HM_DSP_PLANE1)
HM_DSP_GROUP(hm_dsp_group2, HM_DSP_PLANE2)

HM_STATIC_ASSERT(offsetof(hm_dsp_channel, bias) == 96 - 72, "hm_dsp_group1 and 2 expect the bias there");

/* Group g's four channels of n rows as planes, padding included: of each row channels 0 and 2, then 1 and 3. */
__attribute__((noinline, unused)) static void hm_dsp_planes(const hm_dsp *s, const uint8_t *const *rows, int n, int g,
                                                            uint32_t *p)
{
    const int in_c = s->in_c;
    const int pitch = s->pitch;
    for (int y = 0; y < n; y++, p += pitch) {
        uint32_t *const end = p + pitch;
        if (rows[y] == NULL) {
            hm_fill(p, 0, 8 * (size_t)pitch);
            p = end;
            continue;
        }
        const uint8_t *from = rows[y] + 4 * g;
        for (int x = s->left; x > 0; x--, p++) {
            p[0] = p[pitch] = 0;
        }
        int x = s->in_w;
        for (; x >= 4; x -= 4) {
            uint32_t *q = p + pitch;
            __asm__ volatile("ldr r8, [%[from]]\n\t"
                             "ldr r9, [%[from], %[in_c]]\n\t"
                             "add %[from], %[from], %[in_c], lsl #1\n\t"
                             "ldr r10, [%[from]]\n\t"
                             "ldr r11, [%[from], %[in_c]]\n\t"
                             "add %[from], %[from], %[in_c], lsl #1\n\t"
                             "uxtb16 r3, r8\n\t"
                             "uxtb16 r4, r9\n\t"
                             "uxtb16 r5, r10\n\t"
                             "uxtb16 r6, r11\n\t"
                             "uxtb16 r8, r8, ror #8\n\t"
                             "uxtb16 r9, r9, ror #8\n\t"
                             "uxtb16 r10, r10, ror #8\n\t"
                             "uxtb16 r11, r11, ror #8\n\t"
                             "stm %[p]!, {r3, r4, r5, r6}\n\t"
                             "stm %[q], {r8, r9, r10, r11}"
                             : [from] "+&r"(from), [p] "+&r"(p)
                             : [q] "r"(q), [in_c] "r"(in_c)
                             : "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r11", "memory");
        }
        for (; x > 0; x--, p++, from += in_c) {
            const uint32_t word = hm_dsp_word(from);
            p[0] = hm_dsp_u02(word);
            p[pitch] = hm_dsp_u13(word);
        }
        for (; p < end; p++) {
            p[0] = p[pitch] = 0;
        }
    }
}

/* The 36 weights of a channel over four: for each row of the kernel channels 0 and 2, then 1 and 3. */
static inline void hm_dsp_widen(const int8_t *from, uint32_t *to)
{
    for (int i = 0; i < 3; i++) {
        __asm__ volatile("ldr r8, [%[from]], #4\n\t"
                         "ldr r9, [%[from]], #4\n\t"
                         "ldr r10, [%[from]], #4\n\t"
                         "sxtb16 r4, r8\n\t"
                         "sxtb16 r5, r9\n\t"
                         "sxtb16 r6, r10\n\t"
                         "sxtb16 r8, r8, ror #8\n\t"
                         "sxtb16 r9, r9, ror #8\n\t"
                         "sxtb16 r10, r10, ror #8\n\t"
                         "stm %[to]!, {r4, r5, r6, r8, r9, r10}"
                         : [from] "+&r"(from), [to] "+&r"(to)
                         :
                         : "r4", "r5", "r6", "r8", "r9", "r10", "memory");
    }
}

/* n rows of a 3x3 kernel over groups of four channels. */
__attribute__((noinline, unused)) static void hm_dsp_group(const hm_dsp *s, const hm_conv *conv, uint32_t *scratch,
                                                           const uint8_t *const *rows, uint8_t *const *out, int n)
{
    uint32_t *const wide = scratch;
    hm_dsp_channel *const channel = (hm_dsp_channel *)(void *)(wide + 18);
    hm_dsp_block *const blocks = (hm_dsp_block *)(void *)(channel + 1);
    uint32_t *const planes = (uint32_t *)(void *)(blocks + n * ((s->out_w + 3) / 4));
    const uint32_t skip = 4 * ((uint32_t)s->pitch - (s->stride == 1 ? 6 : 9));
    hm_dsp_blocks(s, blocks, planes, 2 * s->stride * s->pitch, s->stride, out, n);
    channel->pixel = s->out_c;
    channel->pixels3 = 3U * s->out_c;
    for (int c = 0; c < s->out_c; c++) {
        if (c % s->out_g == 0) {
            hm_dsp_planes(s, rows, (n - 1) * s->stride + 3, c / s->out_g, planes);
        }
        hm_dsp_widen(conv->weight + 36 * c, wide);
        hm_dsp_begin(channel, s, conv, c);
        if (s->stride == 1) {
            hm_dsp_group1(wide, planes, skip, blocks);
        } else {
            hm_dsp_group2(wide, planes, skip, blocks);
        }
    }
}

#endif
