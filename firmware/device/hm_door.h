/* A door: a face in the guide, the gate's decision, the light or lock. */
#ifndef HM_DOOR_H
#define HM_DOOR_H

#include "hm_device.h"

/* Where the face is asked to be, in thousandths: x, y: the place midway between the eyes, of the frame's width and height;
 * eyes: their distance, of its width. open_ms: how long a match opens. find: who has a detector of faces says where one is,
 * by hm_warp_of_landmarks, or HM_CODE_NO_FACE; NULL: the guide alone. search: around that place, all zeros for none; it
 * multiplies the false match rate (CAMERA.md). */
typedef struct hm_door_policy {
    uint16_t x;
    uint16_t y;
    uint16_t eyes;
    uint32_t open_ms;
    hm_code (*find)(const hm_frame *frame, hm_warp *warp);
    hm_search search;
} hm_door_policy;

/* -DHM_DOOR_SEARCH=1,1,0,6,6,0: a search of 27 verifications, the fields of hm_search. */
#ifndef HM_DOOR_SEARCH
#define HM_DOOR_SEARCH 0, 0, 0, 0, 0, 0
#endif
/* On 320x240 pixels: eyes 60 pixels apart, in the middle and a little above it. Open for 3 s. */
#ifndef HM_DOOR_POLICY
#define HM_DOOR_POLICY 500, 430, 190, 3000, NULL, {HM_DOOR_SEARCH}
#endif

typedef struct hm_door {
    hm_device *device;
    hm_door_policy policy;
    uint32_t opened_ms;
    bool open;
} hm_door;

/* What became of a frame. code: HM_CODE_OK where a face was looked for in it, else why not: then no attempt was counted.
 * entry, verdict: as hm_device_look gives them; entry until the link is served again. */
typedef struct hm_seen {
    hm_code code;
    hm_entry entry;
    hm_verdict verdict;
} hm_seen;

void hm_door_begin(hm_door *door, hm_device *device, const hm_door_policy *policy);

/* One turn: a frame if there is one, then the lock's time. The gate's decision about the frame, HM_GATE_ERROR where
 * seen->code is none of HM_CODE_OK, 0 where there was no frame. Who calls this again and again calls hm_device_poll before
 * it, for the link. */
uint32_t hm_door_step(hm_door *door, hm_seen *seen);

#endif
