/* AES-256-CTR as FIPS 197 describes it, for reading: a board takes that of its platform. Its time depends on the key. */
#include "host.h"

#include "../../core/hm_memory.h"

#include <string.h>

enum { BLOCK = 16, WORDS = 8, ROUNDS = 14 };

static uint8_t twice(uint8_t a)
{
    return (uint8_t)((unsigned)a << 1 ^ (a >> 7) * 0x1BU);
}

static uint8_t times(uint8_t a, uint8_t b)
{
    uint8_t product = 0;
    for (; b != 0; b >>= 1) {
        product ^= (b & 1) != 0 ? a : 0;
        a = twice(a);
    }
    return product;
}

/* The inverse in GF(2^8), a^254, and the affine map. */
static uint8_t substituted(uint8_t a)
{
    uint8_t power = 1;
    for (int i = 0; i < 254; i++) {
        power = times(power, a);
    }
    unsigned sum = 0x63;
    for (unsigned i = 0; i < 5; i++) {
        sum ^= ((unsigned)power << i | (unsigned)power >> (8 - i)) & 0xFF;
    }
    return (uint8_t)sum;
}

static const uint8_t *table(void)
{
    static uint8_t box[256];
    if (box[0] == 0) { /* it is 0x63 */
        for (unsigned a = 0; a < 256; a++) {
            box[a] = substituted((uint8_t)a);
        }
    }
    return box;
}

static void expand(const uint8_t key[32], uint8_t keys[(ROUNDS + 1) * BLOCK])
{
    const uint8_t *const box = table();
    uint8_t constant = 1;
    memcpy(keys, key, 32);
    for (unsigned i = WORDS; i < (ROUNDS + 1) * 4; i++) {
        uint8_t word[4];
        memcpy(word, keys + 4 * (i - 1), 4);
        if (i % WORDS == 0) {
            const uint8_t first = word[0];
            word[0] = box[word[1]] ^ constant;
            word[1] = box[word[2]];
            word[2] = box[word[3]];
            word[3] = box[first];
            constant = twice(constant);
        } else if (i % WORDS == 4) {
            for (int b = 0; b < 4; b++) {
                word[b] = box[word[b]];
            }
        }
        for (unsigned b = 0; b < 4; b++) {
            keys[4 * i + b] = keys[4 * (i - WORDS) + b] ^ word[b];
        }
    }
}

static void add_key(uint8_t state[BLOCK], const uint8_t *key)
{
    for (int i = 0; i < BLOCK; i++) {
        state[i] ^= key[i];
    }
}

/* SubBytes and ShiftRows: byte r of column c comes from column c + r. */
static void shift(uint8_t state[BLOCK])
{
    const uint8_t *const box = table();
    uint8_t old[BLOCK];
    memcpy(old, state, BLOCK);
    for (int i = 0; i < BLOCK; i++) {
        state[i] = box[old[(i + 4 * (i % 4)) % BLOCK]];
    }
}

static void mix(uint8_t state[BLOCK])
{
    for (int c = 0; c < BLOCK; c += 4) {
        uint8_t old[4];
        memcpy(old, state + c, 4);
        for (int r = 0; r < 4; r++) {
            const uint8_t next = old[(r + 1) % 4];
            state[c + r] = (uint8_t)(twice(old[r]) ^ twice(next) ^ next ^ old[(r + 2) % 4] ^ old[(r + 3) % 4]);
        }
    }
}

static void encrypt(const uint8_t keys[(ROUNDS + 1) * BLOCK], uint8_t state[BLOCK])
{
    add_key(state, keys);
    for (int round = 1; round < ROUNDS; round++) {
        shift(state);
        mix(state);
        add_key(state, keys + round * BLOCK);
    }
    shift(state);
    add_key(state, keys + ROUNDS * BLOCK);
}

void host_aes_ctr(const uint8_t key[32], const uint8_t counter[16], uint8_t *bytes, size_t n)
{
    uint8_t keys[(ROUNDS + 1) * BLOCK];
    uint8_t block[BLOCK];
    uint8_t stream[BLOCK];
    memcpy(block, counter, BLOCK);
    expand(key, keys);
    for (size_t at = 0; at < n; at += BLOCK) {
        memcpy(stream, block, BLOCK);
        encrypt(keys, stream);
        for (size_t i = 0; i < BLOCK && at + i < n; i++) {
            bytes[at + i] ^= stream[i];
        }
        for (int i = BLOCK - 1; i >= 0; i--) { /* the counter is a big-endian number of 128 bits */
            block[i]++;
            if (block[i] != 0) {
                break;
            }
        }
    }
    hm_wipe(keys, sizeof keys);
    hm_wipe(stream, sizeof stream);
}
