/* AES of Mbed TLS 3. Written from its documentation, as README.md here says. */
#ifndef IDF_MBEDTLS_AES_H
#define IDF_MBEDTLS_AES_H

#include <stddef.h>
#include <stdint.h>

typedef struct mbedtls_aes_context {
    uint8_t key[32];
} mbedtls_aes_context;

void mbedtls_aes_init(mbedtls_aes_context *aes);
void mbedtls_aes_free(mbedtls_aes_context *aes);
int mbedtls_aes_setkey_enc(mbedtls_aes_context *aes, const unsigned char *key, unsigned int bits);
int mbedtls_aes_crypt_ctr(mbedtls_aes_context *aes, size_t n, size_t *used, unsigned char counter[16],
                          unsigned char stream[16], const unsigned char *input, unsigned char *output);

#endif
