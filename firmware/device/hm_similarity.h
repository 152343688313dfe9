/* The similarity from crop to frame, by five landmarks or by a guide, in 64-bit integers (CAMERA.md, "Landmarks" and
 * "Guide"). Part of hm_image.c. Bounds: places within HM_FARTHEST, a crop pixel of 1/64 to 64 pixels of the frame. */
#ifndef HM_SIMILARITY_H
#define HM_SIMILARITY_H

#include "hm_image.h"

#include <stdbool.h>
#include <stdint.h>

#define HM_FARTHEST (INT32_C(1) << 17) /* of a place, in 1/16 pixel to any side: 8192 pixels */

/* Crop pixel w, as a complex number, lies at linear * w + shift in the frame: in 1/2^32 pixel. */
typedef struct hm_similarity {
    int64_t re;
    int64_t im;
    int64_t x;
    int64_t y;
} hm_similarity;

/* ArcFace's template ("Crop" in SPEC.md) in 1/10000 crop pixel, and what follows from it. */
static const int32_t hm_template[5][2] = {
    {382946, 516963}, {735318, 515014}, {560252, 717366}, {415493, 923655}, {707299, 922041},
};
#define HM_TEMPLATE_SUM_X 2801308
#define HM_TEMPLATE_SUM_Y 3595039
#define HM_TEMPLATE_EYES 352377 /* between the eyes */

static inline bool hm_is_near(const hm_point *place)
{
    return place->x >= -HM_FARTHEST && place->x <= HM_FARTHEST && place->y >= -HM_FARTHEST && place->y <= HM_FARTHEST;
}

static inline uint64_t hm_magnitude(int64_t value)
{
    return value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
}

static inline int64_t hm_signed(uint64_t magnitude, bool negative)
{
    return negative ? -(int64_t)magnitude : (int64_t)magnitude;
}

/* floor(num * 2^bits / den) for den below 2^63 and a quotient below 2^64: by steps, as a core may have no such division and
 * a target no library for it. */
static HM_NOINLINE uint64_t hm_ratio(uint64_t num, uint64_t den, int bits)
{
    uint64_t rest = 0;
    uint64_t quotient = 0;
    for (int step = 0; step < 64 + bits; step++) {
        rest = rest << 1 | num >> 63;
        num <<= 1;
        quotient <<= 1;
        if (rest >= den) {
            rest -= den;
            quotient |= 1;
        }
    }
    return quotient;
}

/* By how many bits `value`, above 0, has to be shifted to the right (to the left, if negative) to have 30 of them. */
static inline int hm_excess(uint64_t value)
{
    int bits = 0;
    for (; value != 0; value >>= 1) {
        bits++;
    }
    return bits - 30;
}

static inline uint64_t hm_shifted(uint64_t value, int right)
{
    return right >= 0 ? value >> right : value << -right;
}

/* The square of a crop pixel's width, in 1/2^40 square pixel. */
static inline uint64_t hm_square_width(const hm_similarity *s)
{
    const uint64_t re = hm_magnitude(s->re) >> 12;
    const uint64_t im = hm_magnitude(s->im) >> 12;
    return re * re + im * im;
}

/* Sets the shift that takes template place (x, y), in 1/50000, to the frame's place (to_x, to_y), in 1/(50000 * 2^32).
 * False where a crop pixel is narrower than 1/64 pixel or 64 or more of them wide. */
static inline bool hm_shift_to(hm_similarity *s, int64_t x, int64_t y, int64_t to_x, int64_t to_y)
{
    const uint64_t width = hm_square_width(s);
    if (width < UINT64_C(1) << 28 || width >= UINT64_C(1) << 52) {
        return false;
    }
    const int64_t more_x = to_x - (s->re * x - s->im * y);
    const int64_t more_y = to_y - (s->im * x + s->re * y);
    s->x = hm_signed(hm_ratio(hm_magnitude(more_x), 50000, 0), more_x < 0);
    s->y = hm_signed(hm_ratio(hm_magnitude(more_y), 50000, 0), more_y < 0);
    return true;
}

/* Umeyama's least squares: with landmarks x and template y as complex numbers around their means, the frame's pixels a crop
 * pixel is wide and its turn are the sum of |x|^2 over the sum of conj(x) * y. False where that is out of bounds. */
