/* The DSP instructions of Armv7E-M and Armv8-M: two products an instruction.
 *
 * SMLAD multiplies pairs of 16-bit numbers, so a strip's input and one or two channels' weights are widened to words of
 * two in scratch, and used from there many times. A word holds two channels of a pixel: 0 and 2 of four neighbouring
 * ones, then 1 and 3, as UXTB16 and SXTB16 give them. What a channel needs to become a byte lies behind its weights: when
 * the products are summed, the pointer to the weights has arrived there. The blocks of outputs follow a list, so that a
 * row whose width is no multiple of a block costs no code. */
#ifndef HM_DSP_H
#define HM_DSP_H

#include "hm_conv.h"
#include "hm_memory.h"
#include "hm_types.h"

#include <stddef.h>
#include <stdint.h>

/* A convolution as these functions see it: see Kernel; pitch: words of a row of input in scratch; block: outputs at a time,
 * blocks: of a row. */
typedef struct hm_dsp {
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
    uint16_t block;
    uint16_t blocks;
    uint16_t padding;
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
    const uint32_t half = (UINT32_C(1) << shift) >> 1;
    const hm_dsp_scale scale = {(int32_t)((uint32_t)conv->multiplier[c] << 1), (int32_t)half, (int32_t)shift};
    return scale;
}

/* hm_shuffled of the next channel. */
static inline int hm_dsp_next(const hm_dsp *s, int place)
{
    const int next = place + s->shuffle;
    return next < s->out_c ? next : next - s->out_c + 1;
}

/* hm_sum4, in one instruction. */
static inline uint32_t hm_dsp_sum4(uint32_t a, uint32_t b)
{
    uint32_t sum;
    __asm__("uqadd8 %0, %1, %2" : "=r"(sum) : "r"(a), "r"(b));
    return sum;
}

/* Behind a ReLU: both roundings, cut to a byte; r4, r5 and r6 hold a hm_dsp_scale. Below zero neither can reach 1. */
#define HM_DSP_BYTE(a)                                                                                                 \
    "smmlar " a ", " a ", r4, " a "\n\t"                                                                               \
    "add " a ", " a ", r5\n\t"                                                                                         \
    "asr " a ", " a ", r6\n\t"                                                                                         \
    "usat " a ", #8, " a "\n\t"

/* The same at a linear end: halves away from zero, so one less before the shift if negative and shifted at all. */
#define HM_DSP_SIGNED(a)                                                                                               \
    "smmlar " a ", " a ", r4, " a "\n\t"                                                                               \
    "rsb r10, r6, #0\n\t"                                                                                              \
    "and r10, r10, " a "\n\t"                                                                                          \
    "add " a ", " a ", r10, asr #31\n\t"                                                                               \
    "add " a ", " a ", r5\n\t"                                                                                         \
    "asr " a ", " a ", r6\n\t"                                                                                         \
    "ssat " a ", #8, " a "\n\t"

#endif
