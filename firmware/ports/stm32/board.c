/* A board with an STM32: its start, its light, and what it has not. */
#include "stm32.h"

#include "../cortex_m/nvm.h"

#define LIGHT HM_GPIO(HM_PIN_PORT(HM_LIGHT_PIN))
#define LIGHT_BIT HM_PIN_NUMBER(HM_LIGHT_PIN)

void hm_board_begin(void)
{
    stm32_enable(HM_RCC_GPIO, 1U << HM_PIN_PORT(HM_LIGHT_PIN));
    hm_port_light(false); /* before the pin drives it */
    hm_set_bits(LIGHT, 3U << (2 * LIGHT_BIT), 1U << (2 * LIGHT_BIT));
    const stm32_clocks clocks = stm32_clocks_begin();
    hm_clock_begin(clocks.core);
    stm32_usart_begin(clocks.usart);
    hm_nvm_begin();
}

const char *hm_port_board(void)
{
    return HM_BOARD;
}

void hm_port_light(bool on)
{
    const bool high = HM_LIGHT_LOW ? !on : on;
    HM_REG(LIGHT + 0x18U) = (high ? 1U : 1U << 16) << LIGHT_BIT; /* BSRR */
}

void hm_port_idle(void)
{
    hm_wait_for_interrupt();
}

#ifndef HM_FILE_ORIGIN /* flash_file.c ends an emulation */
_Noreturn void hm_stop(void)
{
    hm_port_light(false);
    HM_AIRCR = 0x05FA0004U; /* system reset */
    for (;;) {
        hm_barrier();
    }
}
#endif
