/* From a core with a stack to main. */
#include "core.h"
#include "port.h"

extern const uint32_t hm_data_load[];
extern uint32_t hm_data_start[];
extern uint32_t hm_data_end[];
extern uint32_t hm_bss_start[];
extern uint32_t hm_bss_end[];

int main(void);

void hm_start(void)
{
    const uint32_t *from = hm_data_load;
    for (uint32_t volatile *to = hm_data_start; to < hm_data_end; to++) {
        *to = *from++;
    }
    for (uint32_t volatile *to = hm_bss_start; to < hm_bss_end; to++) {
        *to = 0;
    }
    port_exit(main());
}

void hm_fault(void)
{
    port_exit(PORT_FAULT);
}
