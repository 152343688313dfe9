/* A door, by the calls of hm_device and hm_port alone. */
#include "hm_door.h"

#include "../core/hm_memory.h"

void hm_door_begin(hm_door *door, hm_device *device, const hm_door_policy *policy)
{
    door->device = device;
    door->policy = *policy;
    door->opened_ms = 0;
    door->open = false;
    hm_port_light(false);
}

static int32_t hm_part(uint32_t thousandths, uint32_t side)
{
    return (int32_t)(16 * thousandths * side / 1000); /* in 1/16 pixel; sides are 4096 at most */
}

static hm_code hm_find_face(const hm_door_policy *policy, const hm_frame *frame, hm_warp *warp)
{
    if (policy->find != NULL) {
        return policy->find(frame, warp);
    }
    const hm_guide guide = {{hm_part(policy->x, frame->width), hm_part(policy->y, frame->height)},
                            hm_part(policy->eyes, frame->width)};
    return hm_warp_of_guide(frame, &guide, warp);
}

static uint32_t hm_look_out(hm_door *door, hm_seen *seen)
{
    hm_frame frame;
    hm_warp warp;
    hm_fill(seen, 0, sizeof *seen);
    seen->code = HM_CODE_NO_FRAME;
    if (!hm_port_frame(&frame)) {
        return 0;
    }
    seen->code = hm_find_face(&door->policy, &frame, &warp);
    if (seen->code != HM_CODE_OK) {
        return HM_GATE_ERROR; /* nobody was looked at, so no attempt is counted */
    }
    const hm_search *const search = &door->policy.search;
    const bool searches = hm_search_cost(search) != 1; /* one out of bounds is an error of every look */
    return hm_device_look(door->device, &frame, &warp, searches ? search : NULL, &seen->entry, &seen->verdict);
}

uint32_t hm_door_step(hm_door *door, hm_seen *seen)
{
    const uint32_t decision = hm_look_out(door, seen);
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
