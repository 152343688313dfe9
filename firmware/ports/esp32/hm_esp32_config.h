/* What a board is made of: from the component's Kconfig or, where there is none (Arduino), by the chip. Each macro may be
 * given on the command line. */
#ifndef HM_ESP32_CONFIG_H
#define HM_ESP32_CONFIG_H

#include "sdkconfig.h"

#ifdef CONFIG_HYPER_MCU_BOARD /* Kconfig was asked */

#define HM_ESP32_BOARD CONFIG_HYPER_MCU_BOARD
#ifdef CONFIG_HYPER_MCU_LINK_USB
#define HM_ESP32_LINK_USB 1
#endif
#ifdef CONFIG_HYPER_MCU_LIGHT_ACTIVE_LOW
#define HM_ESP32_LIGHT_ON 0
#else
#define HM_ESP32_LIGHT_ON 1
#endif
#ifdef CONFIG_HYPER_MCU_TRIGGER_ACTIVE_HIGH
#define HM_ESP32_TRIGGER_ON 1
#endif
#ifdef CONFIG_HYPER_MCU_RGB565_LITTLE
#define HM_ESP32_RGB565 HM_RGB565_LITTLE
#endif
#ifndef CONFIG_HYPER_MCU_SET_KEY
#define HM_ESP32_SET_KEY 0
#endif
#ifdef CONFIG_HYPER_MCU_FRAME_QQVGA
#define HM_ESP32_FRAME_SIZE FRAMESIZE_QQVGA
#elif defined(CONFIG_HYPER_MCU_FRAME_VGA)
#define HM_ESP32_FRAME_SIZE FRAMESIZE_VGA
#endif
#define HM_ESP32_UART CONFIG_HYPER_MCU_UART
#define HM_ESP32_UART_TX CONFIG_HYPER_MCU_UART_TX
#define HM_ESP32_UART_RX CONFIG_HYPER_MCU_UART_RX
#define HM_ESP32_BAUD CONFIG_HYPER_MCU_BAUD
#define HM_ESP32_LIGHT CONFIG_HYPER_MCU_LIGHT
#define HM_ESP32_TRIGGER CONFIG_HYPER_MCU_TRIGGER
#define HM_ESP32_ROOM CONFIG_HYPER_MCU_ROOM
#define HM_ESP32_XCLK_HZ CONFIG_HYPER_MCU_XCLK_HZ
#define HM_ESP32_PIN_PWDN CONFIG_HYPER_MCU_PIN_PWDN
#define HM_ESP32_PIN_RESET CONFIG_HYPER_MCU_PIN_RESET
#define HM_ESP32_PIN_XCLK CONFIG_HYPER_MCU_PIN_XCLK
#define HM_ESP32_PIN_SDA CONFIG_HYPER_MCU_PIN_SDA
#define HM_ESP32_PIN_SCL CONFIG_HYPER_MCU_PIN_SCL
#define HM_ESP32_PIN_D0 CONFIG_HYPER_MCU_PIN_D0
#define HM_ESP32_PIN_D1 CONFIG_HYPER_MCU_PIN_D1
#define HM_ESP32_PIN_D2 CONFIG_HYPER_MCU_PIN_D2
#define HM_ESP32_PIN_D3 CONFIG_HYPER_MCU_PIN_D3
#define HM_ESP32_PIN_D4 CONFIG_HYPER_MCU_PIN_D4
#define HM_ESP32_PIN_D5 CONFIG_HYPER_MCU_PIN_D5
#define HM_ESP32_PIN_D6 CONFIG_HYPER_MCU_PIN_D6
#define HM_ESP32_PIN_D7 CONFIG_HYPER_MCU_PIN_D7
#define HM_ESP32_PIN_VSYNC CONFIG_HYPER_MCU_PIN_VSYNC
#define HM_ESP32_PIN_HREF CONFIG_HYPER_MCU_PIN_HREF
#define HM_ESP32_PIN_PCLK CONFIG_HYPER_MCU_PIN_PCLK

