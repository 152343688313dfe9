/* The serial line of the link: a UART, or the chip's own USB Serial/JTAG. */
#ifdef ESP_PLATFORM /* a library manager compiles this file for every board */

#include "hm_esp32.h"

#include "../../device/hm_link.h"
#include "hm_esp32_config.h"

#include "freertos/FreeRTOS.h"
#include "freertos/task.h"

enum { BUFFER = 2 * HM_LINK_FRAME }; /* a whole frame fits while flash is being erased */

#if HM_ESP32_LINK_USB

#include "driver/usb_serial_jtag.h"

hm_code hm_esp32_begin_line(void)
{
    usb_serial_jtag_driver_config_t config = {.tx_buffer_size = BUFFER, .rx_buffer_size = BUFFER};
    return usb_serial_jtag_driver_install(&config) == ESP_OK ? HM_CODE_OK : HM_CODE_NOT_HERE;
}

size_t hm_port_read(uint8_t *bytes, size_t n)
{
    const int got = usb_serial_jtag_read_bytes(bytes, (uint32_t)n, 0);
    return got > 0 ? (size_t)got : 0;
}

bool hm_port_write(const uint8_t *bytes, size_t n)
{
    /* A host that has gone does not read: then the frame is lost after this time, and the host asks again. */
    return usb_serial_jtag_write_bytes(bytes, n, pdMS_TO_TICKS(200)) == (int)n;
}

#else

#include "driver/uart.h"

hm_code hm_esp32_begin_line(void)
{
    const uart_config_t config = {
        .baud_rate = HM_ESP32_BAUD,
        .data_bits = UART_DATA_8_BITS,
        .parity = UART_PARITY_DISABLE,
        .stop_bits = UART_STOP_BITS_1,
        .flow_ctrl = UART_HW_FLOWCTRL_DISABLE,
        .source_clk = UART_SCLK_DEFAULT,
    };
    const bool good = uart_driver_install((uart_port_t)HM_ESP32_UART, BUFFER, 0, 0, NULL, 0) == ESP_OK &&
                      uart_param_config((uart_port_t)HM_ESP32_UART, &config) == ESP_OK &&
                      uart_set_pin((uart_port_t)HM_ESP32_UART, HM_ESP32_UART_TX, HM_ESP32_UART_RX, UART_PIN_NO_CHANGE,
                                   UART_PIN_NO_CHANGE) == ESP_OK;
    return good ? HM_CODE_OK : HM_CODE_NOT_HERE;
}

size_t hm_port_read(uint8_t *bytes, size_t n)
{
    const int got = uart_read_bytes((uart_port_t)HM_ESP32_UART, bytes, (uint32_t)n, 0);
    return got > 0 ? (size_t)got : 0;
}

bool hm_port_write(const uint8_t *bytes, size_t n)
{
    return uart_write_bytes((uart_port_t)HM_ESP32_UART, bytes, n) == (int)n;
}

#endif

void hm_port_idle(void)
{
    vTaskDelay(1); /* lets the idle task run, which the watchdog looks at */
}

#endif
