/* Counting in Unicorn: hooks for its blocks and its writes to memory. */
#include "count.h"

typedef int reg_read(void *emulator, int register_id, void *value);

/* Laid out as in codegen/instructions.py. */
typedef struct unicorn_counter {
    counter count;
    reg_read *read; /* uc_reg_read */
    uint64_t pc;    /* Unicorn's number of it */
} unicorn_counter;

void on_block(void *emulator, uint64_t address, uint32_t size, void *user);
void on_write(void *emulator, int kind, uint64_t address, int size, int64_t value, void *user);

/* UC_HOOK_BLOCK */
void on_block(void *emulator, uint64_t address, uint32_t size, void *user)
{
    (void)emulator;
    unicorn_counter *const c = user;
    count_block(&c->count, address, size);
}

/* UC_HOOK_MEM_WRITE, the program counter at the store */
void on_write(void *emulator, int kind, uint64_t address, int size, int64_t value, void *user)
{
    (void)kind;
    (void)size;
    (void)value;
    unicorn_counter *const c = user;
    uint32_t pc = 0;
    (void)c->read(emulator, (int)c->pc, &pc);
    count_store(&c->count, address, pc);
}
