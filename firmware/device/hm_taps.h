/* Layers' check sums and cycles in a self-test build: where HM_TAP's rows go. hm_engine.c has the code. */
#ifndef HM_TAPS_H
#define HM_TAPS_H

#include <stdint.h>

/* -DHM_SELFTEST=1: the engine shows every row of every layer, and the link answers LAYERS and PROFILE. */
#ifndef HM_SELFTEST
#define HM_SELFTEST 0
#endif

#if HM_SELFTEST
/* From now on CRC-32 and cycles of each layer go to these, HM_LAYERS numbers each, which begin as zeros. NULL: nowhere. */
void hm_taps_to(uint32_t *crc, uint32_t *cycles);

/* What runs from here on belongs to the layer whose row comes next. */
void hm_taps_mark(void);

/* Cycles that the taps themselves took, since hm_taps_to. */
uint32_t hm_taps_cost(void);
#endif

#endif
