/* SHA-256 (FIPS 180-4), HMAC-SHA-256 (RFC 2104), and a comparison that tells neither time nor one flipped bit anything. */
#ifndef HM_SHA256_H
#define HM_SHA256_H

#include "../core/hm_memory.h" /* hm_wipe, for whoever holds a secret */

#include <stddef.h>
#include <stdint.h>

enum { HM_SHA256_BYTES = 32, HM_SHA256_BLOCK = 64 };

typedef struct hm_sha256 {
    uint32_t state[8];
    uint64_t length; /* bytes so far */
    uint8_t block[HM_SHA256_BLOCK];
} hm_sha256;

void hm_sha256_begin(hm_sha256 *hash);
void hm_sha256_add(hm_sha256 *hash, const void *bytes, size_t n);
void hm_sha256_end(hm_sha256 *hash, uint8_t digest[HM_SHA256_BYTES]); /* and wipes *hash */

typedef struct hm_hmac {
    hm_sha256 inner;
    hm_sha256 outer;
} hm_hmac;

void hm_hmac_begin(hm_hmac *mac, const uint8_t *key, size_t n);
void hm_hmac_add(hm_hmac *mac, const void *bytes, size_t n);
void hm_hmac_end(hm_hmac *mac, uint8_t tag[HM_SHA256_BYTES]); /* and wipes *mac */

/* HM_MATCH where n bytes are equal, in a time that does not depend on where they differ, HM_NO_MATCH where they are not,
 * and where n is 0; no single flipped bit makes one of the other. Compare what it returns with HM_MATCH, never with
 * HM_NO_MATCH. */
uint32_t hm_equal_secret(const uint8_t *a, const uint8_t *b, size_t n);

#endif
