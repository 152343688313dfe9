/* AES-256-CTR by what ESP-IDF has: Mbed TLS's own calls before version 6, PSA Crypto since. Both use the chip's AES. */
#ifdef ESP_PLATFORM /* a library manager compiles this file for every board */

#include "hm_esp32.h"

#include "../../core/hm_memory.h"
#include "hm_esp32_config.h"

#include "esp_idf_version.h"

#if ESP_IDF_VERSION >= ESP_IDF_VERSION_VAL(6, 0, 0)

#include "psa/crypto.h"

enum { CHUNK = 256 }; /* through the stack: PSA does not promise that input and output may be one */

static bool decrypt(psa_cipher_operation_t *operation, uint8_t *bytes, size_t n)
{
    uint8_t plain[CHUNK];
    bool good = true;
    for (size_t done = 0; good && done < n; done += CHUNK) {
        const size_t part = n - done < CHUNK ? n - done : CHUNK;
        size_t made = 0;
        good = psa_cipher_update(operation, bytes + done, part, plain, sizeof plain, &made) == PSA_SUCCESS && made == part;
        if (good) {
            hm_copy(bytes + done, plain, part);
        }
    }
    hm_wipe(plain, sizeof plain);
    return good;
}

bool hm_port_decrypt(const uint8_t key[HM_KEY_BYTES], const uint8_t counter[16], uint8_t *bytes, size_t n)
{
    psa_key_attributes_t attributes = PSA_KEY_ATTRIBUTES_INIT;
    psa_set_key_type(&attributes, PSA_KEY_TYPE_AES);
    psa_set_key_bits(&attributes, 8 * HM_KEY_BYTES);
    psa_set_key_usage_flags(&attributes, PSA_KEY_USAGE_DECRYPT);
    psa_set_key_algorithm(&attributes, PSA_ALG_CTR);
    psa_key_id_t id;
    if (psa_crypto_init() != PSA_SUCCESS || psa_import_key(&attributes, key, HM_KEY_BYTES, &id) != PSA_SUCCESS) {
        return false;
    }
    psa_cipher_operation_t operation = PSA_CIPHER_OPERATION_INIT;
    bool good = psa_cipher_decrypt_setup(&operation, id, PSA_ALG_CTR) == PSA_SUCCESS &&
                psa_cipher_set_iv(&operation, counter, 16) == PSA_SUCCESS && decrypt(&operation, bytes, n);
    good = psa_cipher_abort(&operation) == PSA_SUCCESS && good;
    return psa_destroy_key(id) == PSA_SUCCESS && good;
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
