/* SHA-256, HMAC-SHA-256 and the comparison of secrets. hm_sha256.h says what they promise. */
#include "hm_sha256.h"

#include "../core/hm_types.h" /* HM_MATCH, HM_NO_MATCH */

/* ---- SHA-256: FIPS 180-4, sections 4.1.2, 5.3.3 and 6.2 --------------------------------------------------------- */

/* The first 32 bits of the fractional parts of the cube roots of the first 64 primes. */
static const uint32_t hm_sha256_k[64] = {
    0x428A2F98, 0x71374491, 0xB5C0FBCF, 0xE9B5DBA5, 0x3956C25B, 0x59F111F1, 0x923F82A4, 0xAB1C5ED5,
    0xD807AA98, 0x12835B01, 0x243185BE, 0x550C7DC3, 0x72BE5D74, 0x80DEB1FE, 0x9BDC06A7, 0xC19BF174,
    0xE49B69C1, 0xEFBE4786, 0x0FC19DC6, 0x240CA1CC, 0x2DE92C6F, 0x4A7484AA, 0x5CB0A9DC, 0x76F988DA,
    0x983E5152, 0xA831C66D, 0xB00327C8, 0xBF597FC7, 0xC6E00BF3, 0xD5A79147, 0x06CA6351, 0x14292967,
    0x27B70A85, 0x2E1B2138, 0x4D2C6DFC, 0x53380D13, 0x650A7354, 0x766A0ABB, 0x81C2C92E, 0x92722C85,
    0xA2BFE8A1, 0xA81A664B, 0xC24B8B70, 0xC76C51A3, 0xD192E819, 0xD6990624, 0xF40E3585, 0x106AA070,
    0x19A4C116, 0x1E376C08, 0x2748774C, 0x34B0BCB5, 0x391C0CB3, 0x4ED8AA4A, 0x5B9CCA4F, 0x682E6FF3,
    0x748F82EE, 0x78A5636F, 0x84C87814, 0x8CC70208, 0x90BEFFFA, 0xA4506CEB, 0xBEF9A3F7, 0xC67178F2,
};

/* n of 1 to 31; every compiler makes one instruction of it. */
static inline uint32_t hm_rotated(uint32_t word, int n)
{
    return word >> n | word << (32 - n);
}

