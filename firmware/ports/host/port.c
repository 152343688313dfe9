/* The rest of the host port: clocks, key, random numbers, cipher, camera and light. */
#define _DEFAULT_SOURCE

#include "host.h"

#include "hm_port.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { NUMBER = 4, RECORD = NUMBER + HM_KEY_BYTES };

static uint8_t record[RECORD]; /* number and key, where no file keeps them */
static bool has_record;

const char *hm_port_board(void)
{
    return host.name;
}

static uint64_t nanoseconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

uint32_t hm_port_ms(void)
{
    return (uint32_t)(nanoseconds() / 1000000);
}

uint32_t hm_port_cycles(void)
{
    return (uint32_t)nanoseconds();
}

uint32_t hm_port_cycles_hz(void)
{
    return 1000000000;
}

uint32_t hm_port_stack_used(void)
{
    return 0;
}

/* The key as the file has it: its number, little-endian, and its bytes. */
static bool read_record(uint8_t into[RECORD])
{
    if (host.key == NULL) {
        memcpy(into, record, RECORD);
        return has_record;
    }
    const int file = open(host.key, O_RDONLY);
    const bool whole = file >= 0 && read(file, into, RECORD) == RECORD;
    if (file >= 0) {
        (void)close(file);
    }
    return whole;
}

bool hm_port_key(uint8_t key[HM_KEY_BYTES], uint32_t *number)
{
    uint8_t found[RECORD];
    const bool there = read_record(found);
    if (there) {
        memcpy(number, found, NUMBER); /* both are little-endian: hm_types.h refuses other targets */
        memcpy(key, found + NUMBER, HM_KEY_BYTES);
    }
    explicit_bzero(found, sizeof found);
    return there && *number != 0;
}

/* Beside the file, then renamed: a key is whole or not there. */
static bool keep_record(const uint8_t bytes[RECORD])
{
    char beside[4096];
    const int n = snprintf(beside, sizeof beside, "%s.new", host.key);
    if (n < 0 || (size_t)n >= sizeof beside) {
        return false;
    }
    const int file = open(beside, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (file < 0) {
        return false;
    }
    const bool whole = write(file, bytes, RECORD) == RECORD && fsync(file) == 0;
    return close(file) == 0 && whole && rename(beside, host.key) == 0;
}

bool hm_port_set_key(const uint8_t key[HM_KEY_BYTES], uint32_t number)
{
    uint8_t bytes[RECORD];
    if (read_record(bytes)) {
        return false;
    }
    memcpy(bytes, &number, NUMBER);
    memcpy(bytes + NUMBER, key, HM_KEY_BYTES);
    if (host.key == NULL) {
        memcpy(record, bytes, RECORD);
        has_record = true;
    } else {
        has_record = keep_record(bytes);
    }
    explicit_bzero(bytes, sizeof bytes);
    return has_record;
}

bool hm_port_random(uint8_t *bytes, size_t n)
{
    return getrandom(bytes, n, 0) == (ssize_t)n;
}

bool hm_port_decrypt(const uint8_t key[HM_KEY_BYTES], const uint8_t counter[16], uint8_t *bytes, size_t n)
{
    host_aes_ctr(key, counter, bytes, n);
    return true;
}

uint8_t *hm_port_room(size_t n)
{
    static _Alignas(16) uint8_t room[128 * 1024];
    return n <= sizeof room ? room : NULL;
}

static uint8_t *pixels;
static size_t frame_bytes;

/* Why the frame could not be read, or NULL. */
static const char *read_frame(void)
{
    FILE *const file = fopen(host.frame, "rb");
    if (file == NULL) {
        return strerror(errno);
    }
    const bool whole = fread(pixels, 1, frame_bytes, file) == frame_bytes && fgetc(file) == EOF;
    (void)fclose(file);
    return whole ? NULL : "not width * height * 3 bytes";
}

void host_open_frame(void)
{
    if (host.frame == NULL) {
        return;
    }
    frame_bytes = (size_t)host.width * host.height * 3;
    if (frame_bytes == 0) {
        host_refuse("--frame", "needs --width and --height");
    }
    pixels = malloc(frame_bytes);
    const char *const why = pixels == NULL ? strerror(errno) : read_frame();
    if (why != NULL) {
        host_refuse(host.frame, why);
    }
}

bool hm_port_frame(hm_frame *frame)
{
    static struct stat shown;
    struct stat now;
    if (host.frame == NULL || stat(host.frame, &now) != 0 || now.st_size == 0 || /* somebody begins to write it */
        (now.st_ino == shown.st_ino && now.st_size == shown.st_size && now.st_mtim.tv_sec == shown.st_mtim.tv_sec &&
         now.st_mtim.tv_nsec == shown.st_mtim.tv_nsec)) {
        return false;
    }
    shown = now;
    const char *const why = read_frame();
    if (why != NULL) {
        fprintf(stderr, "%s: %s\n", host.frame, why);
        return false;
    }
    *frame = (hm_frame){pixels, (uint32_t)host.width * 3, host.width, host.height, HM_RGB888};
    return true;
}

void hm_port_light(bool on)
{
    static bool was;
    if (on != was) {
        fprintf(stderr, "light %s\n", on ? "on" : "off");
        was = on;
    }
}
