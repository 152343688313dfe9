/* From a camera's frame to the rows of the net, and to a verdict: see hm_image.h. */
#include "hm_image.h"

#include "../core/hm_memory.h"
#include "hm_pixel.h"
#include "hm_similarity.h"
#include "hm_tries.h"

HM_STATIC_ASSERT(HM_ROW_BYTES % 3 == 0, "hm_image makes rows of RGB");

/* Bytes of a pixel and the offsets that hm_source keeps in `at`, by hm_format. */
static const uint8_t hm_layouts[][4] = {
    {2, 0, 1, 0}, /* HM_RGB565_BIG */
    {2, 1, 0, 0}, /* HM_RGB565_LITTLE */
    {3, 0, 1, 2}, /* HM_RGB888 */
    {3, 2, 1, 0}, /* HM_BGR888 */
    {2, 0, 1, 3}, /* HM_YUYV */
    {2, 1, 0, 2}, /* HM_UYVY */
    {1, 0, 0, 0}, /* HM_GREY */
};

#define HM_FORMATS (sizeof hm_layouts / sizeof hm_layouts[0])

static bool hm_is_pair(hm_format format)
{
    return format == HM_YUYV || format == HM_UYVY;
}

static bool hm_is_sized(const hm_frame *frame)
{
    return frame->width >= 1 && frame->width <= 4096 && frame->height >= 1 && frame->height <= 4096;
}

/* Whether all that the frame says can be, so that every place in it is less than 2^31 bytes from its first. */
static bool hm_is_frame(const hm_frame *frame)
{
    if (frame->pixels == NULL || !hm_is_sized(frame) || (uint32_t)frame->format >= HM_FORMATS) {
        return false;
    }
    return frame->stride >= (uint32_t)frame->width * hm_layouts[frame->format][0] &&
           (uint64_t)frame->stride * frame->height < UINT64_C(1) << 31 &&
           !(hm_is_pair(frame->format) && frame->width % 2 != 0);
}

/* ---- One row of the crop ------------------------------------------------------------------------------------------ */

/* A place of the halved frame: whole pixels and 1/65536. 32 bits hold any that a warp can name. */
typedef struct hm_place {
    int32_t whole;
    uint32_t part;
} hm_place;

static hm_place hm_place_of(int64_t q16)
{
    const hm_place place = {(int32_t)(q16 >> 16), (uint32_t)(q16 & 0xFFFF)};
    return place;
}

static HM_INLINE void hm_step(hm_place *place, hm_place step)
{
    const uint32_t part = place->part + step.part;
    place->whole += step.whole + (int32_t)(part >> 16);
    place->part = part & 0xFFFF;
}

/* Two pixels of a column, one under the other. */
typedef struct hm_column {
    hm_pixel top;
    hm_pixel bottom;
} hm_column;

typedef hm_pixel hm_many(const hm_source *source, uint32_t i, uint32_t j);

static HM_INLINE hm_pixel hm_pixel_at(const hm_source *source, uint32_t i, uint32_t j, hm_one *one, hm_many *square)
{
    if (j >= source->height) {
        const hm_pixel black = {0, 0};
        return black;
    }
    return source->halvings == 0 ? one(source, source->pixels + j * source->stride, i) : square(source, i, j);
}

/* Pixels j and j + 1 of column i, black outside: as unsigned numbers those to the left and above are too large, too. */
static HM_INLINE hm_column hm_column_at(const hm_source *source, uint32_t i, uint32_t j, hm_one *one, hm_many *square)
{
    hm_column column = {{0, 0}, {0, 0}};
    if (i < source->width) {
        column.top = hm_pixel_at(source, i, j, one, square);
        column.bottom = hm_pixel_at(source, i, j + 1, one, square);
    }
    return column;
}

static HM_INLINE uint8_t hm_between(uint32_t top, uint32_t bottom, uint32_t s)
{
    return (uint8_t)((top * (256 - s) + bottom * s + 32768) >> 16);
}

