/* The engine: the one file of a program that holds its code. In a self-test build also what looks at its layers. */
#include "hm_taps.h"

#if HM_SELFTEST
static void hm_tap(int layer, int y, const int8_t *row, int n);
#define HM_TAP(layer, row, bytes, n) hm_tap((layer), (row), (bytes), (n))
#endif

#define HYPER_MCU_IMPLEMENTATION
#include "hm_engine.h"

#if HM_SELFTEST
#include "hm_port.h"

/* The hook gets no context, so a self-test build, and it alone, has this to remember where to write. */
static struct {
    uint32_t *crc;
    uint32_t *cycles;
    uint32_t mark;
    uint32_t cost;
} taps;

void hm_taps_to(uint32_t *crc, uint32_t *cycles)
{
    taps.crc = crc;
    taps.cycles = cycles;
    taps.cost = 0;
    if (crc != NULL) {
        hm_fill(crc, 0, sizeof *crc * HM_LAYERS);
        hm_fill(cycles, 0, sizeof *cycles * HM_LAYERS);
    }
    hm_taps_mark();
}

void hm_taps_mark(void)
{
    taps.mark = hm_port_cycles();
}

uint32_t hm_taps_cost(void)
{
    return taps.cost;
}

static void hm_tap(int layer, int y, const int8_t *row, int n)
{
    (void)y; /* rows come from the top */
    if (taps.crc == NULL) {
        return;
    }
    const uint32_t now = hm_port_cycles();
    taps.cycles[layer] += now - taps.mark;
    taps.crc[layer] = hm_crc32(taps.crc[layer], row, (size_t)n);
    taps.mark = hm_port_cycles();
    taps.cost += taps.mark - now;
}
#endif
