/* AES-256-CTR by what ESP-IDF has: Mbed TLS's own calls before version 6, PSA Crypto since. Both use the chip's AES. */
#ifdef ESP_PLATFORM /* a library manager compiles this file for every board */

#include "hm_esp32.h"

#include "../../core/hm_memory.h"
#include "hm_esp32_config.h"

#include "esp_idf_version.h"

#if ESP_IDF_VERSION >= ESP_IDF_VERSION_VAL(6, 0, 0)

#include "../psa/hm_psa_cipher.h"

bool hm_port_decrypt(const uint8_t key[HM_KEY_BYTES], const uint8_t counter[16], uint8_t *bytes, size_t n)
{
    return hm_psa_decrypt(key, counter, bytes, n);
}

#else

#include "mbedtls/aes.h"

bool hm_port_decrypt(const uint8_t key[HM_KEY_BYTES], const uint8_t counter[16], uint8_t *bytes, size_t n)
{
    mbedtls_aes_context aes;
    uint8_t next[16];
    uint8_t stream[16] = {0};
    size_t used = 0;
    hm_copy(next, counter, sizeof next);
    mbedtls_aes_init(&aes);
    const bool good = mbedtls_aes_setkey_enc(&aes, key, 8 * HM_KEY_BYTES) == 0 &&
                      mbedtls_aes_crypt_ctr(&aes, n, &used, next, stream, bytes, bytes) == 0;
    mbedtls_aes_free(&aes);
    hm_wipe(stream, sizeof stream);
    return good;
}

#endif

#if HM_ESP32_ROOM

/* In the chip's own RAM: what lies in PSRAM goes over pins. */
static uint8_t room[HM_ESP32_ROOM] __attribute__((aligned(16)));

uint8_t *hm_port_room(size_t n)
{
    return n <= sizeof room ? room : NULL;
}

#else

uint8_t *hm_port_room(size_t n)
{
    (void)n;
    return NULL;
}

#endif

#endif
