/* ESP-IDF's non-volatile storage. Written from its documentation, as README.md here says. */
#ifndef IDF_NVS_H
#define IDF_NVS_H

#include "esp_err.h"

#include <stddef.h>
#include <stdint.h>

enum { ESP_ERR_NVS_NOT_FOUND = 0x1102, ESP_ERR_NVS_INVALID_LENGTH = 0x110c, ESP_ERR_NVS_NO_FREE_PAGES = 0x110d };
typedef uint32_t nvs_handle_t;
typedef enum { NVS_READONLY, NVS_READWRITE } nvs_open_mode_t;

esp_err_t nvs_open(const char *name, nvs_open_mode_t mode, nvs_handle_t *handle);
esp_err_t nvs_get_blob(nvs_handle_t handle, const char *key, void *value, size_t *length);
esp_err_t nvs_set_blob(nvs_handle_t handle, const char *key, const void *value, size_t length);
esp_err_t nvs_commit(nvs_handle_t handle);
void nvs_close(nvs_handle_t handle);

#endif
