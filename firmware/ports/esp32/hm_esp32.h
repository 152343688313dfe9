/* The port to ESP32 and ESP32-S3 boards by ESP-IDF: what it is started with. The calls themselves are hm_port.h's. */
#ifndef HM_ESP32_H
#define HM_ESP32_H

#include "../../device/hm_port.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Light off, key storage, partitions, random numbers, line, camera, in this order, each whatever became of the others:
 * what is missing is refused by those who ask for it, and the link tells why. The first thing that went wrong. */
HM_MUST_CHECK hm_code hm_esp32_begin(void);

/* Its parts, a file each. */
HM_MUST_CHECK hm_code hm_esp32_begin_key(void);
HM_MUST_CHECK hm_code hm_esp32_begin_flash(void);
HM_MUST_CHECK hm_code hm_esp32_begin_random(void); /* before the camera: on an ESP32 both need the same peripheral */
HM_MUST_CHECK hm_code hm_esp32_begin_line(void);
HM_MUST_CHECK hm_code hm_esp32_begin_camera(void);

#ifdef __cplusplus
}
#endif

#endif
