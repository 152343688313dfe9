/* Row streaming: how far a stage can go with the rows that are there, and where these lie. */
#ifndef HM_ROWS_H
#define HM_ROWS_H

#include "hm_memory.h"

#include <stddef.h>
#include <stdint.h>

#define HM_NOT_KEPT 0xFFFFU /* the place of a row that nobody goes back to */

/* A stage as far as rows go. Its places, and those of its input, are indices of the first row in the engine's table. */
typedef struct hm_stage {
    uint16_t rows;      /* of its map */
    uint16_t in_rows;   /* of its input */
    uint16_t places;
    uint16_t in_places;
    uint8_t k;
    uint8_t stride;
    uint8_t above; /* rows of padding */
    uint8_t wait;  /* rows before it begins, */
    uint8_t strip; /* and most rows of a call */
} hm_stage;

/* How many rows of a stage `have` rows of its input are enough for. */
static inline int hm_ready(const hm_stage *stage, int have)
{
    if (have >= stage->in_rows) {
        return stage->rows;
    }
    const int below = have + stage->above - stage->k;
    if (below < 0) {
        return 0;
    }
    const int ready = (stage->stride == 2 ? below >> 1 : below) + 1;
    return ready < stage->rows ? ready : stage->rows;
}

/* The n rows, one at least, whose places, in units of 8 bytes, are these. */
static inline void hm_rows_at(uint8_t *rows[], int n, uint8_t *maps, const uint16_t *places)
{
    int i = 0;
    do {
        rows[i] = maps + (size_t)places[i] * 8;
    } while (++i < n);
}

/* The rows under n rows of a stage from y on: NULL where there is padding, `newest` for row newest_y. */
static inline void hm_rows_under(const uint8_t *rows[], const hm_stage *stage, int y, int n, const uint8_t *maps,
                                 const uint16_t *places, int newest_y, const uint8_t *newest)
{
    const int top = y * stage->stride - stage->above;
    const int count = (n - 1) * stage->stride + stage->k;
    int i = 0;
    do {
        const int in = top + i;
        if (in < 0 || in >= stage->in_rows) {
            rows[i] = NULL;
        } else {
            rows[i] = in == newest_y ? newest : maps + (size_t)places[stage->in_places + in] * 8;
        }
    } while (++i < count);
}

#endif
