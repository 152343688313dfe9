/* STM32: the facts that its families differ in, and what the parts of this port give each other.
 *
 * Every address and bit is from a reference manual of ST's, named in the family's header. A build defines HM_STM32_F4,
 * _F7, _H7, _L4 or _U5, and the board's pins: HM_USART, HM_USART_PINS (tx, rx), HM_LIGHT_PIN, HM_LIGHT_LOW. */
#ifndef HM_STM32_H
#define HM_STM32_H

#include "../cortex_m/core.h"

#if defined(HM_STM32_F4) || defined(HM_STM32_F7)
#include "family_f4.h"
#elif defined(HM_STM32_H7)
#include "family_h7.h"
#elif defined(HM_STM32_L4)
#include "family_l4.h"
#elif defined(HM_STM32_U5)
#include "family_u5.h"
#else
#error "ports/stm32: no family; define HM_STM32_F4, HM_STM32_F7, HM_STM32_H7, HM_STM32_L4 or HM_STM32_U5"
#endif

#include <stdbool.h>
#include <stdint.h>

/* A pin: 16 · port (A is 0) + number. */
#define HM_PIN_PORT(pin) ((uint32_t)(pin) >> 4)
#define HM_PIN_NUMBER(pin) ((uint32_t)(pin) & 15U)

typedef struct stm32_clocks {
    uint32_t core;  /* Hz */
    uint32_t usart; /* of the bus of the board's USART */
} stm32_clocks;

/* The fastest clock that the internal oscillator and the PLL make; the reset clock where the PLL does not lock. No
 * crystal is asked for. */
stm32_clocks stm32_clocks_begin(void);

void stm32_usart_begin(uint32_t hz);

/* Waits until the bits of `mask` have `value`; false where they have not after some seconds, more than the erasure of a
 * sector takes. */
static inline bool stm32_wait(uint32_t address, uint32_t mask, uint32_t value)
{
    for (uint32_t turn = 0; turn < 100000000U; turn++) {
        if ((HM_REG(address) & mask) == value) {
            return true;
        }
    }
    return false;
}

/* Sets bits, and reads them back: a peripheral's clock needs two cycles before its registers answer. */
static inline void stm32_enable(uint32_t address, uint32_t bits)
{
    HM_REG(address) |= bits;
    (void)HM_REG(address);
}

/* The instruction cache of a Cortex-M7. The data cache stays off: flash that was programmed is read as it is. */
static inline void stm32_instruction_cache_begin(void)
{
    HM_ICIALLU = 0; /* it holds nothing yet */
    hm_barrier();
    HM_CCR |= 1U << 17; /* IC */
    hm_barrier();
}

#endif
