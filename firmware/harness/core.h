/* What C cannot say about a core: its stack pointer, and how it calls the emulator or debugger that serves semihosting
 * (Arm, "Semihosting for AArch32 and AArch64"; RISC-V International, "RISC-V Semihosting"). */
#ifndef HARNESS_CORE_H
#define HARNESS_CORE_H

#include <stdint.h>

/* Operations and modes of semihosting. */
enum { SYS_OPEN = 0x01, SYS_WRITE = 0x05, SYS_READ = 0x06, SYS_EXIT_EXTENDED = 0x20 };
enum { OPEN_READ_BINARY = 1, OPEN_WRITE_BINARY = 5 };

#if defined(__riscv)

#define COPY "mv"

static inline uintptr_t semihost(uint32_t operation, const void *arguments)
{
    register uint32_t a0 __asm__("a0") = operation;
    register const void *a1 __asm__("a1") = arguments;
    __asm__ volatile(".balign 16\n .option push\n .option norvc\n" /* all three in one page */
                     " slli zero, zero, 0x1f\n ebreak\n srai zero, zero, 7\n .option pop"
                     : "+r"(a0)
                     : "r"(a1)
                     : "memory");
    return a0;
}

#elif defined(__xtensa__)

#define COPY "mov"

uintptr_t semihost(uint32_t operation, const void *arguments);

#else

#define COPY "mov"

static inline uintptr_t semihost(uint32_t operation, const void *arguments)
{
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = arguments;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

#endif

__attribute__((always_inline)) static inline uint32_t *stack_pointer(void)
{
    uint32_t *sp;
    __asm__ volatile(COPY " %0, sp" : "=r"(sp));
    return sp;
}

/* What a core's start does next, with a stack: .data, .bss, main, the end. */
_Noreturn void hm_start(void);

/* Where any exception of the core goes, on a fresh stack: an overflow of the old one may be the cause. */
_Noreturn void hm_fault(void);

#endif
