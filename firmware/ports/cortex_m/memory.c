/* memcpy and memset for targets without a C library, and the names that compilers call them by there.
 * Words where both ends allow it; the barriers keep the compiler from turning a loop into a call of itself. */
#include <stddef.h>
#include <stdint.h>

void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memset(void *to, int value, size_t n);

#define KEEP_LOOP() __asm__ volatile("" ::: "memory")

typedef uint32_t __attribute__((may_alias)) word;

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
    uint8_t *out = to;
    const uint8_t *in = from;
    if ((((uintptr_t)to | (uintptr_t)from) & 3) == 0) {
        for (; n >= 4; n -= 4) {
            *(word *)(void *)out = *(const word *)(const void *)in;
            out += 4;
            in += 4;
            KEEP_LOOP();
        }
    }
    for (; n != 0; n--) {
        *out++ = *in++;
        KEEP_LOOP();
    }
    return to;
}

void *memset(void *to, int value, size_t n)
{
    uint8_t *out = to;
    const uint32_t four = (uint32_t)(value & 0xFF) * 0x01010101U;
    if (((uintptr_t)to & 3) == 0) {
        for (; n >= 4; n -= 4) {
            *(word *)(void *)out = four;
            out += 4;
            KEEP_LOOP();
        }
    }
    for (; n != 0; n--) {
        *out++ = (uint8_t)four;
        KEEP_LOOP();
    }
    return to;
}

#ifdef __ARM_EABI__
/* Arm, "Run-time ABI for the Arm Architecture", 4.3.4: set takes its length before its value. */
void __aeabi_memcpy(void *restrict to, const void *restrict from, size_t n);
void __aeabi_memcpy4(void *restrict to, const void *restrict from, size_t n);
void __aeabi_memcpy8(void *restrict to, const void *restrict from, size_t n);
void __aeabi_memset(void *to, size_t n, int value);
void __aeabi_memset4(void *to, size_t n, int value);
void __aeabi_memset8(void *to, size_t n, int value);
void __aeabi_memclr(void *to, size_t n);
void __aeabi_memclr4(void *to, size_t n);
void __aeabi_memclr8(void *to, size_t n);

void __aeabi_memcpy(void *restrict to, const void *restrict from, size_t n) { (void)memcpy(to, from, n); }
void __aeabi_memcpy4(void *restrict to, const void *restrict from, size_t n) { (void)memcpy(to, from, n); }
void __aeabi_memcpy8(void *restrict to, const void *restrict from, size_t n) { (void)memcpy(to, from, n); }
void __aeabi_memset(void *to, size_t n, int value) { (void)memset(to, value, n); }
void __aeabi_memset4(void *to, size_t n, int value) { (void)memset(to, value, n); }
void __aeabi_memset8(void *to, size_t n, int value) { (void)memset(to, value, n); }
void __aeabi_memclr(void *to, size_t n) { (void)memset(to, 0, n); }
void __aeabi_memclr4(void *to, size_t n) { (void)memset(to, 0, n); }
void __aeabi_memclr8(void *to, size_t n) { (void)memset(to, 0, n); }
#endif
