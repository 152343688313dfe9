/* What every model.h shares: status, verdict, and the few compiler differences. */
#ifndef HM_TYPES_H
#define HM_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define HM_STATIC_ASSERT(condition, message) static_assert(condition, message)
#else
#define HM_STATIC_ASSERT(condition, message) _Static_assert(condition, message)
#endif

HM_STATIC_ASSERT(sizeof(int) >= sizeof(int32_t), "hyper-mcu: indices and products need an int of 32 bits");

#if defined(__GNUC__)
#define HM_MUST_CHECK __attribute__((warn_unused_result))
/* Of a portable kernel: in the engine's function, with all others, its loops would have too few registers. */
#define HM_NOINLINE __attribute__((noinline))
/* A word that the compiler knows nothing of, so that it makes no branch of arithmetic with it. */
#define HM_OPAQUE(word) __asm__("" : "+r"(word))
#else
#define HM_MUST_CHECK
#define HM_NOINLINE
#define HM_OPAQUE(word) ((void)(word))
#endif

#if defined(__BYTE_ORDER__) && defined(__ORDER_BIG_ENDIAN__)
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#error "hyper-mcu: a person's check sum is over little-endian bytes; this target is big-endian."
#endif
#endif

typedef enum hm_status {
    HM_OK = 0,
    HM_NULL_POINTER,    /* an argument is NULL */
    HM_NOT_BEGUN,       /* rows or a verdict without hm_begin before them */
    HM_WRONG_ROW_COUNT, /* fewer or more rows than the image has */
    HM_WRONG_ENGINE,    /* the person was made for another architecture or ABI */
    HM_CORRUPT_PERSON,  /* the person's check sum is wrong, or an integer out of bounds */
    HM_WRONG_ANSWER,    /* self-test: not the known answer */
    HM_NOT_A_PERSON,    /* a blob that is no person.bin */
    HM_WRONG_FORMAT,    /* a person.bin of another format */
    HM_WRONG_SIZE,      /* a person.bin that was cut or grew, or whose parts do not fill it */
    HM_MISALIGNED       /* a person.bin that does not begin at a multiple of 4 bytes */
} hm_status;

/* The two decisions differ in every bit, so that a single flipped one is neither. */
#define HM_MATCH UINT32_C(0x5AC369A5)
#define HM_NO_MATCH UINT32_C(0xA53C965A)

HM_STATIC_ASSERT((HM_MATCH ^ HM_NO_MATCH) == UINT32_MAX, "hyper-mcu: a decision is the complement of the other");

typedef struct hm_verdict {
    int32_t logit;     /* INT32_MIN unless the status is HM_OK, and then */
    int32_t threshold; /* INT32_MAX; match: logit >= threshold */
    uint32_t decision; /* HM_MATCH or HM_NO_MATCH */
    bool match;        /* decision == HM_MATCH; false unless the status is HM_OK */
} hm_verdict;

#endif
