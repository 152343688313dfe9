/* What the gate makes of a frame that is looked at as often as TIMES in the environment says. With FLIP,
 * and linked with --wrap=hm_gate_judge, the gate is told a status in which the bits of FLIP are flipped. */
#include "hm_device.h"

#include <stdio.h>
#include <stdlib.h>

static hm_device device;

#ifdef FLIP
uint32_t __real_hm_gate_judge(hm_gate *gate, hm_status status, const hm_verdict *verdict, uint32_t now_ms);
uint32_t __wrap_hm_gate_judge(hm_gate *gate, hm_status status, const hm_verdict *verdict, uint32_t now_ms);

uint32_t __wrap_hm_gate_judge(hm_gate *gate, hm_status status, const hm_verdict *verdict, uint32_t now_ms)
{
    const uint32_t flipped = (uint32_t)strtoul(getenv("FLIP"), NULL, 0);
    return __real_hm_gate_judge(gate, (hm_status)((uint32_t)status ^ flipped), verdict, now_ms);
}
#endif

void hm_main(void)
{
    const hm_gate_policy policy = {3, 30, 3600};
    const hm_warp as_it_is = {0, 65536, 0, 0, 0, 65536, 0};
    const char *const times = getenv("TIMES");
    hm_frame frame;
    if (hm_device_begin(&device, policy) != HM_CODE_OK || !hm_port_frame(&frame)) {
        exit(3);
    }
    for (int i = times == NULL ? 0 : atoi(times); i > 0; i--) {
        hm_entry entry;
        hm_verdict verdict;
        const uint32_t decision = hm_device_look(&device, &frame, &as_it_is, NULL, &entry, &verdict);
        hm_port_light(decision == HM_GATE_MATCH);
        printf("%08x %s %ld %d %u\n", (unsigned)decision, entry.bytes == NULL ? "-" : entry.sealed.name,
               (long)verdict.logit, (int)verdict.match, (unsigned)hm_gate_wait(&device.gate, hm_port_ms()));
        hm_port_light(false);
    }
    exit(0);
}
