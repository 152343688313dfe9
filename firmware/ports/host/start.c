/* An application as a process: `verify --tcp 0 --flash FILE --key FILE` prints the name of its line, and runs. */
#include "host.h"

#include "hm_port.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

host_options host = {NULL, NULL, NULL, "host", 4096, 8, 64, 0, HOST_BEFORE, -1, 0, 0};

_Noreturn void host_refuse(const char *what, const char *got)
{
    fprintf(stderr, "%s: %s\n", what, got);
    exit(2);
}

static uint32_t number(const char *option, const char *text, unsigned long most)
{
    char *end;
    const unsigned long value = strtoul(text, &end, 10);
    if (*text == 0 || *end != 0 || value > most) {
        host_refuse(option, text);
    }
    return (uint32_t)value;
}

static host_cut cut_named(const char *option, const char *text)
{
    static const char *const names[] = {"before", "torn", "after"};
    for (int i = HOST_BEFORE; i <= HOST_AFTER; i++) {
        if (strcmp(text, names[i]) == 0) {
            return (host_cut)i;
        }
    }
    host_refuse(option, text);
}

static void take(const char *option, const char *value)
{
    if (strcmp(option, "--flash") == 0) {
        host.flash = value;
    } else if (strcmp(option, "--key") == 0) {
        host.key = value;
    } else if (strcmp(option, "--frame") == 0) {
        host.frame = value;
    } else if (strcmp(option, "--name") == 0) {
        host.name = value;
    } else if (strcmp(option, "--unit") == 0) {
        host.unit = number(option, value, 1U << 20);
    } else if (strcmp(option, "--word") == 0) {
        host.word = number(option, value, 32);
    } else if (strcmp(option, "--units") == 0) {
        host.units = number(option, value, 4096);
    } else if (strcmp(option, "--cut") == 0) {
        host.cut_at = number(option, value, UINT32_MAX);
    } else if (strcmp(option, "--cut-how") == 0) {
        host.cut = cut_named(option, value);
    } else if (strcmp(option, "--tcp") == 0) {
        host.port = (int)number(option, value, UINT16_MAX);
    } else if (strcmp(option, "--width") == 0) {
        host.width = (uint16_t)number(option, value, 4096);
    } else if (strcmp(option, "--height") == 0) {
        host.height = (uint16_t)number(option, value, 4096);
    } else {
        host_refuse(option, "no option of this program");
    }
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc) {
            host_refuse(argv[i], "needs a value");
        }
        take(argv[i], argv[i + 1]);
    }
    if (host.unit < 256 || host.unit % 256 != 0 || host.word == 0 || (host.word & (host.word - 1)) != 0) {
        host_refuse("flash", "units are of 256 bytes or a multiple, words a power of two");
    }
    host_open_flash();
    host_open_frame();
    host_open_line();
    hm_main();
}
