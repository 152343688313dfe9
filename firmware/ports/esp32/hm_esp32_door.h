/* A door: a face in the guide, the gate's decision, the lock. Calls hm_device and hm_port.h alone, no ESP-IDF. */
#ifndef HM_ESP32_DOOR_H
#define HM_ESP32_DOOR_H

#include "../../device/hm_device.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Where the face is asked to be: centre between the eyes and their distance, in thousandths of the frame's width and
 * height (the distance: of its width). open_ms: how long a match opens. landmarks: who has a detector of faces fills five
 * points as hm_warp_of_landmarks takes them and returns true; NULL: the guide alone. */
typedef struct hm_door_policy {
    uint16_t x;
    uint16_t y;
    uint16_t eyes;
    uint32_t open_ms;
    bool (*landmarks)(const hm_frame *frame, hm_point points[5]);
} hm_door_policy;

typedef struct hm_door {
    hm_device *device;
    hm_door_policy policy;
    uint32_t opened_ms;
    bool open;
} hm_door;

void hm_door_begin(hm_door *door, hm_device *device, const hm_door_policy *policy);

/* One turn: a frame if there is one, then the lock's time. The gate's decision about the frame; 0 where there was none.
 * Who calls this again and again calls hm_device_serve before it, for the link. */
uint32_t hm_door_step(hm_door *door);

#ifdef __cplusplus
}
#endif

#endif
