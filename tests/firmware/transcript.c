/* A whole device on any core that the harness runs on: a recorded line comes in, all that the device answers goes out,
 * then what it makes of a camera's frame. Clock, key, flash and random numbers are the same everywhere, so that the
 * output is the same, byte by byte, or the core, its compiler or the C is wrong.
 *
 * Input: bytes of the line (uint32), then these; a frame of 320x240 pixels, RGB565 big-endian. */
#include "bare_port.h"
#include "hm_device.h"

#include "../../firmware/harness/port.h"

enum { PARTITION = 256 * 1024, UNIT = 4096, LOG = 2 * UNIT, WIDTH = 320, HEIGHT = 240 };

static uint8_t storage[PARTITION + LOG] __attribute__((aligned(16)));
static uint32_t left;
static uint8_t pixels[2 * WIDTH * HEIGHT];
static hm_device device;

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
    return 1;
}

/* Not random: the transcript answers challenges that it has not seen. */
bool hm_port_random(uint8_t *bytes, size_t n)
{
    hm_fill(bytes, 0x5C, n);
    return true;
}

void hm_port_light(bool on)
{
    (void)on;
}

static void put(uint32_t word)
{
    const uint8_t bytes[4] = {(uint8_t)(word & 0xFF), (uint8_t)(word >> 8 & 0xFF), (uint8_t)(word >> 16 & 0xFF),
                              (uint8_t)(word >> 24)};
    port_write(bytes, sizeof bytes);
}

int main(void)
{
    const hm_gate_policy policy = {5, 30, 3600};
    uint8_t size[4];
    hm_fill(storage, 0xFF, sizeof storage);
    if (!port_probe(size, sizeof size)) {
        port_exit(PORT_BROKEN_INPUT);
    }
    left = (uint32_t)size[0] | (uint32_t)size[1] << 8 | (uint32_t)size[2] << 16 | (uint32_t)size[3] << 24;
    if (hm_device_begin(&device, policy) != HM_CODE_OK) {
        port_exit(1);
    }
    while (left > 0) {
        hm_device_poll(&device);
    }
    hm_device_poll(&device);
    if (!port_probe(pixels, sizeof pixels)) {
        port_exit(PORT_BROKEN_INPUT);
    }
    const hm_frame frame = {pixels, 2 * WIDTH, WIDTH, HEIGHT, HM_RGB565_BIG};
    const hm_guide guide = {{16 * WIDTH / 2, 16 * HEIGHT * 43 / 100}, 16 * WIDTH * 19 / 100};
    hm_warp warp;
    uint8_t row[HM_ROW_BYTES];
    if (hm_warp_of_guide(&frame, &guide, &warp) != HM_CODE_OK) {
        port_exit(2);
    }
    for (uint32_t y = 0; y < HM_INPUT_ROWS; y++) {
        if (hm_image_row(&frame, &warp, y, row) != HM_CODE_OK) {
            port_exit(3);
        }
        port_write(row, sizeof row);
    }
    hm_entry entry;
    hm_verdict verdict = {0, 0, 0, false};
    put(hm_device_look(&device, &frame, &warp, NULL, &entry, &verdict));
    put((uint32_t)verdict.logit);
    hm_sha256 hash;
    uint8_t digest[HM_SHA256_BYTES];
    hm_sha256_begin(&hash);
    hm_sha256_add(&hash, pixels, sizeof pixels);
    hm_sha256_end(&hash, digest);
    port_write(digest, sizeof digest);
    port_exit(0);
}
