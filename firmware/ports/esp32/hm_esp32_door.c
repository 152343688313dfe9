/* A door: a face in the guide, the gate's decision, the lock. */
#include "hm_esp32_door.h"

void hm_door_begin(hm_door *door, hm_device *device, const hm_door_policy *policy)
{
    door->device = device;
    door->policy = *policy;
    door->opened_ms = 0;
    door->open = false;
    hm_port_light(false);
}

static int32_t part(uint32_t thousandths, uint32_t side)
{
    return (int32_t)(16 * thousandths * side / 1000); /* in 1/16 pixel; sides are 4096 at most */
}

static hm_code find_face(const hm_door_policy *policy, const hm_frame *frame, hm_warp *warp)
{
    if (policy->landmarks != NULL) {
        hm_point points[5];
        return policy->landmarks(frame, points) ? hm_warp_of_landmarks(frame, points, warp) : HM_CODE_NO_FACE;
    }
    const hm_guide guide = {{part(policy->x, frame->width), part(policy->y, frame->height)},
                            part(policy->eyes, frame->width)};
    return hm_warp_of_guide(frame, &guide, warp);
}

static uint32_t look(hm_door *door)
{
    hm_frame frame;
    hm_warp warp;
    hm_entry entry;
    hm_verdict verdict;
    if (!hm_port_frame(&frame)) {
        return 0;
    }
    if (find_face(&door->policy, &frame, &warp) != HM_CODE_OK) {
        return HM_GATE_ERROR; /* nobody was looked at, so no attempt is counted */
    }
    return hm_device_look(door->device, &frame, &warp, &entry, &verdict);
}

uint32_t hm_door_step(hm_door *door)
{
    const uint32_t decision = look(door);
    if (decision == HM_GATE_MATCH) {
        door->open = true;
        door->opened_ms = hm_port_ms();
        hm_port_light(true);
    } else if (door->open && hm_port_ms() - door->opened_ms >= door->policy.open_ms) {
        door->open = false;
        hm_port_light(false);
    }
    if (decision == 0) {
        hm_port_idle();
    }
    return decision;
}
