/* The dot products of the portable kernels. */
#ifndef HM_DOT_H
#define HM_DOT_H

#include <stdint.h>

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

#endif
