/* Keys and ciphers of PSA Crypto. Written from its documentation, as README.md here says. */
#ifndef IDF_PSA_CRYPTO_H
#define IDF_PSA_CRYPTO_H

#include <stddef.h>
#include <stdint.h>

typedef int32_t psa_status_t;
typedef uint32_t psa_key_id_t;
typedef uint16_t psa_key_type_t;
typedef uint32_t psa_key_usage_t;
typedef uint32_t psa_algorithm_t;
#define PSA_SUCCESS ((psa_status_t)0)
#define PSA_KEY_TYPE_AES ((psa_key_type_t)0x2400)
#define PSA_KEY_USAGE_DECRYPT ((psa_key_usage_t)0x00000200)
#define PSA_ALG_CTR ((psa_algorithm_t)0x04c01000)

typedef struct psa_key_attributes_s {
    psa_key_type_t type;
    size_t bits;
    psa_key_usage_t usage;
    psa_algorithm_t alg;
} psa_key_attributes_t;
typedef struct psa_cipher_operation_s {
    psa_key_id_t id;
    uint8_t counter[16];
    uint8_t stream[16];
    size_t used;
} psa_cipher_operation_t;
#define PSA_KEY_ATTRIBUTES_INIT {0, 0, 0, 0}
#define PSA_CIPHER_OPERATION_INIT {0, {0}, {0}, 0}

psa_status_t psa_crypto_init(void);
void psa_set_key_type(psa_key_attributes_t *attributes, psa_key_type_t type);
void psa_set_key_bits(psa_key_attributes_t *attributes, size_t bits);
void psa_set_key_usage_flags(psa_key_attributes_t *attributes, psa_key_usage_t usage);
void psa_set_key_algorithm(psa_key_attributes_t *attributes, psa_algorithm_t alg);
psa_status_t psa_import_key(const psa_key_attributes_t *attributes, const uint8_t *data, size_t n, psa_key_id_t *id);
psa_status_t psa_destroy_key(psa_key_id_t id);
psa_status_t psa_cipher_decrypt_setup(psa_cipher_operation_t *operation, psa_key_id_t id, psa_algorithm_t alg);
psa_status_t psa_cipher_set_iv(psa_cipher_operation_t *operation, const uint8_t *iv, size_t n);
psa_status_t psa_cipher_update(psa_cipher_operation_t *operation, const uint8_t *input, size_t n, uint8_t *output,
                               size_t room, size_t *made);
psa_status_t psa_cipher_abort(psa_cipher_operation_t *operation);

#endif
