/* AES-256-CTR by PSA Crypto, for any port whose platform has it (ESP-IDF since 6, Zephyr, TF-M, a chip's driver behind it):
 *
 *     bool hm_port_decrypt(const uint8_t key[HM_KEY_BYTES], const uint8_t counter[16], uint8_t *bytes, size_t n)
 *     {
 *         return hm_psa_decrypt(key, counter, bytes, n);
 *     }
 *
 * and hm_port_room has room for a person. */
#ifndef HM_PSA_CIPHER_H
#define HM_PSA_CIPHER_H

#include "../../core/hm_memory.h"
#include "../../device/hm_seal.h"

#include "psa/crypto.h"

enum { HM_PSA_CHUNK = 256 }; /* through the stack: PSA does not promise that input and output may be one */

static bool hm_psa_update(psa_cipher_operation_t *operation, uint8_t *bytes, size_t n)
{
    uint8_t plain[HM_PSA_CHUNK];
    bool good = true;
    for (size_t done = 0; good && done < n; done += HM_PSA_CHUNK) {
        const size_t part = n - done < HM_PSA_CHUNK ? n - done : HM_PSA_CHUNK;
        size_t made = 0;
        good = psa_cipher_update(operation, bytes + done, part, plain, sizeof plain, &made) == PSA_SUCCESS && made == part;
        if (good) {
            hm_copy(bytes + done, plain, part);
        }
    }
    hm_wipe(plain, sizeof plain);
    return good;
}

/* n bytes in place; counter: the first block. False where PSA does not take it: then bytes hold anything. */
static bool hm_psa_decrypt(const uint8_t key[HM_KEY_BYTES], const uint8_t counter[16], uint8_t *bytes, size_t n)
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
                psa_cipher_set_iv(&operation, counter, 16) == PSA_SUCCESS && hm_psa_update(&operation, bytes, n);
    good = psa_cipher_abort(&operation) == PSA_SUCCESS && good;
    return psa_destroy_key(id) == PSA_SUCCESS && good;
}

#endif
