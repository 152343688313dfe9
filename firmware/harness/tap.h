/* Where the rows of every layer go in a build with HARNESS_TAPS. */
#ifndef HARNESS_TAP_H
#define HARNESS_TAP_H

#include <stdint.h>

#ifdef __cplusplus
extern "C"
#endif
void harness_tap(int layer, int row, const int8_t *bytes, int n);

#endif
