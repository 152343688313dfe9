/* Sealed people: person.bin in an envelope that one device alone accepts. Its bytes: firmware/STORE.md,
 * "Sealed person". */
#ifndef HM_SEAL_H
#define HM_SEAL_H

#include "hm_code.h"
#include "hm_sha256.h"

#include <stdint.h>

enum {
    HM_KEY_BYTES = 32,
    HM_ID_BYTES = 16,
    HM_NAME_BYTES = 48,
    HM_SEAL_FORMAT = 1,
    /* Offsets in a sealed person; all numbers little-endian. */
    HM_SEAL_MAGIC = 0,    /* "HMsp" */
    HM_SEAL_VERSION = 4,  /* HM_SEAL_FORMAT */
    HM_SEAL_TOTAL = 8,    /* bytes of all, a multiple of 4 */
    HM_SEAL_FLAGS = 12,   /* HM_SEAL_ENCRYPTED or 0 */
    HM_SEAL_KEY = 16,     /* number of the key that it is sealed under */
    HM_SEAL_COUNTER = 20, /* rollback counter: above every one that the device accepted before */
    HM_SEAL_PAYLOAD = 24, /* bytes of the payload, a multiple of 4 */
    HM_SEAL_RESERVED_4 = 28, /* 4 zeros */
    HM_SEAL_ID = 32,      /* random, of this person on all devices */
    HM_SEAL_NONCE = 48,   /* 16 random bytes, the cipher's first counter block; zeros where nothing is encrypted */
    HM_SEAL_NAME = 64,    /* 48 bytes, as in person.bin */
    HM_SEAL_RESERVED_16 = 112, /* 16 zeros */
    HM_SEAL_HEAD = 128,   /* then the payload: person.bin, F = 0, at a multiple of 16 */
    HM_SEAL_TAG = 32,     /* bytes of the tag, at the end: HMAC-SHA-256 over all before it */
    HM_SEAL_ENCRYPTED = 1
};

/* What a key is used for; each use has a key of its own, HMAC-SHA-256(device key, label ‖ key number as 4 bytes). */
typedef enum hm_use {
    HM_USE_SEAL,    /* label "hyper-mcu seal" */
    HM_USE_ENCRYPT, /* label "hyper-mcu encrypt" */
    HM_USE_LINK     /* label "hyper-mcu link" */
} hm_use;

void hm_key_for(const uint8_t key[HM_KEY_BYTES], uint32_t number, hm_use use, uint8_t out[HM_KEY_BYTES]);

/* What a sealed person says of itself. Pointers into it. */
typedef struct hm_sealed {
    const uint8_t *id; /* HM_ID_BYTES */
    const char *name;
    uint32_t flags;
    uint32_t key;
    uint32_t counter;
    const uint8_t *nonce;
    const uint8_t *payload; /* person.bin, or what the cipher made of it */
    uint32_t payload_bytes;
} hm_sealed;

/* Takes a sealed person of n bytes apart; HM_CODE_NOT_SEALED, and *sealed all zeros, where its sizes, its name or a
 * reserved byte are wrong. Looks at no key: for what the store has accepted already. */
HM_MUST_CHECK hm_code hm_seal_read(const uint8_t *bytes, uint32_t n, hm_sealed *sealed);

/* The head of a sealed person of whom hm_seal_read would say this; payload_bytes of payload and a tag follow. nonce: NULL
 * where nothing is encrypted. */
void hm_seal_head(const hm_sealed *sealed, uint8_t head[HM_SEAL_HEAD]);

/* What hm_seal_read does, and whether it was sealed under this key and number, and its counter is above `counter`. *decision is
 * HM_MATCH only then: go on only where the code is HM_CODE_OK and *decision is HM_MATCH. One instruction left out may
 * change either, it does not change both; nor does a flipped bit but one of `counter` itself, or of where that is. */
HM_MUST_CHECK hm_code hm_seal_open(const uint8_t *bytes, uint32_t n, const uint8_t key[HM_KEY_BYTES], uint32_t number,
                                   uint32_t counter, hm_sealed *sealed, uint32_t *decision);

#endif
