/* What a program costs that an emulator executes: a call for each translated block before it runs (count_block) and, where
 * layers are told apart, one for each store to the engine's row counters (count_store). For the machine that emulates.
 *
 * Instructions are exact; a Thumb instruction whose IT condition is false is counted too: it costs a cycle on the chip.
 * Cycles are modelled, for a Cortex-M4 with memory that never waits: one an instruction; one for every word of a load or
 * store beyond its first; one for a load that no load or store follows; two for a taken branch; six for a division. */
#ifndef HARNESS_COUNT_H
#define HARNESS_COUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct cost {
    uint64_t instructions;
    uint64_t cycles;
} cost;

/* The start of the marked function was reached, or a counter stored to: the cost of all before, a store included. */
typedef struct event {
    uint64_t address;
    cost so_far;
} event;

/* A block of the code. cost: but for what a load at its end may take. */
typedef struct block {
    uint32_t bytes;
    uint32_t instructions;
    uint32_t cycles;
    bool begins_with_access;
    bool ends_with_load;
} block;

/* Laid out as in codegen/instructions.py. */
typedef struct counter {
    uint64_t isa;    /* of isas in instruction_at */
    uint64_t origin; /* address of the code */
    uint64_t bytes;
    uint64_t mark; /* address of the function whose calls are events */
    uint64_t rows; /* address of the counters whose stores are events */
    uint64_t rows_end;
    uint64_t room; /* events that there is room for */
    const uint8_t *code; /* readable to four bytes behind its end */
    block *blocks; /* for each byte of the code, the block that begins there */
    event *events;
    uint64_t n;    /* of events */
    uint64_t lost; /* blocks outside the code behind an event, events without room: nothing is known then */
    uint64_t block; /* the one that runs: its place in the code, and where it ends */
    uint64_t block_end;
    cost before_block;
    cost total;
} counter;

typedef struct instruction {
    uint32_t bytes;
    uint32_t more; /* cycles beyond the first */
    bool access;
    bool load;
} instruction;

static inline uint32_t ones(uint32_t word)
{
    uint32_t n = 0;
    for (; word != 0; word &= word - 1) {
        n++;
    }
    return n;
}

/* Armv7-M ARM, A5.1 to A5.3: 0b11101, 0b11110, 0b11111 begin 32 bits. */
static inline instruction thumb(const uint8_t *at)
{
    const uint32_t first = (uint32_t)at[0] | (uint32_t)at[1] << 8;
    const bool load = (first & 0x0800) != 0;
    if (first < 0xE800) {
        if ((first & 0xF800) == 0x4800) { /* literal */
            return (instruction){2, 0, true, true};
        }
        if ((first & 0xF000) == 0x5000) { /* by register: STR, STRH, STRB, then loads */
            return (instruction){2, 0, true, (first & 0x0E00) >= 0x0600};
        }
        if (first >= 0x6000 && first < 0xA000) { /* by immediate */
            return (instruction){2, 0, true, load};
        }
        if ((first & 0xF000) == 0xC000) { /* STM, LDM */
            return (instruction){2, ones(first & 0xFF) - 1, true, load};
        }
        if ((first & 0xF600) == 0xB400) { /* PUSH, POP */
            return (instruction){2, ones(first & 0x1FF) - 1, true, load};
        }
        return (instruction){2, 0, false, false};
    }
    const uint32_t second = (uint32_t)at[2] | (uint32_t)at[3] << 8;
    const bool loads = (first & 0x0010) != 0;
    if ((first & 0xFE40) == 0xE800) { /* STM, LDM */
        return (instruction){4, ones(second) - 1, true, loads};
    }
    if ((first & 0xFE40) == 0xE840) { /* LDRD and STRD, which index or write back; exclusives, table branches */
        return (instruction){4, (first & 0x0120) != 0, true, loads};
    }
    if ((first & 0xFE00) == 0xF800) {
        return (instruction){4, 0, true, loads};
    }
    const bool divides = (first & 0xFFD0) == 0xFB90 && (second & 0xF0) == 0xF0;
    return (instruction){4, divides ? 6 : 0, false, false};
}

/* RISC-V Instruction Set Manual I, 1.5. Cycles are not modelled. */
static inline instruction riscv(const uint8_t *at)
{
    return (instruction){(at[0] & 3) == 3 ? 4 : 2, 0, false, false};
}

/* Xtensa ISA Reference Manual, 7.3: op0 8 to 13 are the narrow ones. Cycles are not modelled. */
static inline instruction xtensa(const uint8_t *at)
{
    return (instruction){(at[0] & 15) >= 8 ? 2 : 3, 0, false, false};
}

/* The instruction at a place in the code. */
static inline instruction instruction_at(const counter *c, uint64_t place)
{
    static instruction (*const isas[])(const uint8_t *at) = {thumb, riscv, xtensa};
    return isas[c->isa](&c->code[place]);
}

/* The address behind the instruction at an address; outside the code, of one byte. */
static inline uint64_t end_of(const counter *c, uint64_t address)
{
    const uint64_t place = address - c->origin;
    return address + (place < c->bytes ? instruction_at(c, place).bytes : 1);
}

static inline block walk(const counter *c, uint64_t from, uint64_t to)
{
    block b = {(uint32_t)(to - from), 0, 0, false, false};
    for (uint64_t at = from; at < to; b.instructions++) {
        const instruction i = instruction_at(c, at);
        b.begins_with_access |= at == from && i.access;
        b.cycles += 1 + i.more + (b.ends_with_load && !i.access);
        b.ends_with_load = i.load;
        at += i.bytes;
    }
    return b;
}

static inline void log_event(counter *c, uint64_t address, cost so_far)
{
    if (c->n == c->room) {
        c->lost++;
        return;
    }
    c->events[c->n++] = (event){address, so_far};
}

/* A block of `size` bytes at `address` is about to run. */
static inline void count_block(counter *c, uint64_t address, uint32_t size)
{
    if (address < c->origin || size > c->bytes || address - c->origin > c->bytes - size) {
        c->lost += c->n > 0; /* a boot ROM comes before all that matters */
        return;
    }
    const uint64_t from = address - c->origin;
    const bool jumped = from != c->block_end;
    block *const b = &c->blocks[from];
    if (b->bytes != size) {
        *b = walk(c, from, from + size);
    }
    c->total.cycles += jumped ? 2 : 0;
    c->total.cycles += c->blocks[c->block].ends_with_load && (jumped || !b->begins_with_access);
    if (address == c->mark) {
        log_event(c, address, c->total);
    }
    c->before_block = c->total;
    c->total.instructions += b->instructions;
    c->total.cycles += b->cycles;
    c->block = from;
    c->block_end = from + size;
}

/* The block that runs stores to `address`, by the instruction at `pc`. */
static inline void count_store(counter *c, uint64_t address, uint64_t pc)
{
    if (address < c->rows || address >= c->rows_end || pc - c->origin >= c->bytes) {
        return;
    }
    const block b = walk(c, c->block, end_of(c, pc) - c->origin);
    const cost so_far = {c->before_block.instructions + b.instructions, c->before_block.cycles + b.cycles};
    log_event(c, address, so_far);
}

#endif
