/* What the harness asks of the place it runs in. A new place is one file with these four functions. */
#ifndef HARNESS_PORT_H
#define HARNESS_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Fills `into` with the next n bytes of the input. False at its end; a part of n bytes ends the program with an error. */
bool port_probe(void *into, size_t n);

/* Appends n bytes to the output, or ends the program with an error. */
void port_write(const void *bytes, size_t n);

/* Runs work() and says how much stack the call touched, its return address included. */
uint32_t port_call(void (*work)(void));

/* Ends the program. Code 0: all records were written. */
_Noreturn void port_exit(int code);

/* Exit codes beside 0. */
enum {
    PORT_BROKEN_INPUT = 80,
    PORT_BROKEN_OUTPUT = 81,
    PORT_FAULT = 82,
    PORT_NO_STACK = 83,
    PORT_STACK_OVERFLOW = 84,
    PORT_REFUSED_BLOB = 85
};

#endif
