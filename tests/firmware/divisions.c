/* Divisions that Debian's libgcc for the Xtensa LX106 lacks, as the ESP8266 has them in ROM; empty for other cores. */
#include <stdint.h>

#ifdef __xtensa__

uint32_t __udivsi3(uint32_t a, uint32_t b);
uint32_t __umodsi3(uint32_t a, uint32_t b);
uint64_t __udivdi3(uint64_t a, uint64_t b);

uint64_t __udivdi3(uint64_t a, uint64_t b)
{
    uint64_t quotient = 0;
    uint64_t rest = 0;
    for (int bit = 63; bit >= 0; bit--) {
        const uint64_t over = rest >> 63; /* what the shift loses */
        rest = rest << 1 | (a >> bit & 1);
        quotient <<= 1;
        if (over != 0 || rest >= b) {
            rest -= b;
            quotient |= 1;
        }
    }
    return quotient;
}

uint32_t __udivsi3(uint32_t a, uint32_t b)
{
    return (uint32_t)__udivdi3(a, b);
}

uint32_t __umodsi3(uint32_t a, uint32_t b)
{
    return a - (uint32_t)__udivdi3(a, b) * b;
}

#else

extern int no_divisions_are_missing;

#endif
