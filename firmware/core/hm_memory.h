/* memcpy and memset, all that the engine takes from a C library. Where there is no string.h the port supplies the two. */
#ifndef HM_MEMORY_H
#define HM_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#if defined(__has_include)
#if __has_include(<string.h>)
#include <string.h>
#define HM_HAS_STRING_H 1
#endif
#endif

#ifndef HM_HAS_STRING_H
#ifdef __cplusplus
extern "C" {
#endif
void *memcpy(void *to, const void *from, size_t n);
void *memset(void *to, int value, size_t n);
#ifdef __cplusplus
}
#endif
#endif

/* -ffreestanding makes every memcpy a call, be it of four bytes; the builtins may still become a load and a store. */
#if defined(__GNUC__)
#define HM_MEMCPY __builtin_memcpy
#define HM_MEMSET __builtin_memset
#else
#define HM_MEMCPY memcpy
#define HM_MEMSET memset
#endif

static inline void hm_copy(void *to, const void *from, size_t n)
{
    HM_MEMCPY(to, from, n);
}

static inline void hm_fill(void *to, int value, size_t n)
{
    HM_MEMSET(to, value, n);
}

/* Four bytes from a multiple of 4. */
static inline uint32_t hm_aligned_word(const void *from)
{
    uint32_t word;
#if defined(__GNUC__)
    HM_MEMCPY(&word, __builtin_assume_aligned(from, 4), sizeof word);
#else
    HM_MEMCPY(&word, from, sizeof word);
#endif
    return word;
}

/* Four bytes to a multiple of 4. */
static inline void hm_set_aligned_word(void *to, uint32_t word)
{
#if defined(__GNUC__)
    HM_MEMCPY(__builtin_assume_aligned(to, 4), &word, sizeof word);
#else
    HM_MEMCPY(to, &word, sizeof word);
#endif
}

/* Zeros that stay, where a compiler that sees the whole program could leave out what nobody reads afterwards. */
static inline void hm_wipe(void *what, size_t n)
{
#if defined(__GNUC__)
    HM_MEMSET(what, 0, n);
    __asm__ volatile("" : : "r"(what) : "memory");
#else
    volatile unsigned char *bytes = (volatile unsigned char *)what;
    for (size_t i = 0; i < n; i++) {
        bytes[i] = 0;
    }
#endif
}

#endif
