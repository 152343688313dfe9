/* An application of hyper-mcu on an ESP32 board, with what Kconfig says of it. */
#include "hm_esp32.h"

#include "esp_log.h"
#include "sdkconfig.h"

#ifdef CONFIG_HYPER_MCU_SEARCH
#define HM_DOOR_SEARCH 1, 1, 0, 6, 6, 0
#endif
#define HM_GATE_POLICY \
    CONFIG_HYPER_MCU_GATE_ATTEMPTS, CONFIG_HYPER_MCU_GATE_FIRST_DELAY, CONFIG_HYPER_MCU_GATE_LONGEST_DELAY
#define HM_DOOR_POLICY \
    CONFIG_HYPER_MCU_GUIDE_X, CONFIG_HYPER_MCU_GUIDE_Y, CONFIG_HYPER_MCU_GUIDE_EYES, CONFIG_HYPER_MCU_OPEN_MS, NULL, \
    {HM_DOOR_SEARCH}

#if defined(CONFIG_HYPER_MCU_APP_SELFTEST)
#include "apps/selftest/main.c"
#elif defined(CONFIG_HYPER_MCU_APP_REPLAY)
#include "apps/replay/main.c"
#else
#include "apps/verify/main.c"
#endif

void app_main(void);

void app_main(void)
{
    const hm_code code = hm_esp32_begin();
    if (code != HM_CODE_OK) { /* goes on: the link answers, and what is missing is refused */
        ESP_LOGE("hyper-mcu", "board: %s", hm_code_text(code));
    }
    hm_main();
}
