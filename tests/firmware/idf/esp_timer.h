/* Microseconds since the start. Written from its documentation, as README.md here says. */
#ifndef IDF_ESP_TIMER_H
#define IDF_ESP_TIMER_H

#include <stdint.h>

int64_t esp_timer_get_time(void);

#endif
