/* The rest of the port: the order of the start, clocks, stack, and the light or lock. */
#ifdef ESP_PLATFORM /* a library manager compiles this file for every board */

#include "hm_esp32.h"

#include "hm_esp32_config.h"

#include "driver/gpio.h"
#include "esp_cpu.h"
#include "esp_timer.h"
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"

hm_code hm_esp32_begin(void)
{
    hm_port_light(false);
    const hm_code codes[] = {hm_esp32_begin_key(), hm_esp32_begin_flash(), hm_esp32_begin_random(),
                             hm_esp32_begin_line(), hm_esp32_begin_camera()};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (codes[i] != HM_CODE_OK) {
            return codes[i];
        }
    }
    return HM_CODE_OK;
}

const char *hm_port_board(void)
{
    return HM_ESP32_BOARD;
}

uint32_t hm_port_ms(void)
{
    return (uint32_t)(esp_timer_get_time() / 1000);
}

uint32_t hm_port_cycles(void)
{
    return esp_cpu_get_cycle_count();
}

uint32_t hm_port_cycles_hz(void)
{
    return (uint32_t)CONFIG_ESP_DEFAULT_CPU_FREQ_MHZ * 1000000U;
}

uint32_t hm_port_stack_used(void)
{
#ifdef CONFIG_ARDUINO_LOOP_STACK_SIZE
    const uint32_t all = CONFIG_ARDUINO_LOOP_STACK_SIZE;
#else
    const uint32_t all = CONFIG_ESP_MAIN_TASK_STACK_SIZE;
#endif
    const uint32_t never = (uint32_t)uxTaskGetStackHighWaterMark(NULL); /* bytes, in ESP-IDF */
    return never < all ? all - never : 0;
}

void hm_port_light(bool on)
{
#if HM_ESP32_LIGHT >= 0
    const int level = on ? HM_ESP32_LIGHT_ON : !HM_ESP32_LIGHT_ON;
    (void)gpio_set_level((gpio_num_t)HM_ESP32_LIGHT, (uint32_t)level); /* before it is an output: no glitch at the start */
    (void)gpio_set_direction((gpio_num_t)HM_ESP32_LIGHT, GPIO_MODE_OUTPUT);
#else
    (void)on;
#endif
}

#endif
