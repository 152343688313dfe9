/* The camera, by the esp32-camera component: RGB565 frames, one buffer, a frame for each time that somebody asks.
 *
 * A frame is held until the next one is asked for and given back then: the driver begins a new one at that moment, so
 * that what is looked at was taken after the button was pressed. */
#ifdef ESP_PLATFORM /* a library manager compiles this file for every board */

#include "hm_esp32.h"

#include "hm_esp32_config.h"

#include "driver/gpio.h"
#include "esp_camera.h"
#include "esp_log.h"

static const char tag[] = "hyper-mcu";

enum { SETTLING_FRAMES = 4 }; /* until the sensor's exposure and white balance are set */

static camera_fb_t *held;
static bool ready;

static camera_config_t settings(void)
{
    camera_config_t c = {0};
    c.pin_pwdn = HM_ESP32_PIN_PWDN;
    c.pin_reset = HM_ESP32_PIN_RESET;
    c.pin_xclk = HM_ESP32_PIN_XCLK;
    c.pin_sccb_sda = HM_ESP32_PIN_SDA;
    c.pin_sccb_scl = HM_ESP32_PIN_SCL;
    c.pin_d7 = HM_ESP32_PIN_D7;
    c.pin_d6 = HM_ESP32_PIN_D6;
    c.pin_d5 = HM_ESP32_PIN_D5;
    c.pin_d4 = HM_ESP32_PIN_D4;
    c.pin_d3 = HM_ESP32_PIN_D3;
    c.pin_d2 = HM_ESP32_PIN_D2;
    c.pin_d1 = HM_ESP32_PIN_D1;
    c.pin_d0 = HM_ESP32_PIN_D0;
    c.pin_vsync = HM_ESP32_PIN_VSYNC;
    c.pin_href = HM_ESP32_PIN_HREF;
    c.pin_pclk = HM_ESP32_PIN_PCLK;
    c.xclk_freq_hz = HM_ESP32_XCLK_HZ;
    c.ledc_timer = LEDC_TIMER_0;
    c.ledc_channel = LEDC_CHANNEL_0;
    c.pixel_format = PIXFORMAT_RGB565;
    c.frame_size = HM_ESP32_FRAME_SIZE;
    c.fb_count = 1;
#ifdef CONFIG_SPIRAM
    c.fb_location = CAMERA_FB_IN_PSRAM;
#else
    c.fb_location = CAMERA_FB_IN_DRAM; /* 160x120 fits there, 320x240 does not */
#endif
    c.grab_mode = CAMERA_GRAB_WHEN_EMPTY;
    return c;
}

static void next_frame(void)
{
    if (held != NULL) {
        esp_camera_fb_return(held);
    }
    held = esp_camera_fb_get();
}

hm_code hm_esp32_begin_camera(void)
{
#if HM_ESP32_TRIGGER >= 0
    const gpio_config_t button = {
        .pin_bit_mask = UINT64_C(1) << HM_ESP32_TRIGGER,
        .mode = GPIO_MODE_INPUT,
        .pull_up_en = HM_ESP32_TRIGGER_ON ? GPIO_PULLUP_DISABLE : GPIO_PULLUP_ENABLE,
        .pull_down_en = HM_ESP32_TRIGGER_ON ? GPIO_PULLDOWN_ENABLE : GPIO_PULLDOWN_DISABLE,
        .intr_type = GPIO_INTR_DISABLE,
    };
    if (gpio_config(&button) != ESP_OK) {
        return HM_CODE_NO_FRAME;
    }
#endif
    const camera_config_t config = settings();
    const esp_err_t e = esp_camera_init(&config);
    if (e != ESP_OK) {
        ESP_LOGE(tag, "no camera, error 0x%x: look at its ribbon cable, its pins, its supply and PSRAM", (unsigned)e);
        return HM_CODE_NO_FRAME;
    }
    for (int i = 0; i < SETTLING_FRAMES; i++) {
        next_frame();
    }
    ready = true;
    return HM_CODE_OK;
}

#if HM_ESP32_TRIGGER >= 0

enum { RELEASED_FOR_MS = 50 }; /* a button's contacts bounce: what is shorter is the same press */

/* Once for each press. */
static bool asked(void)
{
    static bool armed; /* the button was let go since the last press: one that is held down at the start asks nothing */
    static uint32_t pressed_ms;
    const uint32_t now = hm_port_ms();
    if (gpio_get_level((gpio_num_t)HM_ESP32_TRIGGER) != HM_ESP32_TRIGGER_ON) {
        armed = armed || now - pressed_ms >= RELEASED_FOR_MS;
        return false;
    }
    pressed_ms = now;
    const bool first = armed;
    armed = false;
    return first;
}

#else

static bool asked(void)
{
    return true;
}

#endif

bool hm_port_frame(hm_frame *frame)
{
    if (!ready || !asked()) {
        return false;
    }
    next_frame();
    if (held == NULL || held->format != PIXFORMAT_RGB565 || held->len < 2 * held->width * held->height) {
        ESP_LOGW(tag, "no whole frame from the camera");
        return false;
    }
    frame->pixels = held->buf;
    frame->stride = (uint32_t)(2 * held->width);
    frame->width = (uint16_t)held->width;
    frame->height = (uint16_t)held->height;
    frame->format = HM_ESP32_RGB565;
    return true;
}

#endif
