/* From reset to hm_start on an Xtensa LX106, where an exception ends the program; semihosting, which is Xtensa's own:
 * simcall, with a number in a2 and arguments in a3 to a5; and what Debian's libgcc lacks, as the ESP8266 has it in ROM. */
#include "core.h"

enum { SIM_EXIT = 1, SIM_READ = 3, SIM_WRITE = 4, SIM_OPEN = 5 };
enum { OWNER_READS_AND_WRITES = 0600, WRITE_CREATE_TRUNCATE = 01101 }; /* Linux's numbers */

/* Reset lies lowest in flash; behind it, which VECBASE says, the vectors of exceptions, at multiples of 16. PS 0: no
 * exception is being handled. */
__asm__(".section .vectors, \"ax\"\n"
        " .balign 256\n .global hm_reset\n"
        "hm_reset:\n"
        " j begin\n"
        " .rept 7\n .balign 16\n j trap\n .endr\n"
        " .balign 16\n .literal_position\n"
        "begin:\n"
        " movi a1, hm_stack_top\n movi a2, hm_reset\n wsr.vecbase a2\n"
        " movi a2, 0\n wsr.ps a2\n rsync\n call0 hm_start\n"
        "trap:\n"
        " movi a1, hm_stack_top\n call0 hm_fault\n"
        " .text\n");

static uintptr_t simcall(uint32_t number, uintptr_t first, uintptr_t second, uintptr_t third)
{
    register uint32_t a2 __asm__("a2") = number;
    register uintptr_t a3 __asm__("a3") = first;
    register uintptr_t a4 __asm__("a4") = second;
    register uintptr_t a5 __asm__("a5") = third;
    __asm__ volatile("simcall" : "+r"(a2), "+r"(a3) : "r"(a4), "r"(a5) : "memory");
    return a2;
}

uintptr_t semihost(uint32_t operation, const void *arguments)
{
    const uintptr_t *const given = arguments;
    switch (operation) {
    case SYS_OPEN:
        return simcall(SIM_OPEN, given[0], given[1] == OPEN_READ_BINARY ? 0 : WRITE_CREATE_TRUNCATE,
                       OWNER_READS_AND_WRITES);
    case SYS_READ:
        return given[2] - simcall(SIM_READ, given[0], given[1], given[2]);
    case SYS_WRITE:
        return given[2] - simcall(SIM_WRITE, given[0], given[1], given[2]);
    case SYS_EXIT_EXTENDED:
        return simcall(SIM_EXIT, given[1], 0, 0);
    default:
        return UINTPTR_MAX;
    }
}

uint64_t __muldi3(uint64_t a, uint64_t b);
int32_t __divsi3(int32_t a, int32_t b);

/* By 16 bits: the core keeps 32 bits of a product. */
uint64_t __muldi3(uint64_t a, uint64_t b)
{
    const uint32_t a0 = (uint32_t)a & 0xFFFF;
    const uint32_t a1 = (uint32_t)a >> 16;
    const uint32_t b0 = (uint32_t)b & 0xFFFF;
    const uint32_t b1 = (uint32_t)b >> 16;
    const uint32_t low = a0 * b0;
    const uint32_t cross = a0 * b1;
    const uint32_t other = a1 * b0;
    const uint32_t middle = (low >> 16) + (cross & 0xFFFF) + (other & 0xFFFF);
    const uint32_t high = a1 * b1 + (cross >> 16) + (other >> 16) + (middle >> 16) +
                          (uint32_t)(a >> 32) * (uint32_t)b + (uint32_t)a * (uint32_t)(b >> 32);
    return (uint64_t)high << 32 | middle << 16 | (low & 0xFFFF);
}

int32_t __divsi3(int32_t a, int32_t b)
{
    const uint32_t divisor = b < 0 ? 0 - (uint32_t)b : (uint32_t)b;
    const uint32_t dividend = a < 0 ? 0 - (uint32_t)a : (uint32_t)a;
    uint32_t quotient = 0;
    uint64_t rest = 0;
    for (int bit = 31; bit >= 0; bit--) {
        rest = rest << 1 | (dividend >> bit & 1);
        quotient <<= 1;
        if (rest >= divisor) {
            rest -= divisor;
            quotient |= 1;
        }
    }
    return (int32_t)((a < 0) != (b < 0) ? 0 - quotient : quotient);
}
