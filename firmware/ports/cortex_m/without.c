/* What a port of a bare core has not, until an application gives it: a camera and a cipher. */
#include "../../device/hm_port.h"

#define WEAK __attribute__((weak))

WEAK bool hm_port_frame(hm_frame *frame)
{
    (void)frame;
    return false;
}

WEAK bool hm_port_decrypt(const uint8_t key[HM_KEY_BYTES], const uint8_t counter[16], uint8_t *bytes, size_t n)
{
    (void)key;
    (void)counter;
    (void)bytes;
    (void)n;
    return false;
}

WEAK uint8_t *hm_port_room(size_t n)
{
    (void)n;
    return (uint8_t *)0;
}
