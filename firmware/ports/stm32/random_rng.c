/* Random numbers of the chip's generator. RM0090 24, RM0385 17, RM0433 34, RM0351 27, RM0456 48. */
#include "stm32.h"

#include "../../device/hm_port.h"

#include "../../core/hm_memory.h"

enum { READY = 1 << 0, FAULTS = 3 << 1 | 3 << 5 /* of its clock and its noise, now or before */ };

static bool draw(uint32_t *word)
{
    if (!stm32_wait(HM_RNG + 0x04U, READY, READY) || (HM_REG(HM_RNG + 0x04U) & FAULTS) != 0) {
        return false;
    }
    *word = HM_REG(HM_RNG + 0x08U);
    return *word != 0;
}

/* The first word is thrown away, and one that equals the word before is an error (FIPS 140-2, 4.9.2). */
bool hm_port_random(uint8_t *bytes, size_t n)
{
    uint32_t before = 0;
    stm32_enable(HM_RCC_RNG, HM_RCC_RNG_BIT);
    HM_REG(HM_RNG) |= 1U << 2;
    bool good = draw(&before);
    for (size_t i = 0; good && i < n; i += sizeof(uint32_t)) {
        uint32_t word = 0;
        good = draw(&word) && word != before;
        hm_copy(bytes + i, &word, n - i < sizeof word ? n - i : sizeof word);
        before = word;
    }
    HM_REG(HM_RNG) &= ~(1U << 2);
    hm_wipe(&before, sizeof before);
    if (!good) {
        hm_fill(bytes, 0, n);
    }
    return good;
}
