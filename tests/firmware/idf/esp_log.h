/* ESP-IDF's log. Written from its documentation, as README.md here says. */
#ifndef IDF_ESP_LOG_H
#define IDF_ESP_LOG_H

#ifdef IDF_SIMULATED
#include <stdio.h>
#define ESP_LOGE(tag, format, ...) IDF_LOG("E (%s) " format "\n", tag, ##__VA_ARGS__)
#define ESP_LOGW(tag, format, ...) IDF_LOG("W (%s) " format "\n", tag, ##__VA_ARGS__)
#define IDF_LOG(...) (void)fprintf(stderr, __VA_ARGS__)
#else
void idf_log(const char *tag, const char *format, ...) __attribute__((format(printf, 2, 3)));
#define ESP_LOGE(tag, ...) idf_log(tag, __VA_ARGS__)
#define ESP_LOGW(tag, ...) idf_log(tag, __VA_ARGS__)
#endif

#endif
