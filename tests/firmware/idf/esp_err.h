/* ESP-IDF's errors. Written from its documentation, as README.md here says. */
#ifndef IDF_ESP_ERR_H
#define IDF_ESP_ERR_H

typedef int esp_err_t;
enum { ESP_OK = 0, ESP_FAIL = -1, ESP_ERR_INVALID_ARG = 0x102, ESP_ERR_INVALID_SIZE = 0x104 };

#endif
