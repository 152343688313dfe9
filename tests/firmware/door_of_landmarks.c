/* A door whose faces a detector finds: LANDMARKS, in 1/16 pixel, on every frame but those whose first byte is 0. */
#include "../../firmware/apps/door.h"

static hm_device device;
static hm_door door;
static hm_code factory = HM_CODE_NO_KEY;

static hm_code find(const hm_frame *frame, hm_warp *warp)
{
    static const hm_point landmarks[5] = {LANDMARKS};
    return frame->pixels[0] == 0 ? HM_CODE_NO_FACE : hm_warp_of_landmarks(frame, landmarks, warp);
}

void hm_main(void)
{
    const hm_door_policy policy = {500, 430, 190, 3000, find, {HM_DOOR_SEARCH}};
    hm_start_door(&door, &device, &policy);
    for (;;) {
        hm_serve_door(&door, &factory);
    }
}
