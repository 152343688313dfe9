/* The test hook: HM_TAP(layer, row, bytes, n) sees each row of each stage as canonical int8, in order, when defined. */
#ifndef HM_TAP_H
#define HM_TAP_H

#include <stdint.h>

/* Maps are kept as q + 128, so the top bit is turned for the hook (flip = 128; 0 at a linear end) and turned back. */
static inline void hm_report(int layer, int row, uint8_t *bytes, int n, uint8_t flip)
{
#ifdef HM_TAP
    for (int i = 0; i < n; i++) {
        bytes[i] = (uint8_t)(bytes[i] ^ flip);
    }
    HM_TAP(layer, row, (const int8_t *)bytes, n);
    for (int i = 0; i < n; i++) {
        bytes[i] = (uint8_t)(bytes[i] ^ flip);
    }
#else
    (void)layer;
    (void)row;
    (void)bytes;
    (void)n;
    (void)flip;
#endif
}

#endif
