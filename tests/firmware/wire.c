/* A device with a port in memory, asked by whoever holds the wire: what one turn of hm_device_poll does, and what is left in
 * the device's memory of what went over the line. */
#include "bare_port.h"
#include "hm_device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { UNIT = 4096, PEOPLE = 16 * UNIT, LOG = 2 * UNIT, MOST = 1 << 16 };

static _Alignas(16) uint8_t flash[PEOPLE + LOG];
static uint32_t people_at = 0;
static uint32_t log_at = PEOPLE;
static uint8_t line[MOST];
static size_t put;
static size_t got;
static uint8_t said[MOST];
static size_t said_bytes;
static unsigned written;
static hm_device device;

static bool erase(void *context, uint32_t offset)
{
    memset(flash + *(const uint32_t *)context + offset, 0xFF, UNIT);
    return true;
}

static bool program(void *context, uint32_t offset, const uint8_t *bytes, uint32_t n)
{
    memcpy(flash + *(const uint32_t *)context + offset, bytes, n);
    return true;
}

static const hm_flash people = {flash, PEOPLE, UNIT, 8, &people_at, erase, program};
static const hm_flash attempts = {flash + PEOPLE, LOG, UNIT, 8, &log_at, erase, program};

const char *hm_port_board(void) { return "wire"; }
size_t hm_port_read(uint8_t *bytes, size_t n)
{
    const size_t more = n < put - got ? n : put - got;
    memcpy(bytes, line + got, more);
    got += more;
    return more;
}
bool hm_port_write(const uint8_t *bytes, size_t n)
{
    if (n > sizeof said - said_bytes) {
        abort();
    }
    memcpy(said + said_bytes, bytes, n);
    said_bytes += n;
    written++;
    return true;
}
uint32_t hm_port_ms(void) { return 0; }
const hm_flash *hm_port_people(void) { return &people; }
const hm_flash *hm_port_log(void) { return &attempts; }
bool hm_port_random(uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bytes[i] = (uint8_t)(240 + i); /* the challenge of tests/vectors */
    }
    return true;
}
void hm_port_idle(void) { }

bool hm_port_frame(hm_frame *frame)
{
    (void)frame;
    return false;
}

void hm_port_light(bool on)
{
    if (on) {
        abort();
    }
}

/* Stdin is what comes over the line, all at once. Says how often hm_device_poll was called, how many answers were sent, how
 * many in one call at most, and of how many bytes; then these bytes, and the whole memory of the device. */
int main(void)
{
    const hm_gate_policy policy = {5, 30, 3600};
    unsigned turns = 0;
    unsigned most = 0;
    memset(flash, 0xFF, sizeof flash);
    put = fread(line, 1, sizeof line, stdin);
    if (hm_device_begin(&device, policy) != HM_CODE_OK) {
        return 1;
    }
    while (got < put) {
        const unsigned before = written;
        hm_device_poll(&device);
        most = written - before > most ? written - before : most;
        turns++;
    }
    const unsigned told[4] = {turns, written, most, (unsigned)said_bytes};
    fwrite(told, sizeof told, 1, stdout);
    fwrite(said, 1, said_bytes, stdout);
    fwrite(&device, sizeof device, 1, stdout);
    return 0;
}
