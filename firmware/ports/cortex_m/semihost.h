/* Semihosting: what an emulator does for a program on a Cortex-M (Arm, "Semihosting for AArch32 and AArch64"). */
#ifndef HM_SEMIHOST_H
#define HM_SEMIHOST_H

#include <stddef.h>
#include <stdint.h>

enum {
    HM_SYS_OPEN = 0x01,
    HM_SYS_WRITE = 0x05,
    HM_SYS_READ = 0x06,
    HM_SYS_SEEK = 0x0A,
    HM_SYS_EXIT_EXTENDED = 0x20
};

/* Modes of fopen, as numbers: rb, r+b, w+b; r and w of the special file ":tt", which is stdin or stdout. */
enum { HM_OPEN_READ = 1, HM_OPEN_UPDATE = 3, HM_OPEN_CREATE = 7, HM_OPEN_STDIN = 0, HM_OPEN_STDOUT = 4 };

#define HM_NO_HANDLE UINT32_MAX

static inline uint32_t hm_semihost(uint32_t operation, const void *arguments)
{
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = arguments;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static inline uint32_t hm_host_open(const char *name, uint32_t length, uint32_t mode)
{
    const uint32_t arguments[3] = {(uint32_t)(uintptr_t)name, mode, length};
    return hm_semihost(HM_SYS_OPEN, arguments);
}

/* How many of n bytes were read. */
static inline uint32_t hm_host_read(uint32_t handle, void *bytes, uint32_t n)
{
    const uint32_t arguments[3] = {handle, (uint32_t)(uintptr_t)bytes, n};
    const uint32_t missing = hm_semihost(HM_SYS_READ, arguments);
    return missing <= n ? n - missing : 0;
}

/* How many of n bytes were written. */
static inline uint32_t hm_host_write(uint32_t handle, const void *bytes, uint32_t n)
{
    const uint32_t arguments[3] = {handle, (uint32_t)(uintptr_t)bytes, n};
    const uint32_t missing = hm_semihost(HM_SYS_WRITE, arguments);
    return missing <= n ? n - missing : 0;
}

static inline uint32_t hm_host_seek(uint32_t handle, uint32_t offset)
{
    const uint32_t arguments[2] = {handle, offset};
    return hm_semihost(HM_SYS_SEEK, arguments);
}

_Noreturn static inline void hm_host_exit(uint32_t code)
{
    const uint32_t arguments[2] = {0x20026, code}; /* ADP_Stopped_ApplicationExit */
    for (;;) {
        (void)hm_semihost(HM_SYS_EXIT_EXTENDED, arguments);
    }
}

#endif
