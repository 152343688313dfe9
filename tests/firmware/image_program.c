/* hm_image as a program of the harness: records of words in, what the calls say out. */
#include "hm_image.h"
#include "model.h"
#include "port.h"

#include "../../firmware/core/hm_memory.h"

/* OP_COST: as OP_ROWS, all rows in one measured call. */
enum { OP_ROWS, OP_LANDMARKS, OP_GUIDE, OP_VERIFY, OP_SEARCH, OP_NULLS, OP_COST };
enum { NO_PIXELS = -1 };

#ifdef __STDC_HOSTED__
#if __STDC_HOSTED__
#include <stdlib.h>
#define HOSTED 1
#endif
#endif

typedef struct ask {
    int32_t op, format, width, height, stride, bytes;
    int32_t warp[7]; /* halvings first */
    int32_t points[10];
    int32_t guide[3];
    int32_t search[6];
    int32_t person; /* 0: none, 1: one, 2: a broken one */
} ask;

static ask in;
static hm_frame frame;
static hm_warp warp;
static hm_session session;
static uint8_t row[HM_ROW_BYTES];
static uint8_t crop[HM_INPUT_BYTES];
static hm_code code;

#ifndef HOSTED
static uint8_t room[3 << 20];
#endif

/* The pixels in memory of just their size, where there is a library for it, so that a sanitizer sees what is beside them. */
static uint8_t *pixels_of(size_t n)
{
#ifdef HOSTED
    uint8_t *const pixels = (uint8_t *)malloc(n == 0 ? 1 : n);
#else
    uint8_t *const pixels = room;
#endif
    if (n > 0 && !port_probe(pixels, n)) {
        port_exit(PORT_BROKEN_INPUT);
    }
    return pixels;
}

static void say(const int32_t *words, size_t n) { port_write(words, n * sizeof *words); }

static void say_warp(const hm_warp *w)
{
    const int32_t words[7] = {w->halvings, w->a, w->b, w->c, w->d, w->e, w->f};
    say(words, 7);
}

static void say_verdict(const hm_verdict *v)
{
    const int32_t words[4] = {v->logit, v->threshold, (int32_t)v->decision, v->match};
    say(words, 4);
}

static void all_rows(void)
{
    code = HM_CODE_OK;
    for (uint32_t y = 0; y < HM_INPUT_ROWS && code == HM_CODE_OK; y++) {
        code = hm_image_row(&frame, &warp, y, crop + y * HM_ROW_BYTES);
    }
}

static void landmarks(void)
{
    hm_point points[5];
    for (int k = 0; k < 5; k++) {
        points[k].x = in.points[2 * k];
        points[k].y = in.points[2 * k + 1];
    }
    code = hm_warp_of_landmarks(&frame, points, &warp);
}

