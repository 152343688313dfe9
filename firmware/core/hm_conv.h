/* What the convolution kernels share: a stage's integers, the outputs, the shuffle. */
#ifndef HM_CONV_H
#define HM_CONV_H

#include "hm_requantise.h"

#include <stddef.h>
#include <stdint.h>

/* One convolution's integers, wherever they lie in flash. Weights: one row of k*k*(channels in) for each output. */
typedef struct hm_conv {
    const int8_t *weight;
    const int32_t *bias;
    const int32_t *multiplier;
    const uint8_t *shift;
} hm_conv;

/* The output byte of channel c from the sum of its products: q + 128 behind a ReLU ... */
static inline uint8_t hm_relu(hm_conv conv, int c, int32_t sum)
{
    return hm_requantise_relu(conv.bias[c] + sum, conv.multiplier[c], conv.shift[c]);
}

/* ... and q itself, as a byte of two's complement, at a linear end. */
static inline uint8_t hm_linear(hm_conv conv, int c, int32_t sum)
{
    return (uint8_t)hm_requantise_linear(conv.bias[c] + sum, conv.multiplier[c], conv.shift[c]);
}

/* Where channel c goes in the (groups, size) -> (size, groups) transposition of a channel shuffle. */
static inline int hm_shuffled(int c, int groups, int size)
{
    return (c % size) * groups + c / size;
}

#endif
