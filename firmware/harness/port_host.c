/* The harness as a program of a POSIX system: probes on stdin, records on stdout. */
#define _POSIX_C_SOURCE 200809L

#include "port.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STACK_BYTES = 256 * 1024, PAINT = 0xA5 };

/* A call runs on this stack in a thread of its own, so that what it touched can be seen afterwards. */
static _Alignas(64) uint8_t stack[STACK_BYTES];
static uint8_t *stack_top; /* where work()'s frames begin */

bool port_probe(void *into, size_t n)
{
    const size_t got = fread(into, 1, n, stdin);
    if (got != 0 && got != n) {
        port_exit(PORT_BROKEN_INPUT);
    }
    return got == n;
}

void port_write(const void *bytes, size_t n)
{
    if (fwrite(bytes, 1, n, stdout) != n) {
        port_exit(PORT_BROKEN_OUTPUT);
    }
}

void port_exit(int code)
{
    if (fflush(stdout) != 0 && code == 0) {
        code = PORT_BROKEN_OUTPUT;
    }
    exit(code);
}

typedef struct job {
    void (*work)(void);
} job;

static void *run(void *argument)
{
    const job *const todo = argument;
    uint8_t here = 0;
    stack_top = &here;
    todo->work();
    return NULL;
}

uint32_t port_call(void (*work)(void))
{
    job todo = {work};
    pthread_attr_t attributes;
    pthread_t thread;
    memset(stack, PAINT, sizeof stack);
    if (pthread_attr_init(&attributes) != 0 || pthread_attr_setstack(&attributes, stack, sizeof stack) != 0 ||
        pthread_create(&thread, &attributes, run, &todo) != 0 || pthread_join(thread, NULL) != 0) {
        port_exit(PORT_NO_STACK);
    }
    size_t untouched = 0;
    while (untouched < sizeof stack && stack[untouched] == PAINT) {
        untouched++;
    }
    return (uint32_t)(stack_top - stack - (ptrdiff_t)untouched);
}
