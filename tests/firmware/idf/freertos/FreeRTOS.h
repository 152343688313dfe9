/* FreeRTOS's types. Written from its documentation, as README.md here says. */
#ifndef IDF_FREERTOS_FREERTOS_H
#define IDF_FREERTOS_FREERTOS_H

#include <stdint.h>

typedef uint32_t TickType_t;
typedef unsigned int UBaseType_t;
#define pdMS_TO_TICKS(ms) ((TickType_t)(ms))

#endif
