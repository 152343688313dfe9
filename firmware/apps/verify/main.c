/* A door by face: the camera's frame, the gate's decision, the light or lock; and the link for people and questions.
 *
 * Each frame is an attempt that the gate counts, so hm_port_frame of a board with a camera returns one when somebody asks
 * for it (a button, a sensor), and none otherwise. On a board without a camera this answers the link alone. */
#include "../../device/hm_door.h"
#include "../say.h"

static hm_device device;
static hm_door door;
static hm_code factory = HM_CODE_NO_KEY; /* hm_device_serve */

/* Why there was neither match nor no match. */
static void tell_error(hm_code code)
{
    const uint32_t wait = hm_gate_wait(&device.gate, hm_port_ms());
    if (code != HM_CODE_OK) {
        hm_say(hm_code_text((unsigned)code));
    } else if (wait > 0) {
        hm_say("the gate is shut for ");
        hm_say_number(wait, 10);
        hm_say(" s");
    } else if (hm_store_count(&device.store) == 0) {
        hm_say("nobody is stored");
    } else {
        hm_say("not everybody could be asked");
    }
}

static void tell(uint32_t decision, const hm_seen *seen)
{
    if (decision != HM_GATE_MATCH && decision != HM_GATE_NO_MATCH) {
        tell_error(seen->code);
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

int main(void)
{
    const hm_door_policy policy = {HM_DOOR_POLICY};
    hm_start_device(&device);
    hm_door_begin(&door, &device, &policy);
    for (;;) {
        hm_seen seen;
        hm_device_serve(&device, &factory);
        const uint32_t decision = hm_door_step(&door, &seen);
        if (decision != 0) {
            tell(decision, &seen);
        }
    }
}
