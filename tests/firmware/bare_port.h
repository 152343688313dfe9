/* The calls of a port that has nothing: no cipher, no room, a clock of cycles that nobody moves but who writes
 * to it; its key is in memory, none at first. For a program of one source file, which defines the other calls of hm_port.h. */
#ifndef BARE_PORT_H
#define BARE_PORT_H

#include "hm_port.h"

#include "../../firmware/core/hm_memory.h"

uint32_t bare_cycles;
static uint8_t bare_key[HM_KEY_BYTES];
static uint32_t bare_key_number;

uint32_t hm_port_cycles(void) { return bare_cycles; }
uint32_t hm_port_cycles_hz(void) { return 1; }
uint32_t hm_port_stack_used(void) { return 0; }

bool hm_port_key(uint8_t key[HM_KEY_BYTES], uint32_t *number)
{
    hm_copy(key, bare_key, sizeof bare_key);
    *number = bare_key_number;
    return bare_key_number != 0;
}

bool hm_port_set_key(const uint8_t key[HM_KEY_BYTES], uint32_t number)
{
    hm_copy(bare_key, key, sizeof bare_key);
    bare_key_number = number;
    return true;
}

bool hm_port_decrypt(const uint8_t key[HM_KEY_BYTES], const uint8_t counter[16], uint8_t *bytes, size_t n)
{
    (void)key;
    (void)counter;
    (void)bytes;
    (void)n;
    return false;
}

uint8_t *hm_port_room(size_t n)
{
    (void)n;
    return NULL;
}

#endif
