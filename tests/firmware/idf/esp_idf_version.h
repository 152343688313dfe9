/* ESP-IDF's version; IDF_MAJOR chooses one here. Written from its documentation, as README.md here says. */
#ifndef IDF_ESP_IDF_VERSION_H
#define IDF_ESP_IDF_VERSION_H

#ifndef IDF_MAJOR
#define IDF_MAJOR 5
#endif
#define ESP_IDF_VERSION_VAL(major, minor, patch) (((major) << 16) | ((minor) << 8) | (patch))
#define ESP_IDF_VERSION ESP_IDF_VERSION_VAL(IDF_MAJOR, 3, 0)

#endif
