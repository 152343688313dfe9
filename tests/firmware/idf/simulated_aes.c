/* AES-256-CTR (FIPS 197, SP 800-38A) under the names of Mbed TLS 3 and of PSA Crypto, for reading, not for secrets. */
#include "mbedtls/aes.h"
#include "psa/crypto.h"

#include <stdbool.h>
#include <string.h>

enum { ROUNDS = 14, BLOCK = 16, KEY = 32 };

static uint8_t twice(uint8_t x)
{
    return (uint8_t)(x << 1 ^ (x >> 7 ? 0x1B : 0));
}

static uint8_t times(uint8_t a, uint8_t b)
{
    uint8_t product = 0;
    for (; b != 0; b >>= 1, a = twice(a)) {
        product ^= b & 1 ? a : 0;
    }
    return product;
}

static uint8_t substituted(uint8_t x)
{
    uint8_t inverse = x != 0 ? 1 : 0;
    for (int i = 0; x != 0 && i < 254; i++) {
        inverse = times(inverse, x); /* x^254 = 1/x */
    }
    uint8_t y = 0x63;
    for (int i = 0; i < 5; i++) {
        y ^= (uint8_t)(inverse << i | (i ? inverse >> (8 - i) : 0));
    }
    return y;
}

static void encrypt_block(const uint8_t key[KEY], const uint8_t in[BLOCK], uint8_t out[BLOCK])
{
    static uint8_t box[256];
    uint8_t words[BLOCK * (ROUNDS + 1)];
    uint8_t constant = 1;
    for (int i = 0; box[0] == 0 && i < 256; i++) { /* once; box[0] is 0x63 and comes last */
        box[255 - i] = substituted((uint8_t)(255 - i));
    }
    memcpy(words, key, KEY);
    for (int i = KEY; i < BLOCK * (ROUNDS + 1); i += 4) {
        uint8_t w[4];
        memcpy(w, words + i - 4, 4);
        if (i % KEY == 0) {
            const uint8_t turned[4] = {box[w[1]], box[w[2]], box[w[3]], box[w[0]]};
            memcpy(w, turned, 4);
            w[0] ^= constant;
            constant = twice(constant);
        } else if (i % KEY == 16) {
            for (int k = 0; k < 4; k++) {
                w[k] = box[w[k]];
            }
        }
        for (int k = 0; k < 4; k++) {
            words[i + k] = words[i - KEY + k] ^ w[k];
        }
    }
    uint8_t s[BLOCK];
    for (int i = 0; i < BLOCK; i++) {
        s[i] = in[i] ^ words[i];
    }
    for (int round = 1; round <= ROUNDS; round++) {
        uint8_t t[BLOCK];
        for (int i = 0; i < BLOCK; i++) {
            t[i] = box[s[(i + 4 * (i % 4)) % BLOCK]]; /* row i % 4 turned by as many columns */
        }
        for (int c = 0; c < BLOCK; c += 4) {
            for (int r = 0; r < 4; r++) {
                const uint8_t mixed = twice(t[c + r]) ^ twice(t[c + (r + 1) % 4]) ^ t[c + (r + 1) % 4] ^
                                      t[c + (r + 2) % 4] ^ t[c + (r + 3) % 4];
                s[c + r] = (uint8_t)((round == ROUNDS ? t[c + r] : mixed) ^ words[BLOCK * round + c + r]);
            }
        }
    }
    memcpy(out, s, BLOCK);
}

static void crypt(const uint8_t key[KEY], size_t n, size_t *used, uint8_t counter[BLOCK], uint8_t stream[BLOCK],
                  const uint8_t *in, uint8_t *out)
{
    for (size_t i = 0; i < n; i++) {
        if (*used == 0) {
            encrypt_block(key, counter, stream);
            for (int k = BLOCK - 1; k >= 0 && ++counter[k] == 0; k--) {
            }
        }
        out[i] = in[i] ^ stream[*used];
        *used = (*used + 1) % BLOCK;
    }
}

/* ---- Mbed TLS 3 ---- */

void mbedtls_aes_init(mbedtls_aes_context *aes)
{
    memset(aes, 0, sizeof *aes);
}

void mbedtls_aes_free(mbedtls_aes_context *aes)
{
    memset(aes, 0, sizeof *aes);
}

int mbedtls_aes_setkey_enc(mbedtls_aes_context *aes, const unsigned char *key, unsigned int bits)
{
    if (bits != 8 * KEY) {
        return -0x0020;
    }
    memcpy(aes->key, key, KEY);
    return 0;
}

int mbedtls_aes_crypt_ctr(mbedtls_aes_context *aes, size_t n, size_t *used, unsigned char counter[16],
                          unsigned char stream[16], const unsigned char *input, unsigned char *output)
{
    crypt(aes->key, n, used, counter, stream, input, output);
    return 0;
}

/* ---- PSA Crypto: one key at a time ---- */

static bool begun;
static psa_key_id_t live;
static uint8_t stored[KEY];

psa_status_t psa_crypto_init(void)
{
    begun = true;
    return PSA_SUCCESS;
}

void psa_set_key_type(psa_key_attributes_t *attributes, psa_key_type_t type)
{
    attributes->type = type;
}

void psa_set_key_bits(psa_key_attributes_t *attributes, size_t bits)
{
    attributes->bits = bits;
}

void psa_set_key_usage_flags(psa_key_attributes_t *attributes, psa_key_usage_t usage)
{
    attributes->usage = usage;
}

void psa_set_key_algorithm(psa_key_attributes_t *attributes, psa_algorithm_t alg)
{
    attributes->alg = alg;
}

psa_status_t psa_import_key(const psa_key_attributes_t *attributes, const uint8_t *data, size_t n, psa_key_id_t *id)
{
    const bool good = begun && live == 0 && attributes->type == PSA_KEY_TYPE_AES && attributes->bits == 8 * n && n == KEY &&
                      attributes->usage == PSA_KEY_USAGE_DECRYPT && attributes->alg == PSA_ALG_CTR;
    if (!good) {
        return -135;
    }
    memcpy(stored, data, n);
    *id = live = 7;
    return PSA_SUCCESS;
}

psa_status_t psa_destroy_key(psa_key_id_t id)
{
    const bool good = id == live;
    live = 0;
    memset(stored, 0, sizeof stored);
    return good ? PSA_SUCCESS : -136;
}

psa_status_t psa_cipher_decrypt_setup(psa_cipher_operation_t *operation, psa_key_id_t id, psa_algorithm_t alg)
{
    operation->id = id;
    return id == live && alg == PSA_ALG_CTR ? PSA_SUCCESS : -134;
}

psa_status_t psa_cipher_set_iv(psa_cipher_operation_t *operation, const uint8_t *iv, size_t n)
{
    if (operation->id == 0 || n != BLOCK) {
        return -137;
    }
    memcpy(operation->counter, iv, n);
    return PSA_SUCCESS;
}

psa_status_t psa_cipher_update(psa_cipher_operation_t *operation, const uint8_t *input, size_t n, uint8_t *output,
                               size_t room, size_t *made)
{
    if (operation->id != live || room < n || (output < input + n && input < output + n)) {
        return -138;
    }
    crypt(stored, n, &operation->used, operation->counter, operation->stream, input, output);
    *made = n;
    return PSA_SUCCESS;
}

psa_status_t psa_cipher_abort(psa_cipher_operation_t *operation)
{
    memset(operation, 0, sizeof *operation);
    return PSA_SUCCESS;
}
