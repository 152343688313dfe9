/* The emulated Cortex-M4: nothing but a core and semihosting. The line is stdin and stdout of the emulator, and the end of
 * stdin is the end of the program. */
#include "../cortex_m/core.h"
#include "../cortex_m/nvm.h"
#include "../cortex_m/semihost.h"

enum { CORE_HZ = 25000000 }; /* of QEMU's mps2-an386 */

static const char terminal[] = ":tt";
static uint32_t in = HM_NO_HANDLE;
static uint32_t out = HM_NO_HANDLE;

void hm_board_begin(void)
{
    hm_clock_begin(CORE_HZ);
    hm_nvm_begin();
    in = hm_host_open(terminal, sizeof terminal - 1, HM_OPEN_STDIN);
    out = hm_host_open(terminal, sizeof terminal - 1, HM_OPEN_STDOUT);
}

const char *hm_port_board(void)
{
    return HM_BOARD;
}

/* Waits for the first byte: while the host asks nothing there is nothing to do. */
size_t hm_port_read(uint8_t *bytes, size_t n)
{
    const uint32_t got = hm_host_read(in, bytes, (uint32_t)n);
    if (got == 0) {
        hm_host_exit(0);
    }
    return got;
}

bool hm_port_write(const uint8_t *bytes, size_t n)
{
    return hm_host_write(out, bytes, (uint32_t)n) == n;
}

void hm_port_idle(void)
{
}

void hm_port_light(bool on)
{
    (void)on;
}
