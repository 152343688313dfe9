/* The clock of milliseconds by SysTick, and the core's cycles by DWT where that counts, else by SysTick too.
 *
 * While a chip with one bank of flash erases, its core stands still and interrupts are lost: the clock then is slow, and
 * a gate that waits waits longer. */
#include "core.h"

#include "../../device/hm_port.h"

void hm_tick(void);

static uint32_t volatile ms;
static uint32_t core_hz;
static bool dwt_counts;

void hm_tick(void)
{
    ms = ms + 1;
}

void hm_clock_begin(uint32_t hz)
{
    core_hz = hz;
    HM_SYST_RVR = hz / 1000 - 1;
    HM_SYST_CVR = 0;
    HM_SYST_CSR = 7; /* the core's clock, interrupt, on */
    HM_DEMCR |= 1U << 24;
    HM_DWT_LAR = 0xC5ACCE55U;
    HM_DWT_CTRL |= 1;
    const uint32_t before = HM_DWT_CYCCNT;
    hm_barrier();
    dwt_counts = HM_DWT_CYCCNT != before; /* a core may lack it, and an emulator does */
}

uint32_t hm_port_ms(void)
{
    return ms;
}

uint32_t hm_port_cycles(void)
{
    if (dwt_counts) {
        return HM_DWT_CYCCNT;
    }
    const uint32_t reload = HM_SYST_RVR;
    uint32_t whole = 0;
    uint32_t left = 0;
    do {
        whole = ms;
        left = HM_SYST_CVR;
    } while (whole != ms || (HM_ICSR & 1U << 26) != 0); /* a tick that is not counted yet */
    return whole * (reload + 1) + (reload - left);
}

uint32_t hm_port_cycles_hz(void)
{
    return core_hz;
}
