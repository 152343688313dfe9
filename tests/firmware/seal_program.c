/* Asked by test_seal.py: what hm_seal_read and hm_seal_open say of bytes, the keys of each use, the texts of all codes. */
#include "hm_seal.h"
#include <stdio.h>
#include <stdlib.h>

static void say(uint32_t word)
{
    fwrite(&word, sizeof word, 1, stdout);
}

/* What both functions make of n bytes in memory of exactly that size, at the address that malloc gives plus `shift`. */
static void answer(const uint8_t *bytes, const uint32_t in[4], const uint8_t *key)
{
    hm_sealed sealed;
    uint32_t decision = 0;
    hm_fill(&sealed, 0xAA, sizeof sealed);
    const hm_code read = hm_seal_read(bytes, in[0], &sealed);
    say((uint32_t)read);
    if ((read == HM_CODE_OK) != (sealed.payload != NULL)) {
        exit(2);
    }
    hm_fill(&sealed, 0xAA, sizeof sealed);
    say((uint32_t)hm_seal_open(bytes, in[0], key, in[1], in[2], &sealed, &decision));
    say(decision);
    say(sealed.flags);
    say(sealed.key);
    say(sealed.counter);
    say(sealed.payload_bytes);
    say(sealed.payload == NULL ? 0 : (uint32_t)(sealed.payload - bytes));
    say(sealed.id == NULL ? 0 : (uint32_t)(sealed.id - bytes));
    say(sealed.name == NULL ? 0 : (uint32_t)((const uint8_t *)sealed.name - bytes));
    say(sealed.nonce == NULL ? 0 : (uint32_t)(sealed.nonce - bytes));
}

int main(int argc, char **argv)
{
    uint32_t in[4];
    uint8_t key[HM_KEY_BYTES];
    (void)argv;
    if (argc > 1) { /* the texts of all codes */
        for (unsigned code = 0; code < 256; code++) {
            printf("%s\n", hm_code_text(code));
        }
        return 0;
    }
    while (fread(in, sizeof in, 1, stdin) == 1 && fread(key, sizeof key, 1, stdin) == 1) {
        if (in[3] == 9) { /* no sealed person: keys of each use */
            for (int use = 0; use < 3; use++) {
                uint8_t out[HM_KEY_BYTES];
                hm_key_for(key, in[1], (hm_use)use, out);
                fwrite(out, sizeof out, 1, stdout);
            }
            continue;
        }
        uint8_t *const room = (uint8_t *)malloc(in[0] + in[3] + 1);
        uint8_t *const bytes = room + in[3] + 1; /* the end is the end of what malloc gave */
        if (room == NULL || fread(bytes, 1, in[0], stdin) != in[0]) {
            return 1;
        }
        answer(bytes, in, key);
        free(room);
    }
    return 0;
}
