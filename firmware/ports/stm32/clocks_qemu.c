/* Clocks of QEMU's netduinoplus2, which has no RCC: its core runs at 168 MHz, its USART at any rate. */
#include "stm32.h"

stm32_clocks stm32_clocks_begin(void)
{
    return (stm32_clocks){168000000U, 84000000U};
}
