/* Counts the instructions that an emulator executes. A callback for each translated block, compiled for the machine that
 * emulates: Unicorn calls it (UC_HOOK_BLOCK) before it runs a block. A Thumb instruction whose IT condition is false is
 * counted too: it costs a cycle on the chip. */
#include <stdint.h>

/* Laid out as in codegen/instructions.py. `known` holds, for each halfword of the code, the block that begins there:
 * its bytes in the upper half, its instructions in the lower one. */
typedef struct block_counter {
    uint64_t instructions;
    uint64_t elsewhere; /* blocks outside the code, which nobody counted */
    uint64_t origin;
    uint64_t bytes;
    const uint8_t *code;
    uint32_t *known;
} block_counter;

void count_arm(void *emulator, uint64_t address, uint32_t size, void *user);
void count_riscv(void *emulator, uint64_t address, uint32_t size, void *user);

/* Bytes of the instruction at a place in the code. */
typedef uint32_t instruction_bytes(const uint8_t *at);

static uint32_t thumb_bytes(const uint8_t *at)
{
    return at[1] >= 0xE8 ? 4 : 2; /* Armv7-M ARM, A5.1: 0b11101, 0b11110, 0b11111 begin 32 bits */
}

static uint32_t riscv_bytes(const uint8_t *at)
{
    return (at[0] & 3) == 3 ? 4 : 2; /* RISC-V Instruction Set Manual I, 1.5 */
}

static void count_block(block_counter *counter, uint64_t address, uint32_t size, instruction_bytes *bytes)
{
    const uint64_t from = address - counter->origin;
    if (size > 0xFFFF || from > counter->bytes || size > counter->bytes - from) {
        counter->elsewhere++;
        return;
    }
    uint32_t *const known = &counter->known[from / 2];
    if (*known >> 16 != size) {
        uint32_t instructions = 0;
        for (uint64_t at = from; at < from + size; instructions++) {
            at += bytes(&counter->code[at]);
        }
        *known = size << 16 | instructions;
    }
    counter->instructions += *known & 0xFFFF;
}

void count_arm(void *emulator, uint64_t address, uint32_t size, void *user)
{
    (void)emulator;
    count_block(user, address, size, thumb_bytes);
}

void count_riscv(void *emulator, uint64_t address, uint32_t size, void *user)
{
    (void)emulator;
    count_block(user, address, size, riscv_bytes);
}
