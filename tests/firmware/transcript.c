/* The verify application on any core that the harness runs on: a recorded line comes in, all that it answers and says goes
 * out, and what it makes of a camera's frame. Clock, key, flash and random numbers are the same everywhere, so that the
 * output is the same, byte by byte, or the core, its compiler or the C is wrong.
 *
 * Input: bytes of the line (uint32), then these; a frame of 320x240 pixels, RGB565 big-endian, which is shown when the line
 * is at its end. Output: the line; when the frame is shown, its crop behind the guide; "light on" and "light off". */
#include "bare_port.h"
#include "hm_door.h"

#include "../../firmware/harness/port.h"

enum { PARTITION = 256 * 1024, UNIT = 4096, LOG = 2 * UNIT, WIDTH = 320, HEIGHT = 240 };

static uint8_t storage[PARTITION + LOG] __attribute__((aligned(16)));
static uint32_t left;
static uint8_t pixels[2 * WIDTH * HEIGHT];
static bool shown;
static uint32_t ms;

static bool erase(void *context, uint32_t offset)
{
    hm_fill((uint8_t *)context + offset, 0xFF, UNIT);
    return true;
}

static bool program(void *context, uint32_t offset, const uint8_t *bytes, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        ((uint8_t *)context)[offset + i] &= bytes[i];
    }
    return true;
}

static const hm_flash people = {storage, PARTITION, UNIT, 4, storage, erase, program};
static const hm_flash gate_log = {storage + PARTITION, LOG, UNIT, 4, storage + PARTITION, erase, program};

const hm_flash *hm_port_people(void)
{
    return &people;
}

const hm_flash *hm_port_log(void)
{
    return &gate_log;
}

const char *hm_port_board(void)
{
    return "transcript";
}

size_t hm_port_read(uint8_t *bytes, size_t n)
{
    const size_t part = n < left ? n : left;
    if (part != 0) {
        (void)port_probe(bytes, part);
        left -= (uint32_t)part;
    }
    return part;
}

bool hm_port_write(const uint8_t *bytes, size_t n)
{
    port_write(bytes, n);
    return true;
}

uint32_t hm_port_ms(void)
{
    return ms;
}

/* Time passes where there is nothing to do; the end is a while after the door has shut again. */
void hm_port_idle(void)
{
    ms += shown ? 100 : 0;
    if (ms > 5000) {
        port_exit(0);
    }
}

/* Not random: the transcript answers challenges that it has not seen. */
bool hm_port_random(uint8_t *bytes, size_t n)
{
    hm_fill(bytes, 0x5C, n);
    return true;
}

static void put(const char *text)
{
    size_t n = 0;
    while (text[n] != 0) {
        n++;
    }
    port_write((const uint8_t *)text, n);
}

void hm_port_light(bool on)
{
    put(on ? "light on\n" : "light off\n");
}

static void put_crop(const hm_frame *frame)
{
    const hm_guide guide = {{16 * WIDTH / 2, 16 * HEIGHT * 43 / 100}, 16 * WIDTH * 19 / 100};
    hm_warp warp;
    uint8_t row[HM_ROW_BYTES];
    if (hm_warp_of_guide(frame, &guide, &warp) != HM_CODE_OK) {
        port_exit(2);
    }
    for (uint32_t y = 0; y < HM_INPUT_ROWS; y++) {
        if (hm_image_row(frame, &warp, y, row) != HM_CODE_OK) {
            port_exit(3);
        }
        port_write(row, sizeof row);
    }
}

bool hm_port_frame(hm_frame *frame)
{
    if (left > 0 || shown) {
        return false;
    }
    if (!port_probe(pixels, sizeof pixels)) {
        port_exit(PORT_BROKEN_INPUT);
    }
    shown = true;
    *frame = (hm_frame){pixels, 2 * WIDTH, WIDTH, HEIGHT, HM_RGB565_BIG};
    put_crop(frame);
    return true;
}

int main(void)
{
    uint8_t size[4];
    hm_fill(storage, 0xFF, sizeof storage);
    if (!port_probe(size, sizeof size)) {
        port_exit(PORT_BROKEN_INPUT);
    }
    left = (uint32_t)size[0] | (uint32_t)size[1] << 8 | (uint32_t)size[2] << 16 | (uint32_t)size[3] << 24;
    hm_main();
    return 1;
}