static inline bool hm_similarity_of(const hm_point landmarks[5], hm_similarity *s)
{
    int64_t sum_x = 0;
    int64_t sum_y = 0;
    for (int k = 0; k < 5; k++) {
        if (!hm_is_near(&landmarks[k])) {
            return false;
        }
        sum_x += landmarks[k].x;
        sum_y += landmarks[k].y;
    }
    int64_t spread = 0; /* in 1/6400 square pixel, below 2^44 */
    int64_t re = 0;     /* of the other sum, in 1/80 * 1/50000, below 2^44 in size */
    int64_t im = 0;
    for (int k = 0; k < 5; k++) {
        const int64_t x = 5 * (int64_t)landmarks[k].x - sum_x;
        const int64_t y = 5 * (int64_t)landmarks[k].y - sum_y;
        const int64_t u = 5 * (int64_t)hm_template[k][0] - HM_TEMPLATE_SUM_X;
        const int64_t v = 5 * (int64_t)hm_template[k][1] - HM_TEMPLATE_SUM_Y;
        spread += x * x + y * y;
        re += x * u + y * v;
        im += x * v - y * u;
    }
    const uint64_t abs_re = hm_magnitude(re);
    const uint64_t abs_im = hm_magnitude(im);
    if (spread == 0 || (abs_re | abs_im) == 0) {
        return false;
    }
    /* 625 = 80 * 50000 / 6400. All three are brought to 30 bits; what that leaves out is less than 2^-28 of the result */
    const uint64_t top = 625 * (uint64_t)spread;
    const int right_top = hm_excess(top);
    const int right = hm_excess(abs_re > abs_im ? abs_re : abs_im);
    if (right_top - right < -7 || right_top - right > 7) {
        return false;
    }
    const uint64_t p = hm_shifted(abs_re, right);
    const uint64_t q = hm_shifted(abs_im, right);
    const uint64_t above = hm_shifted(top, right_top);
    const int bits = 32 + right_top - right;
    s->re = hm_signed(hm_ratio(above * p, p * p + q * q, bits), re < 0);
    s->im = hm_signed(hm_ratio(above * q, p * p + q * q, bits), im > 0);
    const int64_t unit = INT64_C(625) << 32; /* 1/80 pixel */
    return hm_shift_to(s, HM_TEMPLATE_SUM_X, HM_TEMPLATE_SUM_Y, sum_x * unit, sum_y * unit);
}

/* The same by a guide: upright, the template's distance between the eyes and the place midway as the guide has them. */
static inline bool hm_similarity_of_guide(const hm_guide *guide, hm_similarity *s)
{
    if (!hm_is_near(&guide->centre) || guide->eyes <= 0 || guide->eyes > HM_FARTHEST) {
        return false;
    }
    s->re = (int64_t)hm_ratio((uint64_t)guide->eyes * 10000, HM_TEMPLATE_EYES * UINT64_C(16), 32);
    s->im = 0;
    const int64_t unit = INT64_C(3125) << 32; /* 1/16 pixel */
    return hm_shift_to(s, 2795660, 2579943, guide->centre.x * unit, guide->centre.y * unit);
}

/* From 1/2^32 of the frame's pixels to 1/65536 of the halved frame's, to the nearest, halves up. */
static inline int32_t hm_halved(int64_t value, int halvings)
{
    return (int32_t)((value + (INT64_C(1) << (15 + halvings))) >> (16 + halvings));
}

/* The warp of it: halved while a crop pixel is two pixels or more wide and a frame of that size can be. */
static inline void hm_warp_of(const hm_similarity *s, uint32_t width, uint32_t height, hm_warp *warp)
{
    const uint32_t side = width < height ? width : height;
    const uint64_t square = hm_square_width(s);
    int halvings = 0;
    while (square >= UINT64_C(1) << (42 + 2 * halvings) && side >> (halvings + 1) > 0) {
        halvings++;
    }
    const int32_t half = INT32_C(1) << 15; /* of a pixel, halved in: pixel centre x goes to (x - 1/2)/2 */
    warp->halvings = (uint8_t)halvings;
    warp->a = hm_halved(s->re, halvings);
    warp->b = hm_halved(-s->im, halvings);
    warp->c = hm_halved(s->x + (INT64_C(1) << 31), halvings) - half;
    warp->d = hm_halved(s->im, halvings);
    warp->e = warp->a;
    warp->f = hm_halved(s->y + (INT64_C(1) << 31), halvings) - half;
}

#endif