/* The row from place (x, y) on. Columns that the next pixel needs again are kept. */
static HM_INLINE void hm_sample(const hm_source *source, hm_place x, hm_place y, hm_place step_x, hm_place step_y,
                                uint8_t *rgb, hm_one *one, hm_many *square)
{
    hm_column left = {{0, 0}, {0, 0}};
    hm_column right = {{0, 0}, {0, 0}};
    int32_t i = INT32_MIN; /* of `left`: a place that none is */
    int32_t j = INT32_MIN;
    for (const uint8_t *const end = rgb + HM_ROW_BYTES; rgb != end; rgb += 3) {
        if (x.whole != i || y.whole != j) {
            uint32_t missing = x.whole == i + 1 && y.whole == j ? 1 : 2;
            for (; missing > 0; missing--) {
                left = right;
                right = hm_column_at(source, (uint32_t)x.whole + 2 - missing, (uint32_t)y.whole, one, square);
            }
            i = x.whole;
            j = y.whole;
        }
        const uint32_t r = x.part >> 8;
        const uint32_t s = y.part >> 8;
        const uint32_t top_rb = left.top.rb * (256 - r) + right.top.rb * r; /* 255 * 256 in each half at most */
        const uint32_t top_g = left.top.g * (256 - r) + right.top.g * r;
        const uint32_t bottom_rb = left.bottom.rb * (256 - r) + right.bottom.rb * r;
        const uint32_t bottom_g = left.bottom.g * (256 - r) + right.bottom.g * r;
        rgb[0] = hm_between(top_rb & 0xFFFF, bottom_rb & 0xFFFF, s);
        rgb[1] = hm_between(top_g, bottom_g, s);
        rgb[2] = hm_between(top_rb >> 16, bottom_rb >> 16, s);
        hm_step(&x, step_x);
        hm_step(&y, step_y);
    }
}

/* A loop for each kind of pixel: as functions of their own, so that one is read, and kept in registers, at a time. */
static HM_NOINLINE hm_pixel hm_square_565(const hm_source *source, uint32_t i, uint32_t j)
{
    return hm_square(source, i, j, hm_two_565);
}

static HM_NOINLINE hm_pixel hm_square_bytes(const hm_source *source, uint32_t i, uint32_t j)
{
    return hm_square(source, i, j, hm_two_bytes);
}

static HM_NOINLINE hm_pixel hm_square_yuv(const hm_source *source, uint32_t i, uint32_t j)
{
    return hm_square(source, i, j, hm_two_yuv);
}

hm_code hm_image_row(const hm_frame *frame, const hm_warp *warp, uint32_t row, uint8_t *rgb)
{
    if (frame == NULL || warp == NULL || rgb == NULL) {
        return (hm_code)HM_NULL_POINTER;
    }
    if (!hm_is_frame(frame)) {
        return HM_CODE_NO_FRAME;
    }
    if (row >= HM_INPUT_ROWS) {
        return (hm_code)HM_WRONG_ROW_COUNT;
    }
    const uint32_t halvings = warp->halvings;
    const uint8_t *const layout = hm_layouts[frame->format];
    const hm_source source = {
        frame->pixels,
        frame->stride,
        halvings > HM_MOST_HALVINGS ? 0 : (uint32_t)frame->width >> halvings,
        halvings > HM_MOST_HALVINGS ? 0 : (uint32_t)frame->height >> halvings,
        halvings,
        layout[0],
        {layout[1], layout[2], layout[3]},
    };
    /* X and Y of CAMERA.md are floor(place / 256) of what half of 1/256 was added to */
    const hm_place x = hm_place_of((int64_t)warp->b * row + warp->c + 128);
    const hm_place y = hm_place_of((int64_t)warp->e * row + warp->f + 128);
    const hm_place step_x = hm_place_of(warp->a);
    const hm_place step_y = hm_place_of(warp->d);
    if (hm_is_pair(frame->format)) {
        hm_sample(&source, x, y, step_x, step_y, rgb, hm_one_yuv, hm_square_yuv);
    } else if (layout[0] == 2) {
        hm_sample(&source, x, y, step_x, step_y, rgb, hm_one_565, hm_square_565);
    } else {
        hm_sample(&source, x, y, step_x, step_y, rgb, hm_one_bytes, hm_square_bytes);
    }
    return HM_CODE_OK;
}

/* ---- Warps -------------------------------------------------------------------------------------------------------- */

