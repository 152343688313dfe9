/* From a camera's frame to the rows of the net: an integer similarity warp with bilinear sampling, row by row.
 *
 * CAMERA.md is the definition, hyper_mcu/device/image.py its twin, byte by byte. No frame is copied. */
#ifndef HM_IMAGE_H
#define HM_IMAGE_H

#include "hm_code.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum hm_format {
    HM_RGB565_BIG,    /* two bytes a pixel, the one with red first: as OV2640 sends them */
    HM_RGB565_LITTLE, /* the same, the one with blue first: as DCMI's words have them */
    HM_RGB888,
    HM_BGR888,
    HM_YUYV, /* YUV 4:2:2, two pixels in Y0 U Y1 V; full range, BT.601 */
    HM_UYVY, /* U Y0 V Y1 */
    HM_GREY  /* one byte a pixel */
} hm_format;

/* pixels: row by row, `stride` bytes from one to the next. Sides of 1 to 4096; an even width for YUV 4:2:2. */
typedef struct hm_frame {
    const uint8_t *pixels;
    uint32_t stride;
    uint16_t width;
    uint16_t height;
    hm_format format;
} hm_frame;

/* A place in a frame, in 1/16 pixel, from the centre of the first one. */
typedef struct hm_point {
    int32_t x;
    int32_t y;
} hm_point;

/* Where crop pixel (u, v) lies in a frame that was halved `halvings` times: x = a·u + b·v + c, y = d·u + e·v + f, in
 * 1/65536 pixel. */
typedef struct hm_warp {
    uint8_t halvings;
    int32_t a, b, c, d, e, f;
} hm_warp;

/* A guide on the display: where the face is asked to be. Centre between the eyes, distance of the eyes, 1/16 pixel. */
typedef struct hm_guide {
    hm_point centre;
    int32_t eyes;
} hm_guide;

/* By five landmarks: left eye, right eye, nose, left and right corner of the mouth, left as in the frame. Umeyama's least
 * squares in integers. Needs the frame's sides, not its pixels. HM_CODE_NO_FACE where they make none: a place farther than
 * 8192 pixels, five in one point, a crop pixel that would be narrower than 1/64 pixel or 64 or more of them wide. */
HM_MUST_CHECK hm_code hm_warp_of_landmarks(const hm_frame *frame, const hm_point landmarks[5], hm_warp *warp);
HM_MUST_CHECK hm_code hm_warp_of_guide(const hm_frame *frame, const hm_guide *guide, hm_warp *warp);

/* One row of the crop, 0 … HM_INPUT_ROWS − 1, HM_ROW_BYTES of RGB; black outside the frame. Any warp will do.
 * HM_CODE_NO_FRAME for a frame that cannot be, of which no pixel is read. */
HM_MUST_CHECK hm_code hm_image_row(const hm_frame *frame, const hm_warp *warp, uint32_t row, uint8_t *rgb);

/* Verifies a frame: hm_begin, every row, hm_end. `row` is room for HM_ROW_BYTES, and is wiped. Never a match unless the
 * result is HM_CODE_OK; codes 1 to 31 are the engine's hm_status. */
HM_MUST_CHECK hm_code hm_image_verify(hm_session *session, const hm_person *person, const hm_frame *frame,
                                      const hm_warp *warp, uint8_t *row, hm_verdict *verdict);

/* A search around a warp without landmarks: every combination of −steps … steps times each step, the best logit wins, of
 * equals the one that comes first, the warp itself before all. Its false match rate is that of as many tries. steps · step
 * is at most 112 crop pixels, 32/64 of the size and 64/64 radian, and no step is 0 where there are steps. */
typedef struct hm_search {
    uint8_t shifts; /* steps to each side in x and in y */
    uint8_t scales;
    uint8_t tilts;
    uint8_t shift; /* a step: crop pixels */
    uint8_t scale; /* in 1/64 */
    uint8_t tilt;  /* in 1/64 radian */
} hm_search;

/* Its verifications, (2·shifts + 1)²·(2·scales + 1)·(2·tilts + 1); 0 for one out of bounds. */
uint32_t hm_search_cost(const hm_search *search);

/* HM_CODE_NO_FACE for a search out of bounds. After any error there is no match, and *best is *around. */
HM_MUST_CHECK hm_code hm_image_search(hm_session *session, const hm_person *person, const hm_frame *frame,
                                      const hm_warp *around, const hm_search *search, uint8_t *row, hm_verdict *verdict,
                                      hm_warp *best);

#endif
