/* CosDot's last step: logit = sign(num) * floor(num^2 * 2^bits / norm), the signed square of a cosine times its scale. */
#ifndef HM_COSDOT_H
#define HM_COSDOT_H

#include <stdint.h>

/* Restoring division of 31 steps whatever the numbers are, instead of a library's, which takes longer for some.
 * Needs num^2 * 2^bits < 2^63 and (Cauchy-Schwarz) below 2^31 * norm. norm = 0: INT32_MIN, which is never a match. */
static inline int32_t hm_cosdot(int32_t num, uint64_t norm, int bits)
{
    const uint32_t size = num < 0 ? 0U - (uint32_t)num : (uint32_t)num;
    const uint64_t square = ((uint64_t)size * size) << bits;
    uint64_t rest = square >> 31;
    uint64_t next = square << 33; /* the 31 low bits, taken from the top one by one */
    uint32_t quotient = 0;
    for (int step = 0; step < 31; step++) {
        rest = (rest << 1) | (next >> 63);
        next <<= 1;
        const uint32_t fits = rest >= norm ? 1 : 0;
        rest -= norm & (0U - (uint64_t)fits);
        quotient = (quotient << 1) | fits;
    }
    if (norm == 0) {
        return INT32_MIN;
    }
    return num < 0 ? -(int32_t)quotient : (int32_t)quotient;
}

#endif
