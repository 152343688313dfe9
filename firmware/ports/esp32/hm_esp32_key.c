/* The device's key, in the NVS partition: namespace hyper_mcu, blob key, its number before it.
 *
 * NVS is readable by who reads the flash chip, unless it is encrypted: on an ESP32-S3 under a key in eFuse that only the
 * HMAC peripheral reads (boards/esp32-s3-eye.secure), on an ESP32 by flash encryption and an nvs_keys partition. Both burn
 * fuses and cannot be undone, so that no default does it. */
#ifdef ESP_PLATFORM /* a library manager compiles this file for every board */

#include "hm_esp32.h"

#include "../../core/hm_blob.h" /* hm_word */
#include "../../core/hm_memory.h"
#include "../../device/hm_bytes.h"
#include "hm_esp32_config.h"

#include "esp_log.h"
#include "nvs.h"
#include "nvs_flash.h"

static const char tag[] = "hyper-mcu";
static const char space[] = "hyper_mcu";
static const char name[] = "key";

enum { BYTES = 4 + HM_KEY_BYTES };

hm_code hm_esp32_begin_key(void)
{
    const esp_err_t e = nvs_flash_init();
    if (e != ESP_OK) { /* never erased here, as examples do: the key would be gone, and anybody could set another */
        ESP_LOGE(tag, "NVS cannot be read, error 0x%x", (unsigned)e);
        return HM_CODE_FLASH;
    }
    return HM_CODE_OK;
}

/* The blob as it is stored; ESP_ERR_NVS_NOT_FOUND only where there never was one. */
static esp_err_t read_blob(uint8_t bytes[BYTES])
{
    nvs_handle_t handle;
    esp_err_t e = nvs_open(space, NVS_READONLY, &handle);
    if (e != ESP_OK) {
        return e;
    }
    size_t n = BYTES;
    e = nvs_get_blob(handle, name, bytes, &n);
    nvs_close(handle);
    return e == ESP_OK && n != BYTES ? ESP_FAIL : e;
}

bool hm_port_key(uint8_t key[HM_KEY_BYTES], uint32_t *number)
{
    uint8_t bytes[BYTES];
    const bool there = read_blob(bytes) == ESP_OK;
    if (there) {
        *number = hm_word(bytes);
        hm_copy(key, bytes + 4, HM_KEY_BYTES);
    }
    hm_wipe(bytes, sizeof bytes);
    return there && *number != 0;
}

bool hm_port_set_key(const uint8_t key[HM_KEY_BYTES], uint32_t number)
{
    uint8_t bytes[BYTES];
    const esp_err_t before = read_blob(bytes);
    bool kept = false;
    nvs_handle_t handle;
    if (HM_ESP32_SET_KEY && number != 0 && before == ESP_ERR_NVS_NOT_FOUND &&
        nvs_open(space, NVS_READWRITE, &handle) == ESP_OK) {
        hm_set_word(bytes, number);
        hm_copy(bytes + 4, key, HM_KEY_BYTES);
        kept = nvs_set_blob(handle, name, bytes, sizeof bytes) == ESP_OK && nvs_commit(handle) == ESP_OK;
        nvs_close(handle);
    }
    hm_wipe(bytes, sizeof bytes);
    return kept;
}

#endif
