/* A door by face: the camera's frame, the gate's decision, the light or lock; and the link for people and questions.
 *
 * Each frame is an attempt that the gate counts, so hm_port_frame of a board with a camera returns one when somebody asks
 * for it (a button, a sensor), and none otherwise. On a board without a camera this answers the link alone. */
#include "../say.h"

/* Where the face is asked to be, in thousandths: centre between the eyes, of the frame's width and height, and their
 * distance, of its width. */
#ifndef HM_GUIDE
#define HM_GUIDE 500, 420, 140
#endif
#ifndef HM_OPEN_MS
#define HM_OPEN_MS 3000
#endif

static hm_device device;
static hm_code factory = HM_CODE_NO_KEY; /* hm_device_serve */
static bool open;
static uint32_t opened_ms;

static hm_code guided(const hm_frame *frame, hm_warp *warp)
{
    static const uint32_t place[3] = {HM_GUIDE};
    const uint32_t width = 16U * frame->width; /* in 1/16 pixel */
    const uint32_t height = 16U * frame->height;
    const hm_guide guide = {{(int32_t)(width * place[0] / 1000), (int32_t)(height * place[1] / 1000)},
                            (int32_t)(width * place[2] / 1000)};
    return hm_warp_of_guide(frame, &guide, warp);
}

static void tell(uint32_t decision, const hm_entry *entry, const hm_verdict *verdict)
{
    if (decision == HM_GATE_MATCH) {
        hm_say(entry->sealed.name);
        hm_say(": match");
    } else if (decision == HM_GATE_NO_MATCH) {
        hm_say("no match");
    } else {
        hm_say("not looked at: nobody is stored, or the gate is shut for ");
        hm_say_number(hm_gate_wait(&device.gate, hm_port_ms()), 10);
        hm_say(" s\r\n");
        return;
    }
    hm_say(", logit ");
    hm_say_signed(verdict->logit);
    hm_say(" of ");
    hm_say_signed(verdict->threshold);
    hm_say("\r\n");
}

/* Whether there was a frame to look at. */
static bool look(void)
{
    hm_frame frame;
    hm_warp warp;
    hm_entry entry;
    hm_verdict verdict;
    if (!hm_port_frame(&frame)) {
        return false;
    }
    const hm_code code = guided(&frame, &warp);
    if (code != HM_CODE_OK) {
        hm_say(hm_code_text((unsigned)code));
        hm_say("\r\n");
        return true;
    }
    const uint32_t decision = hm_device_look(&device, &frame, &warp, &entry, &verdict);
    tell(decision, &entry, &verdict);
    if (decision == HM_GATE_MATCH) {
        hm_port_light(true);
        open = true;
        opened_ms = hm_port_ms();
    }
    return true;
}

int main(void)
{
    hm_start_device(&device);
    for (;;) {
        hm_device_serve(&device, &factory);
        if (open && hm_port_ms() - opened_ms >= HM_OPEN_MS) {
            hm_port_light(false);
            open = false;
        }
        if (!look()) {
            hm_port_idle();
        }
    }
}
