/* Sealed people: taken apart, and opened with a device's key. firmware/STORE.md, "Sealed person", has their bytes. */
#include "hm_seal.h"

#include "../core/hm_blob.h" /* hm_word, hm_is_name */
#include "hm_bytes.h"

HM_STATIC_ASSERT((int)HM_SEAL_NAME + (int)HM_NAME_BYTES == (int)HM_SEAL_RESERVED_16, "hyper-mcu: the name fills its place");
HM_STATIC_ASSERT(HM_SEAL_HEAD % 16 == 0, "hyper-mcu: what a sealed person holds lies at a multiple of 16");

#define MAGIC UINT32_C(0x70734D48) /* "HMsp" */

void hm_key_for(const uint8_t key[HM_KEY_BYTES], uint32_t number, hm_use use, uint8_t out[HM_KEY_BYTES])
{
    static const char labels[3][20] = {"hyper-mcu seal", "hyper-mcu encrypt", "hyper-mcu link"};
    const char *label = labels[(unsigned)use % 3];
    size_t length = 0;
    while (label[length] != 0) {
        length++;
    }
    uint8_t last[4];
    hm_set_word(last, number);
    hm_hmac mac;
    hm_hmac_begin(&mac, key, HM_KEY_BYTES);
    hm_hmac_add(&mac, label, length);
    hm_hmac_add(&mac, last, sizeof last);
    hm_hmac_end(&mac, out);
}

/* Whether n bytes keep every rule that needs no key. */
static bool hm_is_sealed(const uint8_t *bytes, uint32_t n)
{
    if (n <= HM_SEAL_HEAD + HM_SEAL_TAG || n % 4 != 0) {
        return false;
    }
    const uint32_t flags = hm_word(bytes + HM_SEAL_FLAGS);
    return hm_word(bytes + HM_SEAL_MAGIC) == MAGIC &&
           hm_word(bytes + HM_SEAL_VERSION) == HM_SEAL_FORMAT &&
           hm_word(bytes + HM_SEAL_TOTAL) == n &&
           hm_word(bytes + HM_SEAL_PAYLOAD) == n - HM_SEAL_HEAD - HM_SEAL_TAG &&
           (flags == 0 || flags == HM_SEAL_ENCRYPTED) &&
           (flags == HM_SEAL_ENCRYPTED || hm_any(bytes + HM_SEAL_NONCE, 16) == 0) &&
           hm_word(bytes + HM_SEAL_KEY) != 0 &&
           hm_word(bytes + HM_SEAL_COUNTER) != 0 &&
           hm_any(bytes + HM_SEAL_RESERVED_4, 4) == 0 &&
           hm_any(bytes + HM_SEAL_RESERVED_16, 16) == 0 &&
           hm_is_name(bytes + HM_SEAL_NAME, HM_NAME_BYTES);
}

hm_code hm_seal_read(const uint8_t *bytes, uint32_t n, hm_sealed *sealed)
{
    hm_fill(sealed, 0, sizeof *sealed);
    if (!hm_is_sealed(bytes, n)) {
        return HM_CODE_NOT_SEALED;
    }
    sealed->id = bytes + HM_SEAL_ID;
    sealed->name = (const char *)(bytes + HM_SEAL_NAME);
    sealed->flags = hm_word(bytes + HM_SEAL_FLAGS);
    sealed->key = hm_word(bytes + HM_SEAL_KEY);
    sealed->counter = hm_word(bytes + HM_SEAL_COUNTER);
    sealed->nonce = bytes + HM_SEAL_NONCE;
    sealed->payload = bytes + HM_SEAL_HEAD;
    sealed->payload_bytes = hm_word(bytes + HM_SEAL_PAYLOAD);
    return HM_CODE_OK;
}

void hm_seal_head(const hm_sealed *sealed, uint8_t head[HM_SEAL_HEAD])
{
    hm_fill(head, 0, HM_SEAL_HEAD);
    hm_set_word(head + HM_SEAL_MAGIC, MAGIC);
    hm_set_word(head + HM_SEAL_VERSION, HM_SEAL_FORMAT);
    hm_set_word(head + HM_SEAL_TOTAL, HM_SEAL_HEAD + sealed->payload_bytes + HM_SEAL_TAG);
    hm_set_word(head + HM_SEAL_FLAGS, sealed->flags);
    hm_set_word(head + HM_SEAL_KEY, sealed->key);
    hm_set_word(head + HM_SEAL_COUNTER, sealed->counter);
    hm_set_word(head + HM_SEAL_PAYLOAD, sealed->payload_bytes);
    hm_copy(head + HM_SEAL_ID, sealed->id, HM_ID_BYTES);
    if (sealed->nonce != NULL) {
        hm_copy(head + HM_SEAL_NONCE, sealed->nonce, 16);
    }
    hm_copy(head + HM_SEAL_NAME, sealed->name, HM_NAME_BYTES);
}

