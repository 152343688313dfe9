/* What the convolution kernels share: a stage's integers, the dot products, the shuffle, the rows. */
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

/* The sum of u[t] * w[t] over n bytes. */
static inline int32_t hm_dot(const uint8_t *u, const int8_t *w, int n)
{
    int32_t sum = 0;
    for (int t = 0; t < n; t++) {
        sum += u[t] * w[t];
    }
    return sum;
}

/* Four dot products of the same u, with four rows of weights one behind the other: each u is loaded once. */
static inline void hm_dot4(const uint8_t *u, const int8_t *w, int n, int32_t sum[4])
{
    int32_t sum0 = 0;
    int32_t sum1 = 0;
    int32_t sum2 = 0;
    int32_t sum3 = 0;
    for (int t = 0; t < n; t++) {
        const int32_t x = u[t];
        sum0 += x * w[t];
        sum1 += x * w[n + t];
        sum2 += x * w[2 * n + t];
        sum3 += x * w[3 * n + t];
    }
    sum[0] = sum0;
    sum[1] = sum1;
    sum[2] = sum2;
    sum[3] = sum3;
}

/* Where channel c goes in the (groups, size) -> (size, groups) transposition of a channel shuffle. */
static inline int hm_shuffled(int c, int groups, int size)
{
    return (c % size) * groups + c / size;
}

/* The k rows of a map from row y on; NULL for a row outside it, where there is padding. */
static inline void hm_rows(const uint8_t *rows[], int k, int y, const uint8_t *map, int height, int row_bytes)
{
    for (int i = 0; i < k; i++) {
        rows[i] = y + i < 0 || y + i >= height ? NULL : map + (y + i) * row_bytes;
    }
}

#endif
