/* What the verify application does, once: look who is before the camera, and say it. The light is the port's. */
#include "host.h"

#include "hm_device.h"

#include <stdio.h>
#include <stdlib.h>

host_options host = {NULL, NULL, NULL, "look", 256, 8, 40, 0, HOST_BEFORE, -1, 0, 0};

static hm_device device;

_Noreturn void host_refuse(const char *what, const char *got)
{
    fprintf(stderr, "%s: %s\n", what, got);
    exit(2);
}

/* FLASH KEY FRAME WIDTH HEIGHT TIMES */
int main(int argc, char **argv)
{
    const hm_gate_policy policy = {3, 30, 3600};
    const hm_warp as_it_is = {0, 65536, 0, 0, 0, 65536, 0};
    if (argc != 7) {
        return 2;
    }
    host.flash = argv[1];
    host.key = argv[2];
    host.frame = argv[3];
    host.width = (uint16_t)atoi(argv[4]);
    host.height = (uint16_t)atoi(argv[5]);
    host_open_flash();
    if (hm_device_begin(&device, policy) != HM_CODE_OK) {
        return 3;
    }
    for (int i = atoi(argv[6]); i > 0; i--) {
        hm_frame frame;
        hm_entry entry;
        hm_verdict verdict;
        if (!hm_port_frame(&frame)) {
            return 4;
        }
        const uint32_t decision = hm_device_look(&device, &frame, &as_it_is, &entry, &verdict);
        hm_port_light(decision == HM_GATE_MATCH);
        printf("%08x %s %ld %d %u\n", (unsigned)decision, entry.bytes == NULL ? "-" : entry.sealed.name,
               (long)verdict.logit, (int)verdict.match, (unsigned)hm_gate_wait(&device.gate, hm_port_ms()));
        hm_port_light(false);
    }
    return 0;
}