/* HM_MATCH where the last 32 of n bytes are the tag of those before them, under this key and number. Not where the key is
 * zeros: that is memory where no key is, which a flipped bit of its address leads to. */
static HM_NOINLINE uint32_t hm_seal_holds(const uint8_t *bytes, uint32_t n, const uint8_t key[HM_KEY_BYTES], uint32_t number)
{
    uint8_t secret[HM_KEY_BYTES];
    uint8_t tag[HM_SEAL_TAG];
    hm_hmac mac;
    const uint32_t any = hm_any(key, HM_KEY_BYTES);
    hm_key_for(key, number, HM_USE_SEAL, secret);
    hm_hmac_begin(&mac, secret, sizeof secret);
    hm_hmac_add(&mac, bytes, n - HM_SEAL_TAG);
    hm_hmac_end(&mac, tag);
    const uint32_t decision = hm_equal_secret(tag, bytes + n - HM_SEAL_TAG, HM_SEAL_TAG);
    hm_wipe(secret, sizeof secret);
    hm_wipe(tag, sizeof tag); /* the right one for bytes that somebody made up */
    return decision | ((any - 1) >> 8);
}

/* What is wrong, by ordinary branches. Copies that the compiler knows nothing of, so that it does not conclude from a
 * branch that was taken what the decision must be. */
static hm_code hm_seal_fault(const hm_sealed *sealed, uint32_t seal, uint32_t number, uint32_t counter)
{
    uint32_t key = sealed->key;
    uint32_t own = sealed->counter;
    HM_OPAQUE(key);
    HM_OPAQUE(own);
    HM_OPAQUE(seal);
    if (key != number) {
        return HM_CODE_WRONG_KEY;
    }
    if (seal != HM_MATCH) {
        return HM_CODE_WRONG_SEAL;
    }
    return own > counter ? HM_CODE_OK : HM_CODE_OLD;
}

hm_code hm_seal_open(const uint8_t *bytes, uint32_t n, const uint8_t key[HM_KEY_BYTES], uint32_t number,
                     uint32_t counter, hm_sealed *sealed, uint32_t *decision)
{
    const volatile uint32_t *accepted = &counter;
    const volatile uint8_t *own = bytes + HM_SEAL_COUNTER;
    hm_sealed found;
    HM_OPAQUE(accepted); /* so that it is in memory, and is read where it says so */
    HM_OPAQUE(own);
    *decision = HM_NO_MATCH;
    hm_fill(sealed, 0, sizeof *sealed);
    if (n <= HM_SEAL_HEAD + HM_SEAL_TAG) {
        return HM_CODE_NOT_SEALED;
    }
    /* The seal comes first: nothing that is not sealed is looked at but to say what is wrong with it. And it comes twice:
     * in a single pass one call left out (of the key's derivation, of the comparison) makes a tag that somebody knows. */
    const uint32_t first = hm_seal_holds(bytes, n, key, number);
    const uint32_t second = hm_seal_holds(bytes, n, key, number);
    const uint32_t seal = (first & UINT32_C(0xFFFF0000)) | (second & UINT32_C(0x0000FFFF));
    hm_code code = hm_seal_read(bytes, n, &found);
    if (code == HM_CODE_OK) {
        code = hm_seal_fault(&found, seal, number, *accepted);
    }
    if (code != HM_CODE_OK) {
        return code;
    }
    /* Here everything was right, or a branch was taken that should not have been. So the decision is no constant, but
     * what both comparisons of the seal gave, with its highest bit, which HM_MATCH has not, set by a wrong number and by a
     * counter that is not above: bits are only added, so that no two faults of a forgery cancel out. Both counters are
     * read once more, for no seal tells that one of them was read wrongly. */
    const uint32_t other = found.key ^ number;
    const uint32_t again = own[0] | (uint32_t)own[1] << 8 | (uint32_t)own[2] << 16 | (uint32_t)own[3] << 24;
    uint32_t made = seal | other | (0U - other);
    made |= ~(uint32_t)(((uint64_t)*accepted - again) >> 32);
    *sealed = found;
    *decision = made;
    return HM_CODE_OK;
}