static void serve(void)
{
    const hm_search search = {(uint8_t)in.search[0], (uint8_t)in.search[1], (uint8_t)in.search[2],
                              (uint8_t)in.search[3], (uint8_t)in.search[4], (uint8_t)in.search[5]};
    const hm_guide guide = {{in.guide[0], in.guide[1]}, in.guide[2]};
    const hm_person *const people[] = {NULL, &HM_PERSON, &HM_PERSON};
    hm_person broken = HM_PERSON;
    broken.crc ^= 1;
    const hm_person *const person = in.person == 2 ? &broken : people[in.person];
    hm_verdict verdict = {1, 0, HM_MATCH, true}; /* what a call must not leave behind */
    hm_warp best = {9, 9, 9, 9, 9, 9, 9};
    int32_t said[2] = {0, 0};
    switch (in.op) {
    case OP_ROWS:
    case OP_COST:
        (void)port_call(all_rows);
        said[0] = (int32_t)code;
        say(said, 1);
        port_write(crop, sizeof crop);
        break;
    case OP_LANDMARKS:
    case OP_GUIDE:
        if (in.op == OP_GUIDE) {
            code = hm_warp_of_guide(&frame, &guide, &warp);
        } else {
            (void)port_call(landmarks);
        }
        said[0] = (int32_t)code;
        say(said, 1);
        say_warp(&warp);
        break;
    case OP_VERIFY:
    case OP_SEARCH:
        hm_fill(row, 1, sizeof row);
        code = in.op == OP_VERIFY
                   ? hm_image_verify(&session, person, &frame, &warp, row, &verdict)
                   : hm_image_search(&session, person, &frame, &warp, &search, row, &verdict, &best);
        said[0] = (int32_t)code;
        said[1] = (int32_t)hm_search_cost(&search);
        say(said, 2);
        say_verdict(&verdict);
        say_warp(&best);
        port_write(row, sizeof row);
        port_write(&session, sizeof session);
        break;
    default: { /* every argument in turn is NULL */
        const hm_point points[5] = {{0, 0}, {0, 0}, {0, 0}, {0, 0}, {0, 0}};
        for (int32_t k = 0; k < 26; k++) {
            verdict.match = true;
            switch (k) {
            case 0: code = hm_image_row(NULL, &warp, 0, row); break;
            case 1: code = hm_image_row(&frame, NULL, 0, row); break;
            case 2: code = hm_image_row(&frame, &warp, 0, NULL); break;
            case 3: code = hm_warp_of_landmarks(NULL, points, &warp); break;
            case 4: code = hm_warp_of_landmarks(&frame, NULL, &warp); break;
            case 5: code = hm_warp_of_landmarks(&frame, points, NULL); break;
            case 6: code = hm_warp_of_guide(NULL, &guide, &warp); break;
            case 7: code = hm_warp_of_guide(&frame, NULL, &warp); break;
            case 8: code = hm_warp_of_guide(&frame, &guide, NULL); break;
            case 9: code = hm_image_verify(NULL, person, &frame, &warp, row, &verdict); break;
            case 10: code = hm_image_verify(&session, NULL, &frame, &warp, row, &verdict); break;
            case 11: code = hm_image_verify(&session, person, NULL, &warp, row, &verdict); break;
            case 12: code = hm_image_verify(&session, person, &frame, NULL, row, &verdict); break;
            case 13: code = hm_image_verify(&session, person, &frame, &warp, NULL, &verdict); break;
            case 14: code = hm_image_verify(&session, person, &frame, &warp, row, NULL); break;
            case 15: code = hm_image_search(NULL, person, &frame, &warp, &search, row, &verdict, &best); break;
            case 16: code = hm_image_search(&session, NULL, &frame, &warp, &search, row, &verdict, &best); break;
            case 17: code = hm_image_search(&session, person, NULL, &warp, &search, row, &verdict, &best); break;
            case 18: code = hm_image_search(&session, person, &frame, NULL, &search, row, &verdict, &best); break;
            case 19: code = hm_image_search(&session, person, &frame, &warp, NULL, row, &verdict, &best); break;
            case 20: code = hm_image_search(&session, person, &frame, &warp, &search, NULL, &verdict, &best); break;
            case 21: code = hm_image_search(&session, person, &frame, &warp, &search, row, NULL, &best); break;
            case 22: code = hm_image_search(&session, person, &frame, &warp, &search, row, &verdict, NULL); break;
            case 23: code = hm_search_cost(NULL) == 0 ? (hm_code)HM_NULL_POINTER : HM_CODE_OK; break;
            case 24: code = hm_image_row(&frame, &warp, HM_INPUT_ROWS, row); break;
            default: code = hm_image_row(&frame, &warp, UINT32_MAX, row); break;
            }
            said[0] = (int32_t)code;
            /* the calls that have a verdict leave no match in it */
            said[1] = k >= 9 && k != 14 && k != 21 && k < 23 && verdict.match;
            say(said, 2);
        }
        break;
    }
    }
}

int main(void)
{
    while (port_probe(&in, sizeof in)) {
        uint8_t *const pixels = pixels_of(in.bytes < 0 ? 0 : (size_t)in.bytes);
        frame.pixels = in.bytes == NO_PIXELS ? NULL : pixels;
        frame.stride = (uint32_t)in.stride;
        frame.width = (uint16_t)in.width;
        frame.height = (uint16_t)in.height;
        frame.format = (hm_format)in.format;
        const hm_warp given = {(uint8_t)in.warp[0], in.warp[1], in.warp[2], in.warp[3],
                               in.warp[4],          in.warp[5], in.warp[6]};
        warp = given;
        hm_fill(crop, 0xA5, sizeof crop);
        serve();
#ifdef HOSTED
        free(pixels);
#endif
    }
    port_exit(0);
}
