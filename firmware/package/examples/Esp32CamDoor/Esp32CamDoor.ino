/* A door by face on an AI-Thinker ESP32-CAM (button: GPIO13 to ground; light: the red LED) or an ESP32-S3-EYE.
 *
 * Tools: PSRAM enabled; the partition table beside this file is taken by itself. The serial line is the link's: no Serial
 * here. Then, on a computer: `hyper-mcu key new`, and `hyper-mcu send person.bin --port auto`. */
#include <hyper_mcu.h>

static hm_device device;
static hm_door door;
static hm_code factory = HM_CODE_NO_KEY;

/* Eyes in the middle, at 43 % of the height, 19 % of the width apart; open for 3 s; no detector of faces. After five
 * failures the gate is shut for 30 s, doubling up to an hour. */
static const hm_door_policy policy = {HM_DOOR_POLICY};

static hm_code board;

void setup()
{
    board = hm_esp32_begin(); /* whatever is missing is refused later, and the link tells why */
    hm_start_door(&door, &device, &policy);
}

void loop()
{
    hm_serve_door(&door, &factory); /* says on the serial line who it was, and how sure that is */
}
