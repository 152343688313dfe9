/* The warps that a search tries, by their numbers (CAMERA.md, "Search"). Part of hm_image.c. */
#ifndef HM_TRIES_H
#define HM_TRIES_H

#include "hm_image.h"

#include <stdbool.h>
#include <stdint.h>

/* Whether so many steps to each side are steps at all, and go no further than `most`. */
static inline bool hm_is_span(uint32_t steps, uint32_t step, uint32_t most)
{
    return steps == 0 || (step > 0 && steps * step <= most);
}

/* Step `index` of 0, 1, ...: 0, -1, 1, -2, 2 and so on, so that of equal tries the one that moves least comes first. */
static inline int32_t hm_step_of(uint32_t index, uint32_t step)
{
    const int32_t size = (int32_t)((index + 1) / 2 * step);
    return index % 2 != 0 ? -size : size;
}

static inline int64_t hm_turned(int32_t a, int32_t x, int32_t b, int32_t y)
{
    return ((int64_t)a * x + (int64_t)b * y + 32768) >> 16;
}

/* The warp whose crop is that of `around` turned by tilt/64 radian and scaled by 1 + scale/64 about its middle, (56, 56),
 * and shifted by (x, y). False where a coefficient does not fit. */
static inline bool hm_moved(const hm_warp *around, int32_t x, int32_t y, int32_t scale, int32_t tilt, hm_warp *warp)
{
    const int32_t square = tilt * tilt; /* 4096 at most; cosine and sine by their series, in 1/65536, quotients to 0 */
    const int32_t cosine = 65536 - square * 8 + square * square / 6144;
    const int32_t sine = tilt * 1024 - tilt * square / 24 + tilt * square * square / 1966080;
    const int32_t re = (cosine * (64 + scale)) >> 6;
    const int32_t im = (sine * (64 + scale)) >> 6;
    const int32_t u = (56 + x) * 65536 - 56 * (re - im); /* where crop pixel (0, 0) goes */
    const int32_t v = (56 + y) * 65536 - 56 * (re + im);
    const int64_t moved[6] = {
        hm_turned(around->a, re, around->b, im),
        hm_turned(around->b, re, around->a, -im),
        hm_turned(around->a, u, around->b, v) + around->c,
        hm_turned(around->d, re, around->e, im),
        hm_turned(around->e, re, around->d, -im),
        hm_turned(around->d, u, around->e, v) + around->f,
    };
    for (int k = 0; k < 6; k++) {
        if (moved[k] < INT32_MIN || moved[k] > INT32_MAX) {
            return false;
        }
    }
    warp->halvings = around->halvings;
    warp->a = (int32_t)moved[0];
    warp->b = (int32_t)moved[1];
    warp->c = (int32_t)moved[2];
    warp->d = (int32_t)moved[3];
    warp->e = (int32_t)moved[4];
    warp->f = (int32_t)moved[5];
    return true;
}

/* Try number `index`: shifts in x go fastest, then shifts in y, scales and tilts. */
static inline bool hm_try(const hm_search *search, const hm_warp *around, uint32_t index, hm_warp *warp)
{
    const uint32_t places = 2 * (uint32_t)search->shifts + 1;
    const uint32_t widths = 2 * (uint32_t)search->scales + 1;
    const int32_t x = hm_step_of(index % places, search->shift);
    const int32_t y = hm_step_of(index / places % places, search->shift);
    const int32_t scale = hm_step_of(index / (places * places) % widths, search->scale);
    const int32_t tilt = hm_step_of(index / (places * places * widths), search->tilt);
    return hm_moved(around, x, y, scale, tilt, warp);
}

#endif
