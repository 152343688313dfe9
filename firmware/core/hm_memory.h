/* memcpy and memset, all that the engine takes from a C library. Where there is no string.h the port supplies the two. */
#ifndef HM_MEMORY_H
#define HM_MEMORY_H

#include <stddef.h>

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

#endif
