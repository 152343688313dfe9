/* Flash as a file in memory: what was programmed is there after kill -9, and the power can be cut at any operation. */
#define _POSIX_C_SOURCE 200809L

#include "host.h"

#include "hm_port.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static uint8_t *cells;
static uint32_t operations;
static uint32_t size; /* bytes of both partitions */
static uint32_t people_at = 0;
static uint32_t log_at;
static hm_flash people;
static hm_flash gate_log;

/* The power goes: nothing runs any more, no sanitizer's report and no flush either. */
static _Noreturn void cut_power(void)
{
    fprintf(stderr, "power cut at operation %u of flash\n", (unsigned)operations);
    for (;;) {
        (void)raise(SIGKILL);
    }
}

/* Counts an operation; whether it is the one that the power is cut at. */
static bool is_cut(void)
{
    operations++;
    if (operations != host.cut_at) {
        return false;
    }
    if (host.cut == HOST_BEFORE) {
        cut_power();
    }
    return true;
}

static _Noreturn void fault(const char *what, uint32_t offset)
{
    fprintf(stderr, "flash: %s at %u\n", what, (unsigned)offset);
    exit(HOST_FAULT);
}

/* The context of a partition is where it begins. */
static bool erase(void *context, uint32_t begin)
{
    const uint32_t offset = *(const uint32_t *)context + begin;
    if (offset % host.unit != 0 || offset >= size) {
        fault("erased at no unit", offset);
    }
    const bool cut = is_cut();
    memset(cells + offset, 0xFF, cut && host.cut == HOST_TORN ? host.unit / 2 + 1 : host.unit);
    if (cut) {
        cut_power();
    }
    return true;
}

/* A word that lost its power halfway: some bits have gone, others not yet. */
static void tear(uint8_t *word, const uint8_t *wanted)
{
    for (uint32_t i = 0; i < host.word; i++) {
        word[i] = (uint8_t)(wanted[i] | (i % 2 == 0 ? 0x5A : 0xA5));
    }
}

static bool program(void *context, uint32_t begin, const uint8_t *from, uint32_t n)
{
    const uint32_t offset = *(const uint32_t *)context + begin;
    if (offset % host.word != 0 || n % host.word != 0 || offset > size || n > size - offset) {
        fault("programmed at no word", offset);
    }
    for (uint32_t at = offset; at < offset + n; at += host.word, from += host.word) {
        for (uint32_t i = 0; i < host.word; i++) {
            if (cells[at + i] != 0xFF) {
                fault("programmed twice", at); /* what flash with check bits of its own does not take */
            }
        }
        const bool cut = is_cut();
        if (cut && host.cut == HOST_TORN) {
            tear(cells + at, from);
        } else {
            memcpy(cells + at, from, host.word);
        }
        if (cut) {
            cut_power();
        }
    }
    return true;
}

/* A file of `size` bytes, erased where it is new. */
static int open_file(void)
{
    struct stat there;
    const int file = open(host.flash, O_RDWR | O_CREAT, 0600);
    if (file < 0 || fstat(file, &there) != 0) {
        host_refuse(host.flash, strerror(errno));
    }
    if (there.st_size == 0) {
        static uint8_t erased[256];
        memset(erased, 0xFF, sizeof erased);
        for (size_t done = 0; done < size; done += sizeof erased) {
            if (write(file, erased, sizeof erased) != (ssize_t)sizeof erased) {
                host_refuse(host.flash, strerror(errno));
            }
        }
    } else if (there.st_size != (off_t)size) {
        host_refuse(host.flash, "a flash of another size");
    }
    return file;
}

void host_open_flash(void)
{
    size = (host.units + HOST_LOG_UNITS) * host.unit;
    log_at = host.units * host.unit;
    void *const at = host.flash != NULL ? mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, open_file(), 0)
                                        : malloc(size);
    if (at == NULL || at == MAP_FAILED) {
        host_refuse("flash", strerror(errno));
    }
    cells = at;
    if (host.flash == NULL) {
        memset(cells, 0xFF, size);
    }
    people = (hm_flash){cells, log_at, host.unit, host.word, &people_at, erase, program};
    gate_log = (hm_flash){cells + log_at, size - log_at, host.unit, host.word, &log_at, erase, program};
}

const hm_flash *hm_port_people(void)
{
    return &people;
}

const hm_flash *hm_port_log(void)
{
    return &gate_log;
}
