/* The core's cycles. Written from its documentation, as README.md here says. */
#ifndef IDF_ESP_CPU_H
#define IDF_ESP_CPU_H

#include <stdint.h>

typedef uint32_t esp_cpu_cycle_count_t;

esp_cpu_cycle_count_t esp_cpu_get_cycle_count(void);

#endif
