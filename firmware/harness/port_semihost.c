/* The harness on a core under an emulator or a debugger that serves semihosting: probes are read from the file
 * hm-probes.bin, records go to hm-records.bin. The core's registers are all that it touches. */
#include "core.h"
#include "port.h"

static const uint32_t application_exit = 0x20026;
static const uint32_t painted = 0xA5A5A5A5;

extern uint32_t hm_stack_limit[]; /* the lowest word of the stack, from the linker script */

static uintptr_t open_file(const char *name, uintptr_t length, uintptr_t mode, int code)
{
    const uintptr_t arguments[3] = {(uintptr_t)name, mode, length};
    const uintptr_t handle = semihost(SYS_OPEN, arguments);
    if (handle == UINTPTR_MAX) {
        port_exit(code);
    }
    return handle;
}

/* SYS_READ and SYS_WRITE: the number of bytes *not* read or written. */
static size_t transfer(uint32_t operation, uintptr_t handle, uintptr_t bytes, size_t n)
{
    const uintptr_t arguments[3] = {handle, bytes, n};
    return semihost(operation, arguments);
}

bool port_probe(void *into, size_t n)
{
    static uintptr_t handle = UINTPTR_MAX;
    if (handle == UINTPTR_MAX) {
        handle = open_file("hm-probes.bin", sizeof "hm-probes.bin" - 1, OPEN_READ_BINARY, PORT_BROKEN_INPUT);
    }
    const size_t missing = transfer(SYS_READ, handle, (uintptr_t)into, n);
    if (missing != 0 && missing != n) {
        port_exit(PORT_BROKEN_INPUT);
    }
    return missing == 0;
}

void port_write(const void *bytes, size_t n)
{
    static uintptr_t handle = UINTPTR_MAX;
    if (handle == UINTPTR_MAX) {
        handle = open_file("hm-records.bin", sizeof "hm-records.bin" - 1, OPEN_WRITE_BINARY, PORT_BROKEN_OUTPUT);
    }
    if (transfer(SYS_WRITE, handle, (uintptr_t)bytes, n) != 0) {
        port_exit(PORT_BROKEN_OUTPUT);
    }
}

void port_exit(int code)
{
    const uintptr_t arguments[2] = {application_exit, (uintptr_t)code};
    for (;;) {
        (void)semihost(SYS_EXIT_EXTENDED, arguments);
    }
}

/* Who emulates sees it called, and counts what lies between two calls (codegen/instructions.py). */
__attribute__((noinline)) static void port_mark(void) { __asm__ volatile(""); }

/* Always inlined: the words below the stack pointer are then below the frame of port_call, which has called before. */
__attribute__((always_inline)) static inline void paint(void)
{
    uint32_t *const end = stack_pointer();
    for (uint32_t volatile *word = hm_stack_limit; word < end; word++) {
        *word = painted;
    }
}

__attribute__((noinline)) uint32_t port_call(void (*work)(void))
{
    port_mark();
    port_mark(); /* twice: what a mark itself costs */
    paint();
    port_mark();
    work();
    port_mark();
    const uint32_t volatile *word = hm_stack_limit;
    if (*word != painted) {
        port_exit(PORT_STACK_OVERFLOW);
    }
    while (*word == painted) {
        word++;
    }
    return (uint32_t)((const uint8_t *)stack_pointer() - (const uint8_t *)word);
}
