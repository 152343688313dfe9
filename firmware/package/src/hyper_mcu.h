/* hyper-mcu for an application, C or C++: the device, people that come with the program, a door, and on ESP32 the port. */
#ifndef HYPER_MCU_H
#define HYPER_MCU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#include "apps/door.h"

#ifdef ESP_PLATFORM
#include "ports/esp32/hm_esp32.h"
#endif

#ifdef __cplusplus
}
#endif

#endif
