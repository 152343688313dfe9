/* CosDot's last step: logit = sign(num) * floor(num^2 * 2^bits / norm), the signed square of a cosine times its scale. */
#ifndef HM_COSDOT_H
#define HM_COSDOT_H

#include <stdint.h>

#include "hm_types.h"

/* Restoring division of 31 steps without a branch, instead of a library's, which takes longer for some numbers.
 * Needs num^2 * 2^bits < 2^63 and (Cauchy-Schwarz) below 2^31 * norm. norm = 0: INT32_MIN, which is never a match. */
static inline int32_t hm_cosdot(int32_t num, uint64_t norm, int bits)
{
    int32_t sign = 1 - 2 * (num < 0);
    const uint64_t square = (uint64_t)((int64_t)num * num) << bits;
    uint64_t rest = square >> 31;
    uint64_t next = square << 33; /* the 31 low bits, taken from the top one by one */
    uint32_t quotient = 0;
    for (int step = 0; step < 31; step++) {
        rest = (rest << 1) | (next >> 63);
        next <<= 1;
        const uint64_t less = rest - norm;
        uint32_t below = (uint32_t)(less >> 63); /* both are under 2^63 */
        HM_OPAQUE(below);
        rest = less + (norm & (0U - (uint64_t)below));
        quotient = (quotient << 1) | (1 - below);
    }
    int32_t nothing = norm == 0;
    HM_OPAQUE(sign);
    HM_OPAQUE(nothing);
    return (int32_t)quotient * sign * (1 - nothing) + INT32_MIN * nothing;
}

#endif
