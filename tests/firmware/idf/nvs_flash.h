/* The partition of ESP-IDF's non-volatile storage. Written from its documentation, as README.md here says. */
#ifndef IDF_NVS_FLASH_H
#define IDF_NVS_FLASH_H

#include "esp_err.h"

esp_err_t nvs_flash_init(void);

#endif
