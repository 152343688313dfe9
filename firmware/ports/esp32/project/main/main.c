/* A door by face on an ESP32 board: people come over the serial line, the button is pressed, the camera looks. */
#include "hm_door.h"
#include "hm_esp32.h"
#include "hm_factory.h"

#include "esp_log.h"
#include "sdkconfig.h"

static const char tag[] = "hyper-mcu";

static hm_device device;
static hm_door door;
static hm_code factory = HM_CODE_NO_KEY; /* hm_device_serve */

static const hm_gate_policy gate = {CONFIG_HYPER_MCU_GATE_ATTEMPTS, CONFIG_HYPER_MCU_GATE_FIRST_DELAY,
                                    CONFIG_HYPER_MCU_GATE_LONGEST_DELAY};
static const hm_door_policy policy = {CONFIG_HYPER_MCU_GUIDE_X, CONFIG_HYPER_MCU_GUIDE_Y, CONFIG_HYPER_MCU_GUIDE_EYES,
                                      CONFIG_HYPER_MCU_OPEN_MS, NULL};

void app_main(void);

void app_main(void)
{
    hm_code code = hm_esp32_begin();
    if (code != HM_CODE_OK) { /* goes on: the link answers, and what is missing is refused */
        ESP_LOGE(tag, "board: %s", hm_code_text(code));
    }
    code = hm_device_begin(&device, gate);
    if (code != HM_CODE_OK) {
        ESP_LOGE(tag, "people and gate: %s", hm_code_text(code));
    }
    hm_door_begin(&door, &device, &policy);
    for (;;) {
        hm_seen seen;
        hm_device_serve(&device, &factory);
        (void)hm_door_step(&door, &seen);
    }
}
