/* The chip's random numbers. Written from its documentation, as README.md here says. */
#ifndef IDF_ESP_RANDOM_H
#define IDF_ESP_RANDOM_H

#include <stddef.h>

void esp_fill_random(void *bytes, size_t n);

#endif
