/* What the bytes of a frame are as RGB: a pixel, and the rounded means of squares of them (CAMERA.md, "Colours" and
 * "Halving"). Part of hm_image.c; no pixel is read that does not lie in the frame. */
#ifndef HM_PIXEL_H
#define HM_PIXEL_H

#include "hm_image.h"

#include <stdint.h>

#if defined(__GNUC__)
#define HM_INLINE __attribute__((always_inline)) inline /* a loop for each kind of pixel, without calls in it */
#else
#define HM_INLINE inline
#endif

#define HM_MOST_HALVINGS 12 /* of 4096 */

/* Red in bits 0 to 15 and blue in bits 16 to 31 of one word, green in the other: three channels by two sums or products. */
typedef struct hm_pixel {
    uint32_t rb;
    uint32_t g;
} hm_pixel;

/* A frame as the functions below read it. width, height: after the halvings. bytes: of a pixel. at: offsets of what it is
 * made of, from its first byte: the high and the low byte; red, green and blue; Y, U and V, from a pair's first byte. */
typedef struct hm_source {
    const uint8_t *pixels;
    uint32_t stride;
    uint32_t width;
    uint32_t height;
    uint32_t halvings;
    uint32_t bytes;
    uint32_t at[3];
} hm_source;

/* Pixel x of a row, and the sum of pixels x and x + 1, x being even. */
typedef hm_pixel hm_one(const hm_source *source, const uint8_t *row, uint32_t x);
typedef hm_pixel hm_two(const hm_source *source, const uint8_t *row, uint32_t x);

static HM_INLINE hm_pixel hm_sum_of(hm_pixel one, hm_pixel other)
{
    const hm_pixel sum = {one.rb + other.rb, one.g + other.g};
    return sum;
}

/* The mean of four pixels, halves up, of their sum. */
static HM_INLINE hm_pixel hm_mean_of(hm_pixel sum)
{
    const hm_pixel mean = {(sum.rb + 0x00020002) >> 2 & 0x00FF00FF, (sum.g + 2) >> 2};
    return mean;
}

/* ---- RGB565: five or six bits become eight by repeating the highest ones ---------------------------------------- */

static HM_INLINE hm_pixel hm_one_565(const hm_source *source, const uint8_t *row, uint32_t x)
{
    const uint8_t *const p = row + 2 * x;
    const uint32_t word = (uint32_t)p[source->at[0]] << 8 | p[source->at[1]];
    const uint32_t rb = word >> 11 | (word & 31) << 16;
    const uint32_t g = word >> 5 & 63;
    const hm_pixel pixel = {rb << 3 | (rb >> 2 & 0x00070007), g << 2 | g >> 4};
    return pixel;
}

static HM_INLINE hm_pixel hm_two_565(const hm_source *source, const uint8_t *row, uint32_t x)
{
    return hm_sum_of(hm_one_565(source, row, x), hm_one_565(source, row, x + 1));
}

/* ---- Bytes: red, green and blue in any order, or one that is all three ------------------------------------------ */

static HM_INLINE hm_pixel hm_one_bytes(const hm_source *source, const uint8_t *row, uint32_t x)
{
    const uint8_t *const p = row + source->bytes * x;
    const hm_pixel pixel = {p[source->at[0]] | (uint32_t)p[source->at[2]] << 16, p[source->at[1]]};
    return pixel;
}

static HM_INLINE hm_pixel hm_two_bytes(const hm_source *source, const uint8_t *row, uint32_t x)
{
    return hm_sum_of(hm_one_bytes(source, row, x), hm_one_bytes(source, row, x + 1));
}

/* ---- YUV 4:2:2: BT.601 of full range, as JPEG has it (ITU-T T.871) ------------------------------------------------ */

/* What two neighbours' U and V add to their Y. */
typedef struct hm_chroma {
    int32_t r;
    int32_t g;
    int32_t b;
} hm_chroma;

static HM_INLINE hm_chroma hm_chroma_of(const hm_source *source, const uint8_t *pair)
{
    const int32_t u = pair[source->at[1]] - 128;
    const int32_t v = pair[source->at[2]] - 128;
    const hm_chroma chroma = {
        (91881 * v + 32768) >> 16,
        (-22554 * u - 46802 * v + 32768) >> 16,
        (116130 * u + 32768) >> 16,
    };
    return chroma;
}

static HM_INLINE uint32_t hm_clamped(int32_t value)
{
    return value < 0 ? 0 : value > 255 ? 255 : (uint32_t)value;
}

static HM_INLINE hm_pixel hm_lit(hm_chroma chroma, int32_t y)
{
    const hm_pixel pixel = {hm_clamped(y + chroma.r) | hm_clamped(y + chroma.b) << 16, hm_clamped(y + chroma.g)};
    return pixel;
}

static HM_INLINE hm_pixel hm_one_yuv(const hm_source *source, const uint8_t *row, uint32_t x)
{
    const uint8_t *const pair = row + 2 * (x & ~UINT32_C(1));
    return hm_lit(hm_chroma_of(source, pair), pair[source->at[0] + 2 * (x & 1)]);
}

static HM_INLINE hm_pixel hm_two_yuv(const hm_source *source, const uint8_t *row, uint32_t x)
{
    const uint8_t *const pair = row + 2 * x;
    const hm_chroma chroma = hm_chroma_of(source, pair);
    return hm_sum_of(hm_lit(chroma, pair[source->at[0]]), hm_lit(chroma, pair[source->at[0] + 2]));
}

/* ---- Halving ------------------------------------------------------------------------------------------------------ */

/* Pixel (i, j) of the frame after its halvings, one at least: a square of pixels, two by two of them at a time in the order
 * of Morton's curve, so that each mean of four means is made as soon as the fourth is there. */
static HM_INLINE hm_pixel hm_square(const hm_source *source, uint32_t i, uint32_t j, hm_two *two)
{
    hm_pixel sums[HM_MOST_HALVINGS]; /* of the means of each size so far; the first of four begins it */
    const uint32_t halvings = source->halvings;
    uint32_t x = i << halvings;
    uint32_t y = j << halvings;
    for (uint32_t square = 0;; square++) {
        const uint8_t *const row = source->pixels + y * source->stride;
        hm_pixel mean = hm_mean_of(hm_sum_of(two(source, row, x), two(source, row + source->stride, x)));
        uint32_t size = 1;      /* halvings that `mean` is behind */
        uint32_t rest = square; /* its lowest two bits: which of four this is */
        for (; size < halvings; size++, rest >>= 2) {
            if ((rest & 3) != 0) {
                mean = hm_sum_of(sums[size], mean);
            }
            sums[size] = mean;
            if ((rest & 3) != 3) {
                break;
            }
            mean = hm_mean_of(mean);
        }
        if (size == halvings) {
            return mean;
        }
        const uint32_t side = UINT32_C(1) << size; /* back to the first of four, and on to the next one of that size */
        x -= side - 2;
        y -= side - 2;
        if ((rest & 3) == 1) {
            x -= side;
            y += side;
        } else {
            x += side;
        }
    }
}

#endif
