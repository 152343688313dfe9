/* Images over the wire: a board on a desk that verifies what the host sends, without a challenge. It opens nothing. */
#include "../say.h"

#if !HM_REPLAY
#error "apps/replay: build it with -DHM_REPLAY=1"
#endif

static hm_device device;
static hm_code factory = HM_CODE_NO_KEY; /* hm_store_factory */

void hm_main(void)
{
    hm_start_device(&device);
    for (;;) {
        hm_serve(&device, &factory);
        hm_port_idle();
    }
}
