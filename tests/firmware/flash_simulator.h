/* A flash in memory that takes a word once after each erasure and loses power at operation k: an erasure, or one word.
 *
 * What was interrupted holds what the residue says; it takes nothing before it has been erased, even where it reads as
 * erased. What is unstable is drawn anew each time the power comes back. A word that is programmed twice ends the program:
 * no sound driver of flash with check bits does that. */
#ifndef FLASH_SIMULATOR_H
#define FLASH_SIMULATOR_H

#include "hm_flash.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum residue { NOTHING, WHOLE, HALF, RANDOM, UNSTABLE, RESIDUES };
enum word_state { ERASED, PROGRAMMED, TORN, DRAWN }; /* DRAWN: torn, and anew each time */

typedef struct simulator {
    hm_flash flash;
    uint8_t *memory; /* what is read */
    uint8_t *before; /* of torn bytes: what was there, */
    uint8_t *after;  /* and what was to be there */
    uint8_t *states; /* of each byte's word */
    uint32_t done;   /* operations since the power came */
    uint32_t cut;    /* the operation in which it fails, counted from 1; 0: in none */
    uint32_t erasures;
    uint32_t refusing; /* a worn unit's offset, 1: none */
    enum residue residue;
    uint32_t random;
    jmp_buf off;
} simulator;

static uint32_t simulator_random(simulator *s)
{
    s->random ^= s->random << 13;
    s->random ^= s->random >> 17;
    s->random ^= s->random << 5;
    return s->random;
}

/* Bytes on their way from before to after. */
static void simulator_draw(simulator *s, uint32_t offset, uint32_t n, enum residue residue)
{
    for (uint32_t i = offset; i < offset + n; i++) {
        const uint8_t b = s->before[i];
        const uint8_t a = s->after[i];
        const uint8_t some = (uint8_t)simulator_random(s);
        const uint8_t half = (uint8_t)((b & some) | (a & ~some));
        s->memory[i] = residue == NOTHING ? b : residue == WHOLE ? a : residue == HALF ? half : some;
    }
}

static void simulator_tear(simulator *s, uint32_t offset, uint32_t n)
{
    const bool anew = s->residue == UNSTABLE;
    memset(s->states + offset, anew ? DRAWN : TORN, n);
    simulator_draw(s, offset, n, anew ? (enum residue)(simulator_random(s) % UNSTABLE) : s->residue);
    longjmp(s->off, 1);
}

static bool simulator_erase(void *context, uint32_t offset)
{
    simulator *const s = (simulator *)context;
    const uint32_t unit = s->flash.unit;
    if (offset % unit != 0 || offset >= s->flash.size) {
        fprintf(stderr, "erases at %u\n", (unsigned)offset);
        exit(3);
    }
    const bool cut = ++s->done == s->cut;
    if (cut) {
        memcpy(s->before + offset, s->memory + offset, unit);
        memset(s->after + offset, 0xFF, unit);
        simulator_tear(s, offset, unit);
    }
    if (offset == s->refusing) {
        return false;
    }
    s->erasures++;
    memset(s->memory + offset, 0xFF, unit);
    memset(s->states + offset, ERASED, unit);
    return true;
}

static bool simulator_program(void *context, uint32_t offset, const uint8_t *bytes, uint32_t n)
{
    simulator *const s = (simulator *)context;
    const uint32_t word = s->flash.word;
    if (offset % word != 0 || n % word != 0 || offset > s->flash.size || n > s->flash.size - offset) {
        fprintf(stderr, "programs %u bytes at %u\n", (unsigned)n, (unsigned)offset);
        exit(3);
    }
    for (uint32_t at = offset; at < offset + n; at += word, bytes += word) {
        if (s->states[at] == PROGRAMMED) {
            fprintf(stderr, "programs the word at %u twice\n", (unsigned)at);
            exit(3);
        }
        const bool cut = ++s->done == s->cut;
        if (s->states[at] != ERASED || at / s->flash.unit * s->flash.unit == s->refusing) {
            return false; /* torn, or worn */
        }
        if (cut) {
            memcpy(s->before + at, s->memory + at, word);
            memcpy(s->after + at, bytes, word);
            simulator_tear(s, at, word);
        }
        memcpy(s->memory + at, bytes, word);
        memset(s->states + at, PROGRAMMED, word);
    }
    return true;
}

static void simulator_power(simulator *s, uint32_t cut, enum residue residue, uint32_t seed)
{
    s->done = 0;
    s->cut = cut;
    s->residue = residue;
    s->random = seed * 2654435761U + 1U; /* never 0: odd times anything even, plus 1 */
    s->random = s->random != 0 ? s->random : 1U;
    for (uint32_t unit = 0; unit < s->flash.size; unit += s->flash.unit) {
        const enum residue now = (enum residue)(simulator_random(s) % UNSTABLE);
        for (uint32_t at = unit; at < unit + s->flash.unit; at += s->flash.word) {
            if (s->states[at] == DRAWN) {
                simulator_draw(s, at, s->flash.word, now);
            }
        }
    }
}

static void simulator_new(simulator *s, uint32_t unit, uint32_t word, uint32_t units)
{
    const uint32_t size = unit * units;
    free(s->memory);
    memset(s, 0, sizeof *s);
    s->memory = (uint8_t *)aligned_alloc(16, (size_t)size * 4);
    if (s->memory == NULL) {
        exit(4);
    }
    s->before = s->memory + size;
    s->after = s->before + size;
    s->states = s->after + size;
    memset(s->memory, 0xFF, size);
    memset(s->states, ERASED, size);
    s->random = 1;
    s->refusing = 1;
    s->flash.base = s->memory;
    s->flash.size = size;
    s->flash.unit = unit;
    s->flash.word = word;
    s->flash.context = s;
    s->flash.erase = simulator_erase;
    s->flash.program = simulator_program;
}

#endif