hm_code hm_warp_of_landmarks(const hm_frame *frame, const hm_point landmarks[5], hm_warp *warp)
{
    if (frame == NULL || landmarks == NULL || warp == NULL) {
        return (hm_code)HM_NULL_POINTER;
    }
    if (!hm_is_sized(frame)) {
        return HM_CODE_NO_FRAME;
    }
    hm_similarity found;
    if (!hm_similarity_of(landmarks, &found)) {
        return HM_CODE_NO_FACE;
    }
    hm_warp_of(&found, frame->width, frame->height, warp);
    return HM_CODE_OK;
}

hm_code hm_warp_of_guide(const hm_frame *frame, const hm_guide *guide, hm_warp *warp)
{
    if (frame == NULL || guide == NULL || warp == NULL) {
        return (hm_code)HM_NULL_POINTER;
    }
    if (!hm_is_sized(frame)) {
        return HM_CODE_NO_FRAME;
    }
    hm_similarity found;
    if (!hm_similarity_of_guide(guide, &found)) {
        return HM_CODE_NO_FACE;
    }
    hm_warp_of(&found, frame->width, frame->height, warp);
    return HM_CODE_OK;
}

/* ---- Verdicts ----------------------------------------------------------------------------------------------------- */

static void hm_no_match(hm_verdict *verdict)
{
    verdict->logit = INT32_MIN;
    verdict->threshold = INT32_MAX;
    verdict->decision = HM_NO_MATCH;
    verdict->match = false;
}

hm_code hm_image_verify(hm_session *session, const hm_person *person, const hm_frame *frame, const hm_warp *warp,
                        uint8_t *row, hm_verdict *verdict)
{
    if (verdict != NULL) {
        hm_no_match(verdict);
    }
    if (session == NULL || frame == NULL || warp == NULL || row == NULL || verdict == NULL) {
        return (hm_code)HM_NULL_POINTER;
    }
    hm_code code = (hm_code)hm_begin(session, person);
    for (uint32_t y = 0; y < HM_INPUT_ROWS && code == HM_CODE_OK; y++) {
        code = hm_image_row(frame, warp, y, row);
        if (code == HM_CODE_OK) {
            code = (hm_code)hm_push_row(session, row);
        }
    }
    if (code == HM_CODE_OK) {
        code = (hm_code)hm_end(session, verdict);
    }
    if (code != HM_CODE_OK) {
        hm_no_match(verdict);
        hm_wipe(session, sizeof *session);
    }
    hm_wipe(row, HM_ROW_BYTES);
    return code;
}

/* ---- Search ------------------------------------------------------------------------------------------------------- */

uint32_t hm_search_cost(const hm_search *search)
{
    if (search == NULL || !hm_is_span(search->shifts, search->shift, 112) ||
        !hm_is_span(search->scales, search->scale, 32) || !hm_is_span(search->tilts, search->tilt, 64)) {
        return 0;
    }
    const uint32_t places = 2 * (uint32_t)search->shifts + 1;
    return places * places * (2 * (uint32_t)search->scales + 1) * (2 * (uint32_t)search->tilts + 1);
}

hm_code hm_image_search(hm_session *session, const hm_person *person, const hm_frame *frame, const hm_warp *around,
                        const hm_search *search, uint8_t *row, hm_verdict *verdict, hm_warp *best)
{
    if (verdict != NULL) {
        hm_no_match(verdict);
    }
    if (around == NULL || search == NULL || verdict == NULL || best == NULL) {
        return (hm_code)HM_NULL_POINTER;
    }
    const hm_warp centre = *around; /* which may be *best */
    *best = centre;
    const uint32_t tries = hm_search_cost(search);
    if (tries == 0) {
        return HM_CODE_NO_FACE;
    }
    hm_verdict most;
    hm_warp where = centre;
    hm_no_match(&most);
    for (uint32_t i = 0; i < tries; i++) {
        hm_warp warp;
        hm_verdict one;
        hm_no_match(&one);
        hm_code code = HM_CODE_NO_FACE;
        if (hm_try(search, &centre, i, &warp)) {
            code = hm_image_verify(session, person, frame, &warp, row, &one);
        }
        if (code != HM_CODE_OK) {
            return code;
        }
        if (i == 0 || one.logit > most.logit) {
            most = one;
            where = warp;
        }
    }
    *verdict = most;
    *best = where;
    return HM_CODE_OK;
}
