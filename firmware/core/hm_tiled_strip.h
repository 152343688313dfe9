/* A strip of a stage in tiles. */
#ifndef HM_TILED_STRIP_H
#define HM_TILED_STRIP_H

#include "hm_tiled_pairs.h"
#include "hm_tiled_rv32.h"

/* n rows of a stage: group by group, four channels at a time. next: bytes from an output to the next channel's. */
__attribute__((noinline, unused)) static void hm_tiled_strip(const hm_tiled *s, const hm_conv *conv,
                                                             const uint8_t *const *rows, uint8_t *const *out, int n,
                                                             void *scratch, int next)
{
    hm_tiled_pixel *const pixels = (hm_tiled_pixel *)scratch;
    const int count = hm_tiled_pixels(s, rows, out, n, pixels);
    int8_t *const weights = (int8_t *)(pixels + count);
    hm_tiled_channel *const channels = (hm_tiled_channel *)(void *)(weights + s->cells * HM_TILED_CELL);
    uint8_t *const planes = (uint8_t *)channels + HM_TILED_FOUR;
    const int in_rows = (n - 1) * s->stride + s->k;
    const int first = hm_tiled_ways(s, weights);
    if (s->k > 1) {
        hm_tiled_padding(s, rows, in_rows, planes);
    }
    for (int g = 0; g < s->groups; g++) {
        const int end = (g + 1) * s->out_g;
        const uint8_t *in = planes;
        if (s->k > 1) {
            hm_tiled_rows(s, rows, in_rows, g * s->in_g, planes);
        } else {
            in = rows[0] + g * s->in_g;
        }
        for (int from = end - s->out_g; from < end; from += 4) {
            const int c = from < end - 4 ? from : end - 4; /* the last four may be among those before */
            hm_tiled_weights(s, conv, c, weights, channels);
            const int place = next == 1 ? c : hm_shuffled(c, next, s->shuffled);
            hm_tiled_tiles(s, channels, weights, pixels, count, in + first, out[0] + place, next);
        }
    }
}

#endif
