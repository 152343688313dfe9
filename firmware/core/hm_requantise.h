/* Requantisation: TFLite's two roundings by a 31-bit multiplier and a right shift, without undefined behaviour.
 *
 * high = floor((acc * multiplier + 2^30) / 2^31), then high / 2^shift to nearest, halves away from zero.
 * Takes any acc; needs a multiplier in [2^30, 2^31) and a shift in 0 ... 30, which a person's integers promise.
 * Masks instead of branches: the time tells nothing of the numbers where a product takes the same time for all of them. (A
 * Cortex-M3 does not: 3 to 5 cycles for one of 64 bits.) */
#ifndef HM_REQUANTISE_H
#define HM_REQUANTISE_H

#include <stdint.h>

/* All ones if the condition holds (1), else zero (0). */
static inline uint32_t hm_mask(int condition)
{
    return 0U - (uint32_t)condition;
}

/* Behind a ReLU: q + 128, so 0 ... 255. Below zero neither rounding can reach 1. The upper word of the doubled product is
 * acc * multiplier / 2^31, rounded down; the top bit of the lower word rounds it. rounded is at most 2^31, so the top bit
 * of 255 - rounded is set just where rounded is above 255. */
static inline uint8_t hm_requantise_relu(int32_t acc, int32_t multiplier, uint8_t shift)
{
    const uint64_t doubled = (uint64_t)((uint32_t)acc & ~hm_mask(acc < 0)) * ((uint32_t)multiplier << 1);
    const uint32_t high = (uint32_t)(doubled >> 32) + ((uint32_t)doubled >> 31);
    const uint32_t rounded = (high + ((UINT32_C(1) << shift) >> 1)) >> shift;
    return (uint8_t)(rounded | (0U - ((255U - rounded) >> 31)));
}

/* Without ReLU: q, so -128 ... 127. 2^62 is added and taken off again (as 2^31) to shift a positive number only. Top
 * bits are taken instead of comparisons, of which clang makes branches. */
static inline int8_t hm_requantise_linear(int32_t acc, int32_t multiplier, uint8_t shift)
{
    const int64_t product = (int64_t)acc * multiplier;
    const uint64_t positive = (uint64_t)(product + (INT64_C(1) << 62) + (INT64_C(1) << 30));
    const int32_t high = (int32_t)((int64_t)(positive >> 31) - (INT64_C(1) << 31));
    const uint32_t sign = 0U - ((uint32_t)high >> 31);
    const uint32_t magnitude = ((uint32_t)high ^ sign) - sign;
    const uint32_t rounded = (magnitude + ((UINT32_C(1) << shift) >> 1)) >> shift;
    const uint32_t most = 127 + (sign & 1);
    const uint32_t left = most - rounded;
    const uint32_t clamped = most - (left & ~(0U - (left >> 31)));
    return (int8_t)((int32_t)clamped - (int32_t)(2 * (clamped & sign)));
}

#endif