static inline uint32_t hm_big_endian(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static void hm_put_big_endian(uint8_t *bytes, uint32_t word)
{
    for (int i = 0; i < 4; i++) {
        bytes[i] = (uint8_t)(word >> (24 - 8 * i));
    }
}

/* One block at any address. The schedule keeps the last 16 of its 64 words: 64 bytes of stack instead of 256. */
static void hm_sha256_block(uint32_t state[8], const uint8_t *block)
{
    uint32_t w[16];
    for (int i = 0; i < 16; i++) {
        w[i] = hm_big_endian(block + 4 * i);
    }
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
    for (int t = 0; t < 64; t++) {
        if (t >= 16) {
            const uint32_t w15 = w[(t + 1) & 15];
            const uint32_t w2 = w[(t + 14) & 15];
            const uint32_t s0 = hm_rotated(w15, 7) ^ hm_rotated(w15, 18) ^ w15 >> 3;
            const uint32_t s1 = hm_rotated(w2, 17) ^ hm_rotated(w2, 19) ^ w2 >> 10;
            w[t & 15] += s0 + w[(t + 9) & 15] + s1;
        }
        const uint32_t e1 = hm_rotated(e, 6) ^ hm_rotated(e, 11) ^ hm_rotated(e, 25);
        const uint32_t t1 = h + e1 + (g ^ (e & (f ^ g))) + hm_sha256_k[t] + w[t & 15];
        const uint32_t e0 = hm_rotated(a, 2) ^ hm_rotated(a, 13) ^ hm_rotated(a, 22);
        const uint32_t t2 = e0 + ((a & b) | (c & (a | b)));
        h = g;
        g = f;
        f = e;
        e = d + t1;
        d = c;
        c = b;
        b = a;
        a = t1 + t2;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
    state[5] += f;
    state[6] += g;
    state[7] += h;
    hm_wipe(w, sizeof w); /* a block may be a key */
}

void hm_sha256_begin(hm_sha256 *hash)
{
    /* The first 32 bits of the fractional parts of the square roots of the first 8 primes. */
    static const uint32_t start[8] = {
        0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19,
    };
    hm_copy(hash->state, start, sizeof start);
    hash->length = 0;
}

void hm_sha256_add(hm_sha256 *hash, const void *bytes, size_t n)
{
    const uint8_t *from = (const uint8_t *)bytes;
    size_t held = (size_t)(hash->length % HM_SHA256_BLOCK);
    hash->length += n;
    if (held > 0) {
        const size_t room = HM_SHA256_BLOCK - held;
        const size_t taken = n < room ? n : room;
        if (taken > 0) {
            hm_copy(hash->block + held, from, taken);
            from += taken;
            n -= taken;
            held += taken;
        }
        if (held < HM_SHA256_BLOCK) {
            return;
        }
        hm_sha256_block(hash->state, hash->block);
    }
    for (; n >= HM_SHA256_BLOCK; n -= HM_SHA256_BLOCK) {
        hm_sha256_block(hash->state, from);
        from += HM_SHA256_BLOCK;
    }
    if (n > 0) {
        hm_copy(hash->block, from, n);
    }
}

void hm_sha256_end(hm_sha256 *hash, uint8_t digest[HM_SHA256_BYTES])
{
    const uint64_t bits = hash->length * 8;
    size_t held = (size_t)(hash->length % HM_SHA256_BLOCK);
    hash->block[held] = 0x80;
    held++;
    if (held > HM_SHA256_BLOCK - 8) {
        hm_fill(hash->block + held, 0, HM_SHA256_BLOCK - held);
        hm_sha256_block(hash->state, hash->block);
        held = 0;
    }
    hm_fill(hash->block + held, 0, HM_SHA256_BLOCK - 8 - held);
    hm_put_big_endian(hash->block + HM_SHA256_BLOCK - 8, (uint32_t)(bits >> 32));
    hm_put_big_endian(hash->block + HM_SHA256_BLOCK - 4, (uint32_t)bits);
    hm_sha256_block(hash->state, hash->block);
    for (int i = 0; i < 8; i++) {
        hm_put_big_endian(digest + 4 * i, hash->state[i]);
    }
    hm_wipe(hash, sizeof *hash);
}

/* ---- HMAC: RFC 2104 --------------------------------------------------------------------------------------------- */

void hm_hmac_begin(hm_hmac *mac, const uint8_t *key, size_t n)
{
    uint8_t pad[HM_SHA256_BLOCK];
    hm_fill(pad, 0, sizeof pad);
    hm_sha256_begin(&mac->inner);
    if (n > HM_SHA256_BLOCK) { /* a longer key is its hash */
        hm_sha256_add(&mac->inner, key, n);
        hm_sha256_end(&mac->inner, pad);
        hm_sha256_begin(&mac->inner);
    } else if (n > 0) {
        hm_copy(pad, key, n);
    }
    for (size_t i = 0; i < sizeof pad; i++) {
        pad[i] ^= 0x36;
    }
    hm_sha256_add(&mac->inner, pad, sizeof pad);
    for (size_t i = 0; i < sizeof pad; i++) {
        pad[i] ^= 0x36 ^ 0x5C;
    }
    hm_sha256_begin(&mac->outer);
    hm_sha256_add(&mac->outer, pad, sizeof pad);
    hm_wipe(pad, sizeof pad);
}

void hm_hmac_add(hm_hmac *mac, const void *bytes, size_t n)
{
    hm_sha256_add(&mac->inner, bytes, n);
}

void hm_hmac_end(hm_hmac *mac, uint8_t tag[HM_SHA256_BYTES])
{
    uint8_t digest[HM_SHA256_BYTES];
    hm_sha256_end(&mac->inner, digest);
    hm_sha256_add(&mac->outer, digest, sizeof digest);
    hm_sha256_end(&mac->outer, tag);
    hm_wipe(digest, sizeof digest);
}

/* ---- Comparison ------------------------------------------------------------------------------------------------- */

/* All ones for 0, 0 for anything else, without a branch. */
static inline uint32_t hm_ones_for_zero(uint32_t word)
{
    word |= 0U - word; /* the highest bit is set unless the word is 0 */
    HM_OPAQUE(word);
    return (word >> 31) - 1U;
}

uint32_t hm_equal_secret(const uint8_t *a, const uint8_t *b, size_t n)
{
    if (n == 0) { /* nothing proves nothing */
        return HM_NO_MATCH;
    }
    /* Twice, in two ways, each deciding about half of the bits: whoever disturbs one of them gets neither decision. */
    uint32_t different = 0;
    for (size_t i = 0; i < n; i++) {
        different |= (uint32_t)(a[i] ^ b[i]);
    }
    uint32_t missing = (uint32_t)n;
    for (size_t i = 0; i < n; i++) {
        missing -= hm_ones_for_zero((uint32_t)(a[i] ^ b[i])) & 1U;
    }
    const uint32_t half = hm_ones_for_zero(different) & UINT32_C(0xFFFF0000);
    const uint32_t other = hm_ones_for_zero(missing) & UINT32_C(0x0000FFFF);
    return HM_NO_MATCH ^ (half | other);
}
