/* A door by face: the camera's frame, the gate's decision, the light or lock; and the link for people and questions.
 *
 * Each frame is an attempt that the gate counts, so hm_port_frame of a board with a camera returns one when somebody asks
 * for it (a button, a sensor), and none otherwise. On a board without a camera this answers the link alone. */
#include "../door.h"

static hm_device device;
static hm_door door;
static hm_code factory = HM_CODE_NO_KEY; /* hm_store_factory */

void hm_main(void)
{
    const hm_door_policy policy = {HM_DOOR_POLICY};
    hm_start_door(&door, &device, &policy);
    for (;;) {
        hm_serve_door(&door, &factory);
    }
}
