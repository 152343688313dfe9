/* The test hook: HM_TAP(layer, row, bytes, n) sees each row of each stage as canonical int8, as soon as it is there. */
#ifndef HM_TAP_H
#define HM_TAP_H

#include <stdint.h>

/* Shows n rows of `bytes` bytes each. Maps are kept as q + 128, so the top bit is turned for the hook (flip = 128; 0 at
 * a linear end) and turned back. */
static inline void hm_report(int layer, int row, int n, uint8_t *const rows[], int bytes, uint8_t flip)
{
#ifdef HM_TAP
    for (int y = 0; y < n; y++) {
        for (int i = 0; i < bytes; i++) {
            rows[y][i] = (uint8_t)(rows[y][i] ^ flip);
        }
        HM_TAP(layer, row + y, (const int8_t *)rows[y], bytes);
        for (int i = 0; i < bytes; i++) {
            rows[y][i] = (uint8_t)(rows[y][i] ^ flip);
        }
    }
#else
    (void)layer;
    (void)row;
    (void)n;
    (void)rows;
    (void)bytes;
    (void)flip;
#endif
}

#endif
