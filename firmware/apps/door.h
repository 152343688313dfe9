/* A door by face as an application has it: its start, its loop, and what becomes of each frame, said on the serial line. */
#ifndef HM_APP_DOOR_H
#define HM_APP_DOOR_H

#include "../device/hm_door.h"
#include "say.h"

/* Why there was neither match nor no match. */
static inline void hm_say_error(hm_device *device, hm_code code)
{
    const uint32_t wait = hm_gate_wait(&device->gate, hm_port_ms());
    if (code != HM_CODE_OK) {
        hm_say(hm_code_text((unsigned)code));
    } else if (wait > 0) {
        hm_say("the gate is shut for ");
        hm_say_number(wait, 10);
        hm_say(" s");
    } else if (hm_store_count(&device->store) == 0) {
        hm_say("nobody is stored");
    } else {
        hm_say("not everybody could be asked");
    }
}

static inline void hm_say_seen(hm_device *device, uint32_t decision, const hm_seen *seen)
{
    if (decision != HM_GATE_MATCH && decision != HM_GATE_NO_MATCH) {
        hm_say_error(device, seen->code);
    } else {
        if (decision == HM_GATE_MATCH) {
            hm_say(seen->entry.sealed.name);
        }
        hm_say(decision == HM_GATE_MATCH ? ": match" : "no match");
        hm_say(", logit ");
        hm_say_signed(seen->verdict.logit);
        hm_say(" of ");
        hm_say_signed(seen->verdict.threshold);
    }
    hm_say("\r\n");
}

static inline void hm_start_door(hm_door *door, hm_device *device, const hm_door_policy *policy)
{
    const uint32_t cost = hm_search_cost(&policy->search);
    hm_start_device(device);
    hm_door_begin(door, device, policy);
    if (cost != 1) {
        hm_say("search: ");
        hm_say_number(cost, 10);
        hm_say(" verifications\r\n");
    }
}

/* One turn: the link, then the camera. */
static inline void hm_serve_door(hm_door *door, hm_code *factory)
{
    hm_seen seen;
    hm_serve(door->device, factory);
    const uint32_t decision = hm_door_step(door, &seen);
    if (decision != 0) {
        hm_say_seen(door->device, decision, &seen);
    }
}

#endif
