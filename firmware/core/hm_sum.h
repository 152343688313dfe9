/* What an Add does with bytes: min(a + b, 255), of one pair or of the four that are in two words. */
#ifndef HM_SUM_H
#define HM_SUM_H

#include <stdint.h>

static inline uint8_t hm_sum(uint8_t a, uint8_t b)
{
    const uint32_t sum = (uint32_t)a + b;
    return (uint8_t)(sum | (0U - (sum >> 8)));
}

/* Half of a byte's sum has its top bit set just where the sum is above 255. There a + b, one sum of whole words, has
 * carried to the byte above, which is taken off again, and all bits of the byte are set. */
static inline uint32_t hm_sum4(uint32_t a, uint32_t b)
{
    const uint32_t half = (a & b) + ((a ^ b) >> 1 & 0x7F7F7F7FU);
    const uint32_t above = half & 0x80808080U;
    const uint32_t carried = above << 1;
    return (a + b - carried) | (carried - (above >> 7));
}

#endif
