/* The engine and one person's data: model.h's implementation and nothing else, so that its size can be read off. */
#ifdef HARNESS_TAPS
#include "tap.h"
#define HM_TAP(layer, row, bytes, n) harness_tap((layer), (row), (bytes), (n))
#endif

#define HYPER_MCU_IMPLEMENTATION
#include "model.h"
