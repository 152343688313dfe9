/* Random numbers: a generator of ours, seeded by the chip's noise while that is switched on.
 *
 * Without Wi-Fi and Bluetooth the chip's own generator is only pseudo-random, and its noise source cannot stay on: on an
 * ESP32 the camera needs the same peripheral. So it is on once, at the start, for the seed. Each call then hashes the
 * state, a counter and whatever the chip says; the state is replaced afterwards, and what was given out cannot be
 * computed from it. */
#ifdef ESP_PLATFORM /* a library manager compiles this file for every board */

#include "hm_esp32.h"

#include "../../core/hm_memory.h"

#include "bootloader_random.h"
#include "esp_random.h"

static uint8_t state[HM_SHA256_BYTES];
static bool seeded;

enum { NOISE_BYTES = 64, MORE_BYTES = 32 };
enum { GIVE = 1, REPLACE = 2 }; /* what a hash of the state is for */

hm_code hm_esp32_begin_random(void)
{
    uint8_t noise[NOISE_BYTES];
    bootloader_random_enable();
    esp_fill_random(noise, sizeof noise);
    bootloader_random_disable();
    uint8_t other = 0;
    for (size_t i = 0; i < NOISE_BYTES / 2; i++) {
        other |= (uint8_t)(noise[i] ^ noise[i + NOISE_BYTES / 2]);
    }
    hm_sha256 hash;
    hm_sha256_begin(&hash);
    hm_sha256_add(&hash, noise, sizeof noise);
    hm_sha256_end(&hash, state);
    hm_wipe(noise, sizeof noise);
    seeded = other != 0; /* both halves the same: there is no noise */
    return seeded ? HM_CODE_OK : HM_CODE_NO_RANDOM;
}

static void hash_state(uint8_t use, uint32_t counter, const uint8_t more[MORE_BYTES], uint8_t out[HM_SHA256_BYTES])
{
    const uint8_t head[5] = {use, (uint8_t)(counter >> 24 & 0xFF), (uint8_t)(counter >> 16 & 0xFF),
                             (uint8_t)(counter >> 8 & 0xFF), (uint8_t)(counter & 0xFF)};
    hm_hmac mac;
    hm_hmac_begin(&mac, state, sizeof state);
    hm_hmac_add(&mac, head, sizeof head);
    hm_hmac_add(&mac, more, MORE_BYTES);
    hm_hmac_end(&mac, out);
}

bool hm_port_random(uint8_t *bytes, size_t n)
{
    if (!seeded) {
        return false;
    }
    uint8_t more[MORE_BYTES];
    uint8_t block[HM_SHA256_BYTES];
    esp_fill_random(more, sizeof more);
    uint32_t counter = 0;
    for (size_t done = 0; done < n; done += sizeof block) {
        hash_state(GIVE, counter++, more, block);
        hm_copy(bytes + done, block, n - done < sizeof block ? n - done : sizeof block);
    }
    hash_state(REPLACE, counter, more, block);
    hm_copy(state, block, sizeof state);
    hm_wipe(block, sizeof block);
    hm_wipe(more, sizeof more);
    return true;
}

#endif
