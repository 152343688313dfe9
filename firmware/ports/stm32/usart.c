/* The serial line: 8N1 at HM_BAUD; what comes is kept by an interrupt, what goes is waited for.
 *
 * F4's USART has a status and one data register (RM0090 30.6), the later ones separate ones (RM0385 31.8, RM0433 48.7,
 * RM0351 40.8, RM0456 66.8). */
#include "stm32.h"

#include "../../device/hm_port.h"

#ifndef HM_BAUD
#define HM_BAUD 115200
#endif

#if HM_USART_NEW
#define CR1 (HM_USART_BASE + 0x00U)
#define BRR (HM_USART_BASE + 0x0CU)
#define STATUS (HM_USART_BASE + 0x1CU)
#define CLEAR (HM_USART_BASE + 0x20U)
#define RECEIVED (HM_USART_BASE + 0x24U)
#define TO_SEND (HM_USART_BASE + 0x28U)
enum { ON = 1U << 0 };
#else
#define STATUS (HM_USART_BASE + 0x00U)
#define RECEIVED (HM_USART_BASE + 0x04U)
#define TO_SEND RECEIVED
#define BRR (HM_USART_BASE + 0x08U)
#define CR1 (HM_USART_BASE + 0x0CU)
enum { ON = 1U << 13 };
#endif

enum {
    RECEIVE = 1U << 2,
    SEND = 1U << 3,
    INTERRUPT = 1U << 5, /* of a byte, and of one that was lost */
    OVERRUN = 1U << 3,
    HAS_BYTE = 1U << 5,
    HAS_ROOM = 1U << 7,
    ROOM = 2048 /* a power of two above a frame of the link */
};

static uint8_t volatile ring[ROOM];
static uint32_t volatile put; /* by the interrupt alone */
static uint32_t volatile got; /* by the reader alone */

static void set_pin(uint32_t pin, uint32_t function)
{
    const uint32_t gpio = HM_GPIO(HM_PIN_PORT(pin));
    const uint32_t n = HM_PIN_NUMBER(pin);
    stm32_enable(HM_RCC_GPIO, 1U << HM_PIN_PORT(pin));
    hm_set_bits(gpio + 0x0CU, 3U << (2 * n), 1U << (2 * n)); /* pulled up: an open line is silent */
    hm_set_bits(gpio + 0x20U + 4U * (n / 8), 15U << (4 * (n % 8)), function << (4 * (n % 8)));
    hm_set_bits(gpio + 0x00U, 3U << (2 * n), 2U << (2 * n)); /* alternate function */
}

void stm32_usart_begin(uint32_t hz)
{
    static const uint8_t pins[2] = {HM_USART_PINS};
    set_pin(pins[0], 7);
    set_pin(pins[1], 7);
    stm32_enable(HM_USART_ENABLE, HM_USART_BIT);
    HM_REG(BRR) = (hz + HM_BAUD / 2) / HM_BAUD;
    HM_REG(CR1) = ON | RECEIVE | SEND | INTERRUPT;
    HM_NVIC_ISER(HM_IRQ / 32U) = 1U << (HM_IRQ % 32U);
}

void hm_irq(void)
{
    const uint32_t status = HM_REG(STATUS);
    if ((status & (HAS_BYTE | OVERRUN)) != 0) {
        const uint8_t byte = (uint8_t)HM_REG(RECEIVED);
        if ((status & HAS_BYTE) != 0 && put - got < ROOM) {
            ring[put % ROOM] = byte;
            put = put + 1;
        }
#if HM_USART_NEW
        HM_REG(CLEAR) = OVERRUN;
#endif
    }
}

size_t hm_port_read(uint8_t *bytes, size_t n)
{
    size_t count = 0;
    while (count < n && got != put) {
        bytes[count] = ring[got % ROOM];
        ring[got % ROOM] = 0; /* it may be of a key, or of a face */
        count++;
        got = got + 1;
    }
    return count;
}

bool hm_port_write(const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!stm32_wait(STATUS, HAS_ROOM, HAS_ROOM)) {
            return false;
        }
        HM_REG(TO_SEND) = bytes[i];
    }
    return true;
}
