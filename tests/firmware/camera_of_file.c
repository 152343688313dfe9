/* A camera for an emulated board: hm-frame.bin, RGB888 of 64 by 48 pixels, shown as often as its first byte says. */
#include "hm_port.h"

#include "../../firmware/ports/cortex_m/semihost.h"

enum { WIDTH = 64, HEIGHT = 48, BYTES = 3 * WIDTH * HEIGHT };

static uint8_t file[1 + BYTES];

bool hm_port_frame(hm_frame *frame)
{
    static const char name[] = "hm-frame.bin";
    static bool read;
    static uint32_t shown;
    if (!read) {
        const uint32_t handle = hm_host_open(name, sizeof name - 1, HM_OPEN_READ);
        read = handle != HM_NO_HANDLE && hm_host_read(handle, file, sizeof file) == sizeof file;
    }
    if (!read || shown == file[0]) {
        return false;
    }
    shown++;
    frame->pixels = file + 1;
    frame->stride = 3 * WIDTH;
    frame->width = WIDTH;
    frame->height = HEIGHT;
    frame->format = HM_RGB888;
    return true;
}