#elif !defined(HM_ESP32_BOARD) /* no Kconfig, and nobody chose: the board of the chip, as boards/ in Kconfig has it */

#ifdef CONFIG_IDF_TARGET_ESP32S3
#define HM_ESP32_BOARD "esp32-s3-eye"
#define HM_ESP32_LINK_USB 1
#define HM_ESP32_LIGHT 3
#define HM_ESP32_LIGHT_ON 1
#define HM_ESP32_TRIGGER 0
#define HM_ESP32_XCLK_HZ 16000000
#define HM_ESP32_PIN_PWDN (-1)
#define HM_ESP32_PIN_RESET (-1)
#define HM_ESP32_PIN_XCLK 15
#define HM_ESP32_PIN_SDA 4
#define HM_ESP32_PIN_SCL 5
#define HM_ESP32_PIN_D0 11
#define HM_ESP32_PIN_D1 9
#define HM_ESP32_PIN_D2 8
#define HM_ESP32_PIN_D3 10
#define HM_ESP32_PIN_D4 12
#define HM_ESP32_PIN_D5 18
#define HM_ESP32_PIN_D6 17
#define HM_ESP32_PIN_D7 16
#define HM_ESP32_PIN_VSYNC 6
#define HM_ESP32_PIN_HREF 7
#define HM_ESP32_PIN_PCLK 13
#else
#define HM_ESP32_BOARD "esp32-cam"
#define HM_ESP32_LIGHT 33
#define HM_ESP32_LIGHT_ON 0
#define HM_ESP32_TRIGGER 13
#define HM_ESP32_XCLK_HZ 20000000
#define HM_ESP32_PIN_PWDN 32
#define HM_ESP32_PIN_RESET (-1)
#define HM_ESP32_PIN_XCLK 0
#define HM_ESP32_PIN_SDA 26
#define HM_ESP32_PIN_SCL 27
#define HM_ESP32_PIN_D0 5
#define HM_ESP32_PIN_D1 18
#define HM_ESP32_PIN_D2 19
#define HM_ESP32_PIN_D3 21
#define HM_ESP32_PIN_D4 36
#define HM_ESP32_PIN_D5 39
#define HM_ESP32_PIN_D6 34
#define HM_ESP32_PIN_D7 35
#define HM_ESP32_PIN_VSYNC 25
#define HM_ESP32_PIN_HREF 23
#define HM_ESP32_PIN_PCLK 22
#endif

#endif

/* What no board needs to say. */
#ifndef HM_ESP32_LINK_USB
#define HM_ESP32_LINK_USB 0 /* the link over the chip's own USB Serial/JTAG, not over a UART */
#endif
#ifndef HM_ESP32_UART
#define HM_ESP32_UART 0
#endif
#ifndef HM_ESP32_UART_TX
#define HM_ESP32_UART_TX (-1) /* GPIO; -1: the pins that the UART has */
#define HM_ESP32_UART_RX (-1)
#endif
#ifndef HM_ESP32_BAUD
#define HM_ESP32_BAUD 115200
#endif
#ifndef HM_ESP32_TRIGGER_ON
#define HM_ESP32_TRIGGER_ON 0 /* a button to ground */
#endif
#ifndef HM_ESP32_RGB565
#define HM_ESP32_RGB565 HM_RGB565_BIG /* how OV2640 and its kin send it and esp32-camera stores it */
#endif
#ifndef HM_ESP32_FRAME_SIZE
#define HM_ESP32_FRAME_SIZE FRAMESIZE_QVGA
#endif
#ifndef HM_ESP32_SET_KEY
#define HM_ESP32_SET_KEY 1
#endif
#ifndef HM_ESP32_ROOM
#define HM_ESP32_ROOM 28672 /* bytes of RAM for a person that is encrypted in flash; 0: none are taken */
#endif

#endif
