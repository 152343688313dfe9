/* hyper-mcu model.h, ABI 3. SHA-256 of what follows this line: f082ee57dea4a63896381f61591e5b4d14bd463ced35b3566cf8c47be2f6f1b9 */
/*
 * alice: a face-verification network for one person. Made by hyper-mcu 0.1.0; do not edit.
 *
 * network     tiny@1, 496 parameters, 4368 multiply-adds
 *             architecture a03afd79cb61bf806c3573d026b4b99891dbc3a41c98e5394f122a6a7f4d0b0e
 * match       logit >= 0 (cosine 0.2500), which stands for
 *             0.1000% false matches and 6.2500% false non-matches on 200 people
 * flash       710 bytes for this person
 * RAM         888 bytes for hm_session
 * backbone    backbone
 *             bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
 * generator   generator
 *             aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
 * integers    3440b26cb80affb2efd393474e87112ce271340ea8e3092917f65c30747c68e4
 *
 * Biometric data: the weights below were computed from a photo of this person's face. Whoever has this file can test
 * any face against it. Store it and pass it on as you would the photo.
 *
 * How to use it, with an aligned crop of 8 x 6 pixels of 3 bytes, RGB, row by row,
 * with the eyes, the nose and the mouth where "Crop" in SPEC.md has them, such as
 * `hyper-mcu verify PHOTO --model model.h --crop face.rgb` writes:
 *
 *     #define HYPER_MCU_IMPLEMENTATION      (in exactly one .c file, before it includes any of these headers)
 *     #include "model.h"
 *     static hm_session session;            (HM_SESSION_BYTES of RAM, which may serve something else in between)
 *     hm_verdict verdict;
 *     if (hm_verify(&session, &HM_PERSON, crop, &verdict) == HM_OK && verdict.decision == HM_MATCH) {
 *         open_the_door();
 *     }
 *
 * (verdict.match says the same as a bool; decision has two values that differ in every bit.)
 *
 * More people of the same network: include their headers side by side, everywhere; they share one engine. A file that
 * is to hold only a person's data defines HYPER_MCU_PERSON_DATA instead. Another network: make it with another prefix.
 */

#ifndef HM_ABI
#define HM_ABI 3
#elif HM_ABI != 3
#error "An earlier header has another hyper-mcu ABI than 3. Regenerate this file and that one with the same hyper-mcu."
#endif

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

/* Which kernels the engine is built with. All compute the same bytes; -DHM_KERNELS=HM_PORTABLE overrides the choice. */
#ifndef HM_KERNELS_H
#define HM_KERNELS_H

#define HM_PORTABLE 1 /* C11, for every target */
#define HM_HELIUM 2   /* the vectors of Armv8.1-M, where the compiler has their header */
#define HM_DSP 3      /* the DSP instructions of Armv7E-M and Armv8-M, by GCC and clang: words at any address, all registers */
#define HM_TILED 4    /* tiles of sums in registers, for cores without packed arithmetic, by GCC and clang */

#ifndef HM_KERNELS
#if defined(__ARM_FEATURE_MVE) && defined(__has_include)
#if __has_include(<arm_mve.h>)
#define HM_KERNELS HM_HELIUM
#endif
#endif
#endif

#ifndef HM_KERNELS
#if defined(__ARM_FEATURE_DSP) && defined(__ARM_FEATURE_UNALIGNED) && defined(__ARM_ARCH_PROFILE) && defined(__GNUC__)
#if __ARM_ARCH_PROFILE == 'M' && !defined(__ARM_RWPI) /* which keeps r9 for itself */
#define HM_KERNELS HM_DSP
#endif
#endif
#endif

#ifndef HM_KERNELS
#if (defined(__riscv_xlen) && __riscv_xlen == 32) || defined(__XTENSA__) || (defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M')
#ifdef __GNUC__
#define HM_KERNELS HM_TILED
#endif
#endif
#endif

#ifndef HM_KERNELS
#define HM_KERNELS HM_PORTABLE
#endif

#if HM_KERNELS + 0 < 1 || HM_KERNELS + 0 > 4
#error "HM_KERNELS is none of HM_PORTABLE, HM_HELIUM, HM_DSP and HM_TILED."
#elif HM_KERNELS + 0 == HM_HELIUM && !defined(__ARM_FEATURE_MVE)
#error "HM_HELIUM is for cores with Helium, and by -mcpu and -mfloat-abi (soft has none) this one has none."
#elif HM_KERNELS + 0 == HM_DSP && !defined(__ARM_FEATURE_DSP)
#error "HM_DSP is for cores with the DSP instructions, and -mcpu says that this one has none."
#endif

#endif

/* ---- tiny@1, architecture a03afd79cb61bf80 ---------------------------------------------------------------- */

#ifdef HM_ARCHITECTURE
#if HM_ARCHITECTURE != 0xA03AFD79U
#error "Headers of two architectures share the prefix hm. Regenerate this file with another prefix."
#endif
#else
#define HM_ARCHITECTURE 0xA03AFD79U /* the first 32 bits of its SHA-256 */

#define HM_INPUT_ROWS 8
#define HM_ROW_BYTES 18
#define HM_INPUT_BYTES 144
#define HM_LAYERS 4 /* stages that HM_TAP reports */
#define HM_MAP_BYTES 848
#define HM_SESSION_BYTES 888 /* RAM of one verification, without stack */
#define HM_WEIGHTS_BYTES 672 /* flash of one person, without the 38 bytes of hm_person and the name */

/* One person's integers: 32-bit ones first, so that nothing is padded. */
typedef struct hm_weights {
    int32_t bias0[6]; /* 128 times the sum of the weights taken off */
    int32_t multiplier0[6];
    int32_t bias1[6];
    int32_t multiplier1[6];
    int32_t bias3[10];
    int32_t multiplier3[10];
    int8_t weight0[162];
    uint8_t shift0[6];
    int8_t weight1[162];
    uint8_t shift1[6];
    int8_t weight3[30];
    uint8_t shift3[10];
    int8_t head[120];
} hm_weights;

typedef struct hm_person {
    uint32_t abi;          /* HM_ABI and */
    uint32_t architecture; /* HM_ARCHITECTURE that it was made for */
    int32_t threshold;     /* match: logit >= threshold */
    uint32_t known_seed;   /* self-test: the image of this seed */
    int32_t known_logit;   /* has this logit */
    uint32_t crc;          /* CRC-32 of the above and the weights */
    const char *name;
    const hm_weights *weights;
} hm_person;

/* Working memory of one verification, the caller's. Nothing is kept in it between verifications. */
typedef struct hm_session {
    union {
        const hm_person *pointer;
        uint64_t slot; /* the same size for every target */
    } person;
    uint64_t norm; /* of the head */
    uint8_t maps[HM_MAP_BYTES]; /* the rows that are still needed, and what a kernel works in */
    uint32_t state;
    int32_t num; /* of the head */
    uint16_t rows[8]; /* how many there were of the image, then of each stage's map */
} hm_session;

HM_STATIC_ASSERT(sizeof(hm_weights) == HM_WEIGHTS_BYTES, "hm_weights has padding");
HM_STATIC_ASSERT(sizeof(hm_session) == HM_SESSION_BYTES, "hm_session has another size than HM_SESSION_BYTES");

#ifdef __cplusplus
extern "C" {
#endif

/* Compares a whole image, HM_INPUT_BYTES of it, with a person. */
HM_MUST_CHECK hm_status hm_verify(hm_session *session, const hm_person *person, const uint8_t *rgb, hm_verdict *verdict);

/* The same row by row, as a camera delivers them: begin, HM_INPUT_ROWS rows of HM_ROW_BYTES (read in place), end. */
HM_MUST_CHECK hm_status hm_begin(hm_session *session, const hm_person *person);
HM_MUST_CHECK hm_status hm_push_row(hm_session *session, const uint8_t *row);
HM_MUST_CHECK hm_status hm_end(hm_session *session, hm_verdict *verdict);

/* Who of n people, all of this network, it is: n verifications, one session. *owner is the one whose logit is furthest
 * above its threshold (of equals the first), and *verdict theirs: a match only if they are the owner by themselves. One
 * person that cannot be used is an error, and then nobody matches and *owner is n. */
HM_MUST_CHECK hm_status hm_identify(hm_session *session, const hm_person *const people[], size_t n, const uint8_t *rgb,
                                    hm_verdict *verdict, size_t *owner);

/* Self-test: verifies a generated image whose logit is known. HM_OK: the engine, the compiler and the data agree. Takes
 * HM_ROW_BYTES of stack more than hm_verify, for a row of that image. */
HM_MUST_CHECK hm_status hm_known_answer(hm_session *session, const hm_person *person);

/* Makes a person of a person.bin that lies in flash or RAM, at a multiple of 4 bytes, and stays there: only pointers to
 * it are kept. All of it is checked first, every integer included. Unless the status is HM_OK, hm_begin refuses *person. */
HM_MUST_CHECK hm_status hm_person_from_blob(const void *blob, size_t size, hm_person *person);

#ifdef __cplusplus
}
#endif
#endif

/* ---- alice ------------------------------------------------------------------------------------------ */

#ifdef HM_PERSON_CHECK_alice
#if HM_PERSON_CHECK_alice != 0x09B0C400U
#error "Two different headers name their person alice. Regenerate one of them under another name."
#endif
#else
#define HM_PERSON_CHECK_alice 0x09B0C400U

#ifdef __cplusplus
extern "C" {
#endif
extern const hm_person hm_person_alice;
#ifdef __cplusplus
}
#endif

/* HM_PERSON is this person while no second header is included. */
#ifdef HM_PERSON
#undef HM_PERSON
#define HM_PERSON hm_several_people_are_included_so_name_one
#else
#define HM_PERSON hm_person_alice
#endif
#endif

/* ==== Implementation ============================================================================================= */

#if defined(HYPER_MCU_IMPLEMENTATION) && !defined(HM_ENGINE_IS_HERE)
#define HM_ENGINE_IS_HERE

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

/* Requantisation: TFLite's two roundings by a 31-bit multiplier and a right shift, without undefined behaviour.
 *
 * high = floor((acc * multiplier + 2^30) / 2^31), then high / 2^shift to nearest, halves away from zero.
 * Takes any acc; needs a multiplier in [2^30, 2^31) and a shift in 0 ... 30, which a person's integers promise.
 * Masks instead of branches: the time tells nothing of the numbers where a product takes the same time for all of them. (A
 * Cortex-M3 does not: 3 to 5 cycles for one of 64 bits.) */
#ifndef HM_REQUANTISE_H
#define HM_REQUANTISE_H

#include <stdint.h>

/* All ones if the condition holds (1), else zero (0). */
static inline uint32_t hm_mask(int condition)
{
    return 0U - (uint32_t)condition;
}

/* Behind a ReLU: q + 128, so 0 ... 255. Below zero neither rounding can reach 1. The upper word of the doubled product is
 * acc * multiplier / 2^31, rounded down; the top bit of the lower word rounds it. rounded is at most 2^31, so the top bit
 * of 255 - rounded is set just where rounded is above 255. */
static inline uint8_t hm_requantise_relu(int32_t acc, int32_t multiplier, uint8_t shift)
{
    const uint64_t doubled = (uint64_t)((uint32_t)acc & ~hm_mask(acc < 0)) * ((uint32_t)multiplier << 1);
    const uint32_t high = (uint32_t)(doubled >> 32) + ((uint32_t)doubled >> 31);
    const uint32_t rounded = (high + ((UINT32_C(1) << shift) >> 1)) >> shift;
    return (uint8_t)(rounded | (0U - ((255U - rounded) >> 31)));
}

/* Without ReLU: q, so -128 ... 127. 2^62 is added and taken off again (as 2^31) to shift a positive number only. Top
 * bits are taken instead of comparisons, of which clang makes branches. */
static inline int8_t hm_requantise_linear(int32_t acc, int32_t multiplier, uint8_t shift)
{
    const int64_t product = (int64_t)acc * multiplier;
    const uint64_t positive = (uint64_t)(product + (INT64_C(1) << 62) + (INT64_C(1) << 30));
    const int32_t high = (int32_t)((int64_t)(positive >> 31) - (INT64_C(1) << 31));
    const uint32_t sign = 0U - ((uint32_t)high >> 31);
    const uint32_t magnitude = ((uint32_t)high ^ sign) - sign;
    const uint32_t rounded = (magnitude + ((UINT32_C(1) << shift) >> 1)) >> shift;
    const uint32_t most = 127 + (sign & 1);
    const uint32_t left = most - rounded;
    const uint32_t clamped = most - (left & ~(0U - (left >> 31)));
    return (int8_t)((int32_t)clamped - (int32_t)(2 * (clamped & sign)));
}

#endif

/* What the convolution kernels share: a stage's integers, the outputs, the shuffle. */
#ifndef HM_CONV_H
#define HM_CONV_H

#include <stddef.h>
#include <stdint.h>

/* One convolution's integers, wherever they lie in flash. Weights: one row of k*k*(channels in) for each output. */
typedef struct hm_conv {
    const int8_t *weight;
    const int32_t *bias;
    const int32_t *multiplier;
    const uint8_t *shift;
} hm_conv;

/* The output byte of channel c from the sum of its products: q + 128 behind a ReLU ... */
static inline uint8_t hm_relu(hm_conv conv, int c, int32_t sum)
{
    return hm_requantise_relu(conv.bias[c] + sum, conv.multiplier[c], conv.shift[c]);
}

/* ... and q itself, as a byte of two's complement, at a linear end. */
static inline uint8_t hm_linear(hm_conv conv, int c, int32_t sum)
{
    return (uint8_t)hm_requantise_linear(conv.bias[c] + sum, conv.multiplier[c], conv.shift[c]);
}

/* Where channel c goes in the (groups, size) -> (size, groups) transposition of a channel shuffle. */
static inline int hm_shuffled(int c, int groups, int size)
{
    return (c % size) * groups + c / size;
}

#endif

/* The dot products of the portable kernels. */
#ifndef HM_DOT_H
#define HM_DOT_H

#include <stdint.h>

/* The sum of u[t] * w[t] over n bytes. */
static inline int32_t hm_dot(const uint8_t *u, const int8_t *w, int n)
{
    int32_t sum = 0;
    for (int t = 0; t < n; t++) {
        sum += u[t] * w[t];
    }
    return sum;
}

/* Four dot products of the same u, with four rows of weights one behind the other: each u is loaded once. */
static inline void hm_dot4(const uint8_t *u, const int8_t *w, int n, int32_t sum[4])
{
    int32_t sum0 = 0;
    int32_t sum1 = 0;
    int32_t sum2 = 0;
    int32_t sum3 = 0;
    for (int t = 0; t < n; t++) {
        const int32_t x = u[t];
        sum0 += x * w[t];
        sum1 += x * w[n + t];
        sum2 += x * w[2 * n + t];
        sum3 += x * w[3 * n + t];
    }
    sum[0] = sum0;
    sum[1] = sum1;
    sum[2] = sum2;
    sum[3] = sum3;
}

#endif

/* What an Add does with bytes: min(a + b, 255), of one pair or of the four that are in two words. */
#ifndef HM_SUM_H
#define HM_SUM_H

#include <stdint.h>

static inline uint8_t hm_sum(uint8_t a, uint8_t b)
{
    const uint32_t sum = (uint32_t)a + b;
    return (uint8_t)(sum | (0U - (sum >> 8)));
}

/* Half of a byte's sum has its top bit set just where the sum is above 255. There a + b, one sum of whole words, has
 * carried to the byte above, which is taken off again, and all bits of the byte are set. */
static inline uint32_t hm_sum4(uint32_t a, uint32_t b)
{
    const uint32_t half = (a & b) + ((a ^ b) >> 1 & 0x7F7F7F7FU);
    const uint32_t above = half & 0x80808080U;
    const uint32_t carried = above << 1;
    return (a + b - carried) | (carried - (above >> 7));
}

#endif

/* Row streaming: how far a stage can go with the rows that are there, and where these lie. */
#ifndef HM_ROWS_H
#define HM_ROWS_H

#include <stddef.h>
#include <stdint.h>

#define HM_NOT_KEPT 0xFFFFU /* the place of a row that nobody goes back to */

/* A stage as far as rows go. Its places, and those of its input, are indices of the first row in the engine's table. */
typedef struct hm_stage {
    uint16_t rows;      /* of its map */
    uint16_t in_rows;   /* of its input */
    uint16_t places;
    uint16_t in_places;
    uint8_t k;
    uint8_t stride;
    uint8_t above; /* rows of padding */
    uint8_t wait;  /* rows before it begins, */
    uint8_t strip; /* and most rows of a call */
} hm_stage;

/* How many rows of a stage `have` rows of its input are enough for. */
static inline int hm_ready(const hm_stage *stage, int have)
{
    if (have >= stage->in_rows) {
        return stage->rows;
    }
    const int below = have + stage->above - stage->k;
    if (below < 0) {
        return 0;
    }
    const int ready = (stage->stride == 2 ? below >> 1 : below) + 1;
    return ready < stage->rows ? ready : stage->rows;
}

/* The n rows, one at least, whose places, in units of 8 bytes, are these. */
static inline void hm_rows_at(uint8_t *rows[], int n, uint8_t *maps, const uint16_t *places)
{
    int i = 0;
    do {
        rows[i] = maps + (size_t)places[i] * 8;
    } while (++i < n);
}

/* The rows under n rows of a stage from y on: NULL where there is padding, `newest` for row newest_y. */
static inline void hm_rows_under(const uint8_t *rows[], const hm_stage *stage, int y, int n, const uint8_t *maps,
                                 const uint16_t *places, int newest_y, const uint8_t *newest)
{
    const int top = y * stage->stride - stage->above;
    const int count = (n - 1) * stage->stride + stage->k;
    int i = 0;
    do {
        const int in = top + i;
        if (in < 0 || in >= stage->in_rows) {
            rows[i] = NULL;
        } else {
            rows[i] = in == newest_y ? newest : maps + (size_t)places[stage->in_places + in] * 8;
        }
    } while (++i < count);
}

#endif

/* CosDot's last step: logit = sign(num) * floor(num^2 * 2^bits / norm), the signed square of a cosine times its scale. */
#ifndef HM_COSDOT_H
#define HM_COSDOT_H

#include <stdint.h>

/* Restoring division of 31 steps without a branch, instead of a library's, which takes longer for some numbers.
 * Needs num^2 * 2^bits < 2^63 and (Cauchy-Schwarz) below 2^31 * norm. norm = 0: INT32_MIN, which is never a match. */
static inline int32_t hm_cosdot(int32_t num, uint64_t norm, int bits)
{
    int32_t sign = 1 - 2 * (num < 0);
    const uint64_t square = (uint64_t)((int64_t)num * num) << bits;
    uint64_t rest = square >> 31;
    uint64_t next = square << 33; /* the 31 low bits, taken from the top one by one */
    uint32_t quotient = 0;
    for (int step = 0; step < 31; step++) {
        rest = (rest << 1) | (next >> 63);
        next <<= 1;
        const uint64_t less = rest - norm;
        uint32_t below = (uint32_t)(less >> 63); /* both are under 2^63 */
        HM_OPAQUE(below);
        rest = less + (norm & (0U - (uint64_t)below));
        quotient = (quotient << 1) | (1 - below);
    }
    int32_t nothing = norm == 0;
    HM_OPAQUE(sign);
    HM_OPAQUE(nothing);
    return (int32_t)quotient * sign * (1 - nothing) + INT32_MIN * nothing;
}

#endif

/* Checks: CRC-32 of a person's bytes, and the image of the self-test. */
#ifndef HM_CHECK_H
#define HM_CHECK_H

#include <stddef.h>
#include <stdint.h>

/* CRC-32 as in zlib and Ethernet, by a table of bytes, four in a turn from a multiple of 4 on. Begin with crc = 0; the
 * result of one part begins the next. Each verification checks a whole person so: the table costs 1 KB of flash and saves
 * half of the time of a smaller one. */
static inline uint32_t hm_crc32(uint32_t crc, const void *data, size_t n)
{
    static const uint32_t table[256] = {
        0x00000000, 0x77073096, 0xEE0E612C, 0x990951BA, 0x076DC419, 0x706AF48F, 0xE963A535, 0x9E6495A3,
        0x0EDB8832, 0x79DCB8A4, 0xE0D5E91E, 0x97D2D988, 0x09B64C2B, 0x7EB17CBD, 0xE7B82D07, 0x90BF1D91,
        0x1DB71064, 0x6AB020F2, 0xF3B97148, 0x84BE41DE, 0x1ADAD47D, 0x6DDDE4EB, 0xF4D4B551, 0x83D385C7,
        0x136C9856, 0x646BA8C0, 0xFD62F97A, 0x8A65C9EC, 0x14015C4F, 0x63066CD9, 0xFA0F3D63, 0x8D080DF5,
        0x3B6E20C8, 0x4C69105E, 0xD56041E4, 0xA2677172, 0x3C03E4D1, 0x4B04D447, 0xD20D85FD, 0xA50AB56B,
        0x35B5A8FA, 0x42B2986C, 0xDBBBC9D6, 0xACBCF940, 0x32D86CE3, 0x45DF5C75, 0xDCD60DCF, 0xABD13D59,
        0x26D930AC, 0x51DE003A, 0xC8D75180, 0xBFD06116, 0x21B4F4B5, 0x56B3C423, 0xCFBA9599, 0xB8BDA50F,
        0x2802B89E, 0x5F058808, 0xC60CD9B2, 0xB10BE924, 0x2F6F7C87, 0x58684C11, 0xC1611DAB, 0xB6662D3D,
        0x76DC4190, 0x01DB7106, 0x98D220BC, 0xEFD5102A, 0x71B18589, 0x06B6B51F, 0x9FBFE4A5, 0xE8B8D433,
        0x7807C9A2, 0x0F00F934, 0x9609A88E, 0xE10E9818, 0x7F6A0DBB, 0x086D3D2D, 0x91646C97, 0xE6635C01,
        0x6B6B51F4, 0x1C6C6162, 0x856530D8, 0xF262004E, 0x6C0695ED, 0x1B01A57B, 0x8208F4C1, 0xF50FC457,
        0x65B0D9C6, 0x12B7E950, 0x8BBEB8EA, 0xFCB9887C, 0x62DD1DDF, 0x15DA2D49, 0x8CD37CF3, 0xFBD44C65,
        0x4DB26158, 0x3AB551CE, 0xA3BC0074, 0xD4BB30E2, 0x4ADFA541, 0x3DD895D7, 0xA4D1C46D, 0xD3D6F4FB,
        0x4369E96A, 0x346ED9FC, 0xAD678846, 0xDA60B8D0, 0x44042D73, 0x33031DE5, 0xAA0A4C5F, 0xDD0D7CC9,
        0x5005713C, 0x270241AA, 0xBE0B1010, 0xC90C2086, 0x5768B525, 0x206F85B3, 0xB966D409, 0xCE61E49F,
        0x5EDEF90E, 0x29D9C998, 0xB0D09822, 0xC7D7A8B4, 0x59B33D17, 0x2EB40D81, 0xB7BD5C3B, 0xC0BA6CAD,
        0xEDB88320, 0x9ABFB3B6, 0x03B6E20C, 0x74B1D29A, 0xEAD54739, 0x9DD277AF, 0x04DB2615, 0x73DC1683,
        0xE3630B12, 0x94643B84, 0x0D6D6A3E, 0x7A6A5AA8, 0xE40ECF0B, 0x9309FF9D, 0x0A00AE27, 0x7D079EB1,
        0xF00F9344, 0x8708A3D2, 0x1E01F268, 0x6906C2FE, 0xF762575D, 0x806567CB, 0x196C3671, 0x6E6B06E7,
        0xFED41B76, 0x89D32BE0, 0x10DA7A5A, 0x67DD4ACC, 0xF9B9DF6F, 0x8EBEEFF9, 0x17B7BE43, 0x60B08ED5,
        0xD6D6A3E8, 0xA1D1937E, 0x38D8C2C4, 0x4FDFF252, 0xD1BB67F1, 0xA6BC5767, 0x3FB506DD, 0x48B2364B,
        0xD80D2BDA, 0xAF0A1B4C, 0x36034AF6, 0x41047A60, 0xDF60EFC3, 0xA867DF55, 0x316E8EEF, 0x4669BE79,
        0xCB61B38C, 0xBC66831A, 0x256FD2A0, 0x5268E236, 0xCC0C7795, 0xBB0B4703, 0x220216B9, 0x5505262F,
        0xC5BA3BBE, 0xB2BD0B28, 0x2BB45A92, 0x5CB36A04, 0xC2D7FFA7, 0xB5D0CF31, 0x2CD99E8B, 0x5BDEAE1D,
        0x9B64C2B0, 0xEC63F226, 0x756AA39C, 0x026D930A, 0x9C0906A9, 0xEB0E363F, 0x72076785, 0x05005713,
        0x95BF4A82, 0xE2B87A14, 0x7BB12BAE, 0x0CB61B38, 0x92D28E9B, 0xE5D5BE0D, 0x7CDCEFB7, 0x0BDBDF21,
        0x86D3D2D4, 0xF1D4E242, 0x68DDB3F8, 0x1FDA836E, 0x81BE16CD, 0xF6B9265B, 0x6FB077E1, 0x18B74777,
        0x88085AE6, 0xFF0F6A70, 0x66063BCA, 0x11010B5C, 0x8F659EFF, 0xF862AE69, 0x616BFFD3, 0x166CCF45,
        0xA00AE278, 0xD70DD2EE, 0x4E048354, 0x3903B3C2, 0xA7672661, 0xD06016F7, 0x4969474D, 0x3E6E77DB,
        0xAED16A4A, 0xD9D65ADC, 0x40DF0B66, 0x37D83BF0, 0xA9BCAE53, 0xDEBB9EC5, 0x47B2CF7F, 0x30B5FFE9,
        0xBDBDF21C, 0xCABAC28A, 0x53B39330, 0x24B4A3A6, 0xBAD03605, 0xCDD70693, 0x54DE5729, 0x23D967BF,
        0xB3667A2E, 0xC4614AB8, 0x5D681B02, 0x2A6F2B94, 0xB40BBE37, 0xC30C8EA1, 0x5A05DF1B, 0x2D02EF8D,
    };
    const uint8_t *bytes = (const uint8_t *)data;
    crc = ~crc;
    if (((uintptr_t)bytes & 3) == 0) {
        for (const uint8_t *end = bytes + n / 4 * 4; bytes != end; bytes += 4) {
            crc ^= hm_aligned_word(bytes);
            crc = table[crc & 0xFF] ^ (crc >> 8);
            crc = table[crc & 0xFF] ^ (crc >> 8);
            crc = table[crc & 0xFF] ^ (crc >> 8);
            crc = table[crc & 0xFF] ^ (crc >> 8);
        }
        n %= 4;
    }
    for (; n > 0; n--, bytes++) {
        crc = table[(crc ^ *bytes) & 0xFF] ^ (crc >> 8);
    }
    return ~crc;
}

/* The next n bytes of the self-test's image: the top byte of each xorshift32 state (Marsaglia 2003). Returns the state. */
static inline uint32_t hm_random_bytes(uint32_t state, uint8_t *bytes, int n)
{
    for (int i = 0; i < n; i++) {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        bytes[i] = (uint8_t)(state >> 24);
    }
    return state;
}

#endif

/* person.bin: whether a blob is whole, and whether its integers keep the arithmetic in bounds. SPEC.md has its bytes. */
#ifndef HM_BLOB_H
#define HM_BLOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Offsets, and the sizes of what is always there: the head, and the check sum at the end. */
enum {
    HM_BLOB_FORMAT = 4,
    HM_BLOB_TOTAL = 8,
    HM_BLOB_LAYOUT = 12,
    HM_BLOB_WEIGHTS_BYTES = 16,
    HM_BLOB_FACTS_BYTES = 20,
    HM_BLOB_PERSON = 24,
    HM_BLOB_ARCHITECTURE = 48,
    HM_BLOB_NAME = 80,
    HM_BLOB_HEAD = 128,
    HM_BLOB_CRC = 4
};

/* The little-endian number at any address. */
static inline uint32_t hm_word(const uint8_t *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static inline bool hm_equal(const uint8_t *a, const uint8_t *b, size_t n)
{
    unsigned difference = 0;
    for (size_t i = 0; i < n; i++) {
        difference |= (unsigned)(a[i] ^ b[i]);
    }
    return difference == 0;
}

/* Whether n bytes are a C identifier with zeros behind it, one at least. */
static inline bool hm_is_name(const uint8_t *bytes, int n)
{
    int length = 0;
    for (; length < n && bytes[length] != 0; length++) {
        const int c = bytes[length];
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && (length == 0 || c < '0' || c > '9')) {
            return false;
        }
    }
    for (int i = length; i < n; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    return length > 0 && length < n;
}

/* Whether a blob is whole, undamaged and of this format. Nothing outside its `size` bytes is read. */
static inline hm_status hm_check_blob(const uint8_t *blob, size_t size)
{
    static const uint8_t magic[4] = {'H', 'M', 'p', 'b'};
    if (size < HM_BLOB_HEAD + HM_BLOB_CRC || !hm_equal(blob, magic, sizeof magic)) {
        return HM_NOT_A_PERSON;
    }
    if (hm_word(blob + HM_BLOB_FORMAT) != 1 || hm_word(blob + HM_BLOB_LAYOUT) != 1) {
        return HM_WRONG_FORMAT;
    }
    if (hm_word(blob + HM_BLOB_TOTAL) != size) {
        return HM_WRONG_SIZE;
    }
    const size_t rest = size - HM_BLOB_HEAD - HM_BLOB_CRC;
    const uint32_t weights = hm_word(blob + HM_BLOB_WEIGHTS_BYTES);
    if (weights > rest || hm_word(blob + HM_BLOB_FACTS_BYTES) != rest - weights) {
        return HM_WRONG_SIZE;
    }
    if (hm_crc32(0, blob, size - HM_BLOB_CRC) != hm_word(blob + size - HM_BLOB_CRC)) {
        return HM_CORRUPT_PERSON;
    }
    return hm_is_name(blob + HM_BLOB_NAME, HM_BLOB_HEAD - HM_BLOB_NAME) ? HM_OK : HM_CORRUPT_PERSON;
}

/* Whether |bias| + peak * the sum of |w| stays below 2^bits, and no w is -128. The bias has `zero` times the sum of w
 * taken off. */
static inline bool hm_sum_holds(const int8_t *w, int n, int32_t bias, int zero, int peak, int bits)
{
    int32_t sum = 0;
    int32_t magnitude = 0;
    for (int t = 0; t < n; t++) {
        if (w[t] == -128) {
            return false;
        }
        sum += w[t];
        magnitude += w[t] < 0 ? -w[t] : w[t];
    }
    const int64_t whole = bias + (int64_t)zero * sum;
    return (whole < 0 ? -whole : whole) + (int64_t)peak * magnitude < INT64_C(1) << bits;
}

/* Whether a convolution's integers are what hm_requantise needs, for every image. */
static inline bool hm_conv_holds(hm_conv conv, int channels, int taps, int zero)
{
    for (int c = 0; c < channels; c++) {
        if (conv.multiplier[c] < INT32_C(1) << 30 || conv.shift[c] > 30) {
            return false;
        }
        if (!hm_sum_holds(conv.weight + c * taps, taps, conv.bias[c], zero, 256, 30)) {
            return false;
        }
    }
    return true;
}

#endif

/* The test hook: HM_TAP(layer, row, bytes, n) sees each row of each stage as canonical int8, as soon as it is there. */
#ifndef HM_TAP_H
#define HM_TAP_H

#include <stdint.h>

/* Shows n rows of `bytes` bytes each. Maps are kept as q + 128, so the top bit is turned for the hook (flip = 128; 0 at
 * a linear end) and turned back. */
static inline void hm_report(int layer, int row, int n, uint8_t *const rows[], int bytes, uint8_t flip)
{
#ifdef HM_TAP
    for (int y = 0; y < n; y++) {
        for (int i = 0; i < bytes; i++) {
            rows[y][i] = (uint8_t)(rows[y][i] ^ flip);
        }
        HM_TAP(layer, row + y, (const int8_t *)rows[y], bytes);
        for (int i = 0; i < bytes; i++) {
            rows[y][i] = (uint8_t)(rows[y][i] ^ flip);
        }
    }
#else
    (void)layer;
    (void)row;
    (void)n;
    (void)rows;
    (void)bytes;
    (void)flip;
#endif
}

#endif

/* ---- The kernels: some rows of a stage's map at a time ---------------------------------------------------------- */

/* Maps hold q + 128 as uint8_t, so padding is 0 (the linear end holds q). The image's pixels enter as bytes x: its
 * padding is 128, and 128 times the sum of the weights is already off the first bias, which makes them x - 128. */

#if HM_KERNELS == HM_PORTABLE

/* Stage 0: 3x3, stride 2, 8x6x3 to 4x3x6. */
HM_NOINLINE
static void hm_stage0_rows(hm_conv conv, const uint8_t *const *rows, uint8_t *const *out, int n, void *scratch)
{
    enum { k = 3, stride = 2, pad_left = 0, in_w = 6, in_c = 3 };
    enum { out_w = 3, out_c = 6, taps = 27 };
    uint8_t *const patch = (uint8_t *)scratch; /* what is under the kernel, padding included: taps bytes */

    for (int y = 0; y < n; y++, rows += stride) {
        uint8_t *to = out[y];
        for (int x = 0; x < out_w; x++, to += out_c) {
            const int left = x * stride - pad_left;
            const int from = left < 0 ? -left : 0;
            const int end = left + k > in_w ? in_w - left : k;
            if (end - from < k || rows[0] == NULL || rows[k - 1] == NULL) {
                hm_fill(patch, 128, taps); /* the byte of a pixel of value 0 */
            }
            for (int ky = 0; ky < k; ky++) {
                if (rows[ky] != NULL) {
                    hm_copy(patch + (ky * k + from) * in_c, rows[ky] + (left + from) * in_c, (size_t)(end - from) * in_c);
                }
            }
            for (int c = 0; c < 4; c += 4) {
                int32_t sum[4];
                hm_dot4(patch, conv.weight + c * taps, taps, sum);
                for (int i = 0; i < 4; i++) {
                    to[c + i] = hm_relu(conv, c + i, sum[i]);
                }
            }
            for (int c = 4; c < out_c; c++) {
                to[c] = hm_relu(conv, c, hm_dot(patch, conv.weight + c * taps, taps));
            }
        }
    }
}

/* Stage 1: 3x3, 4x3x6 to 4x3x6 in 2 groups of 3 to 3. */
HM_NOINLINE
static void hm_stage1_rows(hm_conv conv, const uint8_t *const *rows, uint8_t *const *out, int n, void *scratch)
{
    enum { k = 3, stride = 1, pad_left = 1, in_w = 3, in_c = 6 };
    enum { out_w = 3, out_c = 6 };
    enum { groups = 2, in_g = 3, out_g = 3, taps = 27 };
    uint8_t *const patch = (uint8_t *)scratch; /* one group's channels under the kernel, padding included: taps bytes */

    for (int y = 0; y < n; y++, rows += stride) {
        uint8_t *to = out[y];
        for (int x = 0; x < out_w; x++, to += out_c) {
            const int left = x * stride - pad_left;
            const int from = left < 0 ? -left : 0;
            const int end = left + k > in_w ? in_w - left : k;
            if (end - from < k || rows[0] == NULL || rows[k - 1] == NULL) {
                hm_fill(patch, 0, taps);
            }
            for (int g = 0; g < groups; g++) {
                for (int ky = 0; ky < k; ky++) {
                    for (int kx = from; kx < end && rows[ky] != NULL; kx++) {
                        hm_copy(patch + (ky * k + kx) * in_g, rows[ky] + (left + kx) * in_c + g * in_g, in_g);
                    }
                }
                for (int c = g * out_g; c < (g + 1) * out_g; c++) {
                    to[c] = hm_relu(conv, c, hm_dot(patch, conv.weight + c * taps, taps));
                }
            }
        }
    }
}

/* Stage 2: sum of stages 0 and 1, 4x3x6, shuffled in 2 groups. */
HM_NOINLINE
static void hm_stage2_rows(const uint8_t *const *a, uint8_t *const *b, uint8_t *const *out, int n)
{
    enum { width = 3, channels = 6, groups = 2 };

    for (int y = 0; y < n; y++) {
        for (int g = 0, from = 0; g < groups; g++) {
            for (int to = g; to < channels; to += groups, from += 1) {
                const uint8_t *p = a[y] + from;
                const uint8_t *q = b[y] + from;
                uint8_t *o = out[y] + to;
                for (int x = 0; x < width; x++, p += channels, q += channels, o += channels) {
                    *o = hm_sum(*p, *q);
                }
            }
        }
    }
}

/* Stage 3: 1x1, 4x3x6 to 4x3x10 in 2 groups of 3 to 5, linear. */
HM_NOINLINE
static void hm_stage3_rows(hm_conv conv, const uint8_t *const *rows, uint8_t *const *out, int n, void *scratch)
{
    enum { in_c = 6, out_w = 3, out_c = 10, stride = 1 };
    enum { groups = 2, in_g = 3, out_g = 5 };
    (void)scratch;

    for (int y = 0; y < n; y++, rows += stride) {
        const uint8_t *in = rows[0];
        uint8_t *to = out[y];
        for (int x = 0; x < out_w; x++, in += stride * in_c, to += out_c) {
            for (int g = 0; g < groups; g++) {
                for (int c = g * out_g; c < g * out_g + 4; c += 4) {
                    int32_t sum[4];
                    hm_dot4(in + g * in_g, conv.weight + c * in_g, in_g, sum);
                    for (int i = 0; i < 4; i++) {
                        to[c + i] = hm_linear(conv, c + i, sum[i]);
                    }
                }
                for (int c = g * out_g + 4; c < (g + 1) * out_g; c++) {
                    to[c] = hm_linear(conv, c, hm_dot(in + g * in_g, conv.weight + c * in_g, in_g));
                }
            }
        }
    }
}

#elif HM_KERNELS == HM_DSP
/* The DSP instructions of Armv7E-M and Armv8-M: two products an instruction.
 *
 * SMLAD multiplies pairs of 16-bit numbers, so a strip's input and one or two channels' weights are widened to words of
 * two in scratch, and used from there many times. A word holds two channels of a pixel: 0 and 2 of four neighbouring
 * ones, then 1 and 3, as UXTB16 and SXTB16 give them. What a channel needs to become a byte lies behind its weights: when
 * the products are summed, the pointer to the weights has arrived there. The blocks of outputs follow a list, so that a
 * row whose width is no multiple of a block costs no code. */
#ifndef HM_DSP_H
#define HM_DSP_H

#include <stddef.h>
#include <stdint.h>

/* A convolution as these functions see it: see Kernel; pitch: words of a row of input in scratch; block: outputs at a time,
 * blocks: of a row. */
typedef struct hm_dsp {
    uint16_t stride;
    uint16_t left;
    uint16_t in_w;
    uint16_t in_c;
    uint16_t in_g;
    uint16_t out_w;
    uint16_t out_c;
    uint16_t out_g;
    uint16_t shuffle;
    uint16_t pitch;
    uint16_t block;
    uint16_t blocks;
    uint16_t padding;
} hm_dsp;

/* What turns a channel's sums into bytes: SMMLAR(a, multiplier, a) is the rounding doubling high product. */
typedef struct hm_dsp_scale {
    int32_t multiplier; /* doubled, less 2^32 */
    int32_t half;       /* of 2^shift */
    int32_t shift;
} hm_dsp_scale;

static inline hm_dsp_scale hm_dsp_scale_of(const hm_conv *conv, int c)
{
    const uint32_t shift = conv->shift[c];
    const uint32_t half = (UINT32_C(1) << shift) >> 1;
    const hm_dsp_scale scale = {(int32_t)((uint32_t)conv->multiplier[c] << 1), (int32_t)half, (int32_t)shift};
    return scale;
}

/* hm_shuffled of the next channel. */
static inline int hm_dsp_next(const hm_dsp *s, int place)
{
    const int next = place + s->shuffle;
    return next < s->out_c ? next : next - s->out_c + 1;
}

/* hm_sum4, in one instruction. */
static inline uint32_t hm_dsp_sum4(uint32_t a, uint32_t b)
{
    uint32_t sum;
    __asm__("uqadd8 %0, %1, %2" : "=r"(sum) : "r"(a), "r"(b));
    return sum;
}

/* Behind a ReLU: both roundings, cut to a byte; r4, r5 and r6 hold a hm_dsp_scale. Below zero neither can reach 1. */
#define HM_DSP_BYTE(a)                                                                                                 \
    "smmlar " a ", " a ", r4, " a "\n\t"                                                                               \
    "add " a ", " a ", r5\n\t"                                                                                         \
    "asr " a ", " a ", r6\n\t"                                                                                         \
    "usat " a ", #8, " a "\n\t"

/* The same at a linear end: halves away from zero, so one less before the shift if negative and shifted at all. */
#define HM_DSP_SIGNED(a)                                                                                               \
    "smmlar " a ", " a ", r4, " a "\n\t"                                                                               \
    "rsb r10, r6, #0\n\t"                                                                                              \
    "and r10, r10, " a "\n\t"                                                                                          \
    "add " a ", " a ", r10, asr #31\n\t"                                                                               \
    "add " a ", " a ", r5\n\t"                                                                                         \
    "asr " a ", " a ", r6\n\t"                                                                                         \
    "ssat " a ", #8, " a "\n\t"

#endif

/* 3x3 convolutions over groups of four channels by the DSP instructions: some neighbouring outputs of one channel, a
 * block, at a time. hm_dsp_image.h has the same blocks. */
#ifndef HM_DSP_3X3_H
#define HM_DSP_3X3_H

/* Where the input of the next block lies, NULL behind the last, and where this one's pixels go. */
typedef struct hm_dsp_block {
    const uint32_t *next;
    uint8_t *to;
} hm_dsp_block;

/* What lies behind the weights of a channel. */
typedef struct hm_dsp_channel {
    hm_dsp_scale scale;
    uint32_t place;   /* of its bytes in a pixel */
    uint32_t pixel;   /* bytes from pixel to pixel */
    uint32_t pixels3; /* and over three */
    int32_t bias;
    uint32_t kept; /* r7 meanwhile */
    const hm_dsp_block *block;
} hm_dsp_channel;

HM_STATIC_ASSERT(sizeof(void *) != 4 || (offsetof(hm_dsp_channel, bias) == 24 && offsetof(hm_dsp_channel, kept) == 28 &&
                                         offsetof(hm_dsp_channel, block) == 32 && sizeof(hm_dsp_channel) == 36),
                 "the code for a channel and kernels/dsp.py expect another hm_dsp_channel");

/* The blocks of n rows from their input on: `row` words for a row of outputs, `step` for one of them. Where a row is no
 * whole number of blocks wide, its last one computes some outputs again. */
static inline void hm_dsp_blocks(const hm_dsp *s, hm_dsp_block *block, const uint32_t *x, int row, int step,
                                 uint8_t *const *out, int n)
{
    const int width = s->block;
    const int last = s->out_w - width;
    for (int y = 0; y < n; y++, x += row) {
        for (int now = 0;; block++) {
            const int next = now + width < last ? now + width : last;
            block->to = out[y] + now * s->out_c;
            block->next = x + next * step;
            if (now == last) {
                block->next = x + row;
                break;
            }
            now = next;
        }
        block++;
    }
    block[-1].next = NULL;
}

/* What channel c, which goes to `place`, is turned into bytes by; for all of them the pixel is the same. */
static inline void hm_dsp_begin(hm_dsp_channel *channel, const hm_conv *conv, int c, int place, const hm_dsp_block *blocks)
{
    channel->scale = hm_dsp_scale_of(conv, c);
    channel->place = (uint32_t)place;
    channel->bias = conv->bias[c];
    channel->block = blocks;
}

/* The code for a channel needs every register: r0 for the weights, r1 for the input, r4 to r6 (and more) for what is loaded
 * of the weights, the others for input and sums. r7 may be the frame pointer, which no compiler gives away; it is kept
 * behind the weights meanwhile. bytes: of the weights. */
#define HM_DSP_CHANNEL(name, bytes, text)                                                                              \
    __attribute__((noinline, unused)) static void name(const uint32_t *w, const uint32_t *x)                           \
    {                                                                                                                  \
        register const uint32_t *r0 __asm__("r0") = w;                                                                 \
        register const uint32_t *r1 __asm__("r1") = x;                                                                 \
        __asm__ volatile("str r7, [r0, %[kept]]\n"                                                                     \
                         "1:\n\t" text "sub r0, r0, %[size]\n\t"                                                       \
                         "cmp r1, #0\n\t"                                                                              \
                         "bne 1b\n\t"                                                                                  \
                         "ldr r7, [r0, %[kept]]"                                                                       \
                         : "+r"(r0), "+r"(r1)                                                                          \
                         : [size] "i"(bytes), [bias] "i"((bytes) + 24), [kept] "i"((bytes) + 28)                       \
                         : "r2", "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");       \
    }

/* Behind the weights: the sums in r2, r3, lr and r7 to the bytes of a block, and on to the next one. */
#define HM_DSP_STORE4                                                                                                  \
    "ldr r11, [r0, #32]\n\t"                                                                                           \
    "ldm r11!, {r1, r12}\n\t"                                                                                          \
    "str r11, [r0, #32]\n\t"                                                                                           \
    "ldm r0, {r4, r5, r6, r8, r9, r10}\n\t"                                                                            \
    "add r8, r8, r12\n\t" HM_DSP_BYTE("r2") "strb r2, [r8]\n\t" HM_DSP_BYTE("r3") "strb r3, [r8, r9]\n\t"              \
    HM_DSP_BYTE("lr") "strb lr, [r8, r9, lsl #1]\n\t" HM_DSP_BYTE("r7") "strb r7, [r8, r10]\n\t"

/* The same for the sums in r2, r3, r10, r11, r12, lr and r7. */
#define HM_DSP_STORE7                                                                                                  \
    "ldr r4, [r0, #32]\n\t"                                                                                            \
    "ldm r4!, {r1, r5}\n\t"                                                                                            \
    "str r4, [r0, #32]\n\t"                                                                                            \
    "ldrd r8, r9, [r0, #12]\n\t"                                                                                       \
    "add r8, r8, r5\n\t"                                                                                               \
    "ldm r0, {r4, r5, r6}\n\t" HM_DSP_BYTE("r2") "strb r2, [r8]\n\t" HM_DSP_BYTE("r3") "strb r3, [r8, r9]\n\t"         \
    HM_DSP_BYTE("r10") "strb r10, [r8, r9, lsl #1]\n\t"                                                                \
    "add r8, r8, r9, lsl #2\n\t" HM_DSP_BYTE("r12") "strb r12, [r8]\n\t" HM_DSP_BYTE("lr") "strb lr, [r8, r9]\n\t"     \
    HM_DSP_BYTE("r7") "strb r7, [r8, r9, lsl #1]\n\t"                                                                  \
    "sub r8, r8, r9\n\t" HM_DSP_BYTE("r11") "strb r11, [r8]\n\t"

/* ---- 3x3 over groups of four channels: two planes, a pair of channels each ---- */

/* Three weights and the input of seven neighbouring outputs, from neighbouring columns ... */
#define HM_DSP_PLANE7(s0, s1, s2, s3, s4, s5)                                                                          \
    "ldm r1!, {r4, r9}\n\t"                                                                                            \
    "smlad r2, r4, r5, " s0 "\n\t"                                                                                     \
    "smlad r2, r9, r6, r2\n\t"                                                                                         \
    "smlad r3, r9, r5, " s1 "\n\t"                                                                                     \
    "ldm r1!, {r4, r9}\n\t"                                                                                            \
    "smlad r2, r4, r8, r2\n\t"                                                                                         \
    "smlad r3, r4, r6, r3\n\t"                                                                                         \
    "smlad r10, r4, r5, " s2 "\n\t"                                                                                    \
    "smlad r3, r9, r8, r3\n\t"                                                                                         \
    "smlad r10, r9, r6, r10\n\t"                                                                                       \
    "smlad r11, r9, r5, " s3 "\n\t"                                                                                    \
    "ldm r1!, {r4, r9}\n\t"                                                                                            \
    "smlad r10, r4, r8, r10\n\t"                                                                                       \
    "smlad r11, r4, r6, r11\n\t"                                                                                       \
    "smlad r12, r4, r5, " s4 "\n\t"                                                                                    \
    "smlad r11, r9, r8, r11\n\t"                                                                                       \
    "smlad r12, r9, r6, r12\n\t"                                                                                       \
    "smlad lr, r9, r5, " s5 "\n\t"                                                                                     \
    "ldm r1!, {r4, r9}\n\t"                                                                                            \
    "smlad r12, r4, r8, r12\n\t"                                                                                       \
    "smlad lr, r4, r6, lr\n\t"                                                                                         \
    "smlad r7, r4, r5, r7\n\t"                                                                                         \
    "smlad lr, r9, r8, lr\n\t"                                                                                         \
    "smlad r7, r9, r6, r7\n\t"                                                                                         \
    "ldr r4, [r1], #4\n\t"                                                                                             \
    "smlad r7, r4, r8, r7\n\t"

/* ... and from every second one, two at a time: from the one before comes its last product. */
#define HM_DSP_TWO(before, sum, start)                                                                                 \
    "ldm r1!, {r4, r9}\n\t"                                                                                            \
    "smlad " before ", r4, r8, " before "\n\t"                                                                         \
    "smlad " sum ", r4, r5, " start "\n\t"                                                                             \
    "smlad " sum ", r9, r6, " sum "\n\t"
#define HM_DSP_PLANE7_2(s0, s1, s2, s3, s4, s5)                                                                        \
    "ldm r1!, {r4, r9}\n\t"                                                                                            \
    "smlad r2, r4, r5, " s0 "\n\t"                                                                                     \
    "smlad r2, r9, r6, r2\n\t" HM_DSP_TWO("r2", "r3", s1) HM_DSP_TWO("r3", "r10", s2) HM_DSP_TWO("r10", "r11", s3)     \
    HM_DSP_TWO("r11", "r12", s4) HM_DSP_TWO("r12", "lr", s5) HM_DSP_TWO("lr", "r7", "r7")                              \
    "ldr r4, [r1], #4\n\t"                                                                                             \
    "smlad r7, r4, r8, r7\n\t"

/* The same for four outputs. */
#define HM_DSP_PLANE4_2(s0, s1, s2)                                                                                    \
    "ldm r1!, {r4, r9, r10}\n\t"                                                                                       \
    "smlad r2, r4, r5, " s0 "\n\t"                                                                                     \
    "smlad r2, r9, r6, r2\n\t"                                                                                         \
    "smlad r2, r10, r8, r2\n\t"                                                                                        \
    "smlad r3, r10, r5, " s1 "\n\t"                                                                                    \
    "ldm r1!, {r4, r9, r10}\n\t"                                                                                       \
    "smlad r3, r4, r6, r3\n\t"                                                                                         \
    "smlad r3, r9, r8, r3\n\t"                                                                                         \
    "smlad lr, r9, r5, " s2 "\n\t"                                                                                     \
    "smlad lr, r10, r6, lr\n\t"                                                                                        \
    "ldm r1!, {r4, r9, r10}\n\t"                                                                                       \
    "smlad lr, r4, r8, lr\n\t"                                                                                         \
    "smlad r7, r4, r5, r7\n\t"                                                                                         \
    "smlad r7, r9, r6, r7\n\t"                                                                                         \
    "smlad r7, r10, r8, r7\n\t"

/* Six planes, 23 words of weights: three for the first one; then the way from the end of one to the next goes before. */
#define HM_DSP_PLANES(first, next)                                                                                     \
    "ldr r7, [r0, %[bias]]\n\t"                                                                                        \
    "ldm r0!, {r5, r6, r8}\n\t" first ".rept 5\n\t"                                                                    \
    "ldm r0!, {r4, r5, r6, r8}\n\t"                                                                                    \
    "add r1, r1, r4\n\t" next ".endr\n\t"
#define HM_DSP_WIDE 23 /* words */
#define HM_DSP_SEVEN(plane)                                                                                            \
    HM_DSP_PLANES(plane("r7", "r7", "r7", "r7", "r7", "r7"), plane("r2", "r3", "r10", "r11", "r12", "lr")) HM_DSP_STORE7
#define HM_DSP_FOUR(plane) HM_DSP_PLANES(plane("r7", "r7", "r7"), plane("r2", "r3", "lr")) HM_DSP_STORE4
HM_DSP_CHANNEL(hm_dsp_seven1, 4 * HM_DSP_WIDE, HM_DSP_SEVEN(HM_DSP_PLANE7))
HM_DSP_CHANNEL(hm_dsp_seven2, 4 * HM_DSP_WIDE, HM_DSP_SEVEN(HM_DSP_PLANE7_2))
HM_DSP_CHANNEL(hm_dsp_four2, 4 * HM_DSP_WIDE, HM_DSP_FOUR(HM_DSP_PLANE4_2))

/* The padding of n rows of planes: for all groups the same. */
static inline void hm_dsp_padding(const hm_dsp *s, const uint8_t *const *rows, int n, uint32_t *p)
{
    const int pitch = s->pitch;
    for (const uint8_t *const *end = rows + n; rows < end; rows++, p += 2 * pitch) {
        if (*rows == NULL) {
            hm_fill(p, 0, 8 * (size_t)pitch);
            continue;
        }
        for (int x = 0; x < s->left; x++) {
            p[x] = p[x + pitch] = 0;
        }
        for (int x = s->left + s->in_w; x < pitch; x++) {
            p[x] = p[x + pitch] = 0;
        }
    }
}

/* Four channels of n rows as planes, without padding: of each row channels 0 and 2, then 1 and 3. */
static inline void hm_dsp_planes(const hm_dsp *s, const uint8_t *const *rows, int n, int first, uint32_t *p)
{
    const int in_c = s->in_c;
    const int pitch = s->pitch;
    const int whole = s->in_w / 4;
    const int again = -s->in_w & 3; /* pixels of the last four that are not new */
    for (p += s->left; n > 0; n--, rows++, p += 2 * pitch) {
        if (*rows == NULL) {
            continue;
        }
        const uint8_t *const row = *rows + first;
        uint32_t *const p2 = p + pitch;
        /* registers by name, as GCC finds none without optimisation and with a floating-point unit */
        register const uint8_t *from __asm__("r0") = row;
        register uint32_t *to __asm__("r1") = p;
        register uint32_t *to2 __asm__("r2") = p2;
        register int fours __asm__("r12") = whole;
        for (int back = again;; back = 0) {
            register const int step __asm__("lr") = in_c;
            __asm__ volatile("1: ldr r8, [%[from]]\n\t"
                             "ldr r9, [%[from], %[in_c]]\n\t"
                             "add %[from], %[from], %[in_c], lsl #1\n\t"
                             "ldr r10, [%[from]]\n\t"
                             "ldr r11, [%[from], %[in_c]]\n\t"
                             "add %[from], %[from], %[in_c], lsl #1\n\t"
                             "uxtb16 r3, r8\n\t"
                             "uxtb16 r4, r9\n\t"
                             "uxtb16 r5, r10\n\t"
                             "uxtb16 r6, r11\n\t"
                             "stm %[to]!, {r3, r4, r5, r6}\n\t"
                             "uxtb16 r8, r8, ror #8\n\t"
                             "uxtb16 r9, r9, ror #8\n\t"
                             "uxtb16 r10, r10, ror #8\n\t"
                             "uxtb16 r11, r11, ror #8\n\t"
                             "stm %[to2]!, {r8, r9, r10, r11}\n\t"
                             "subs %[fours], #1\n\t"
                             "bne 1b"
                             : [from] "+&r"(from), [to] "+&r"(to), [to2] "+&r"(to2), [fours] "+&r"(fours)
                             : [in_c] "r"(step)
                             : "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r11", "cc", "memory");
            if (back == 0) {
                break;
            }
            from -= back * in_c;
            to -= back;
            to2 -= back;
            fours = 1;
        }
    }
}

/* What lies behind the weights of a channel over four, and where the integers of the next one lie. next: bytes from what
 * has been read of a plane to the next one; next2: a copy, as two registers of it are stored with the weights. */
typedef struct hm_dsp_walk {
    hm_dsp_channel channel;
    const int8_t *weight;
    const int32_t *multiplier;
    const int32_t *bias;
    uint32_t next;
    const uint8_t *shift;
    uint32_t next2;
} hm_dsp_walk;

HM_STATIC_ASSERT(sizeof(void *) != 4 || (offsetof(hm_dsp_walk, weight) == 36 && sizeof(hm_dsp_walk) == 60),
                 "hm_dsp_step and kernels/dsp.py expect another hm_dsp_walk");

/* Twelve weights, a row of the kernel, from r1 on: channels 0 and 2 in r4 to r6, 1 and 3 in r9 to r11. */
#define HM_DSP_WIDEN                                                                                                   \
    "ldr r9, [r1], #4\n\t"                                                                                             \
    "ldr r10, [r1], #4\n\t"                                                                                            \
    "ldr r11, [r1], #4\n\t"                                                                                            \
    "sxtb16 r4, r9\n\t"                                                                                                \
    "sxtb16 r5, r10\n\t"                                                                                               \
    "sxtb16 r6, r11\n\t"                                                                                               \
    "sxtb16 r9, r9, ror #8\n\t"                                                                                        \
    "sxtb16 r10, r10, ror #8\n\t"                                                                                      \
    "sxtb16 r11, r11, ror #8\n\t"

/* The weights of the next channel, `next` before each plane but the first, and its scale and bias. */
static inline void hm_dsp_step(uint32_t *wide)
{
    register uint32_t *r0 __asm__("r0") = wide;
    __asm__ volatile("add r12, r0, #128\n\t" /* 92 bytes of weights, 36 of hm_dsp_channel */
                     "ldm r12, {r1, r2, r3, r8, r12, lr}\n\t" HM_DSP_WIDEN
                     "stm r0!, {r4, r5, r6, r8, r9, r10, r11, lr}\n\t" HM_DSP_WIDEN
                     "stm r0!, {r4, r5, r6, r8, r9, r10, r11, lr}\n\t" HM_DSP_WIDEN
                     "stm r0!, {r4, r5, r6, r8, r9, r10, r11}\n\t"
                     "ldr r4, [r2], #4\n\t"
                     "ldrb r6, [r12], #1\n\t"
                     "mov r5, #1\n\t"
                     "lsl r4, r4, #1\n\t"
                     "lsl r5, r5, r6\n\t"
                     "lsr r5, r5, #1\n\t"
                     "stm r0, {r4, r5, r6}\n\t"
                     "ldr r4, [r3], #4\n\t"
                     "str r4, [r0, #24]\n\t"
                     "add r0, r0, #36\n\t"
                     "stm r0, {r1, r2, r3, r8, r12, lr}"
                     : "+r"(r0)
                     :
                     : "r1", "r2", "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");
}

/* n rows of a 3x3 kernel over groups of four channels. */
__attribute__((noinline, unused)) static void hm_dsp_group(const hm_dsp *s, const hm_conv *conv, uint32_t *wide,
                                                           const uint8_t *const *rows, uint8_t *const *out, int n)
{
    hm_dsp_walk *const walk = (hm_dsp_walk *)(void *)(wide + HM_DSP_WIDE);
    hm_dsp_block *const blocks = (hm_dsp_block *)(void *)(walk + 1);
    uint32_t *const planes = (uint32_t *)(void *)(blocks + n * s->blocks);
    const int in_rows = (n - 1) * s->stride + 3;
    const int kind = s->stride == 1 ? 1 : s->block == 4 ? 0 : 2;
    int place = 0;
    walk->channel.pixel = s->out_c;
    walk->channel.pixels3 = 3U * s->out_c;
    walk->weight = conv->weight;
    walk->multiplier = conv->multiplier;
    walk->bias = conv->bias;
    walk->shift = conv->shift;
    walk->next = walk->next2 = 4U * (uint32_t)(s->pitch - ((s->block - 1) * s->stride + 3));
    hm_dsp_blocks(s, blocks, planes, 2 * s->stride * s->pitch, s->stride, out, n);
    hm_dsp_padding(s, rows, in_rows, planes);
    for (int first = 0; first < s->in_c; first += 4) {
        hm_dsp_planes(s, rows, in_rows, first, planes);
        for (int left = s->out_g; left > 0; left--) {
            hm_dsp_step(wide);
            walk->channel.place = (uint32_t)place;
            walk->channel.block = blocks;
            place = hm_dsp_next(s, place);
            if (kind == 0) {
                hm_dsp_four2(wide, planes);
            } else if (kind == 1) {
                hm_dsp_seven1(wide, planes);
            } else {
                hm_dsp_seven2(wide, planes);
            }
        }
    }
}

#endif

/* 3x3 convolutions with stride 2 over an image of three channels, by the DSP instructions: the blocks of hm_dsp_3x3.h. */
#ifndef HM_DSP_IMAGE_H
#define HM_DSP_IMAGE_H

/* n rows as numbers of 16 bits, padding behind them included. */
static inline void hm_dsp_lines(const hm_dsp *s, const uint8_t *const *rows, int n, uint32_t *p)
{
    for (int y = 0; y < n; y++, p += s->pitch) {
        uint32_t *to = p;
        uint16_t *half = (uint16_t *)(void *)p;
        if (rows[y] != NULL) {
            const uint8_t *from = rows[y];
            int left = s->in_w * 3;
            if (left >= 8) {
                __asm__ volatile("1: ldr r8, [%[from]], #4\n\t"
                                 "ldr r9, [%[from]], #4\n\t"
                                 "uxtb16 r3, r8\n\t"
                                 "uxtb16 r8, r8, ror #8\n\t"
                                 "uxtb16 r5, r9\n\t"
                                 "uxtb16 r9, r9, ror #8\n\t"
                                 "pkhtb r4, r8, r3, asr #16\n\t"
                                 "pkhbt r3, r3, r8, lsl #16\n\t"
                                 "pkhtb r6, r9, r5, asr #16\n\t"
                                 "pkhbt r5, r5, r9, lsl #16\n\t"
                                 "stm %[to]!, {r3, r4, r5, r6}\n\t"
                                 "subs %[left], #8\n\t"
                                 "cmp %[left], #8\n\t"
                                 "bge 1b"
                                 : [from] "+&r"(from), [to] "+&r"(to), [left] "+&r"(left)
                                 :
                                 : "r3", "r4", "r5", "r6", "r8", "r9", "cc", "memory");
            }
            for (half = (uint16_t *)(void *)to; left > 0; left--) {
                *half++ = *from++;
            }
        }
        for (; half < (uint16_t *)(void *)(p + s->pitch); half++) {
            *half = s->padding;
        }
    }
}

/* A row of the kernel, nine products a pixel and one by 0; pixels are three words apart. */
#define HM_DSP_IMAGE_ROW(bias0, bias1, bias2)                                                                          \
    "ldm r0!, {r4, r5, r6, r8, r9}\n\t"                                                                                \
    "ldm r1!, {r10, r11, r12}\n\t"                                                                                     \
    "smlad r2, r10, r4, " bias0 "\n\t"                                                                                 \
    "smlad r2, r11, r5, r2\n\t"                                                                                        \
    "smlad r2, r12, r6, r2\n\t"                                                                                        \
    "ldm r1!, {r10, r11, r12}\n\t"                                                                                     \
    "smlad r3, r10, r4, " bias1 "\n\t"                                                                                 \
    "smlad r2, r10, r8, r2\n\t"                                                                                        \
    "smlad r3, r11, r5, r3\n\t"                                                                                        \
    "smlad r2, r11, r9, r2\n\t"                                                                                        \
    "smlad r3, r12, r6, r3\n\t"                                                                                        \
    "ldm r1!, {r10, r11, r12}\n\t"                                                                                     \
    "smlad lr, r10, r4, " bias2 "\n\t"                                                                                 \
    "smlad r3, r10, r8, r3\n\t"                                                                                        \
    "smlad lr, r11, r5, lr\n\t"                                                                                        \
    "smlad r3, r11, r9, r3\n\t"                                                                                        \
    "smlad lr, r12, r6, lr\n\t"                                                                                        \
    "ldm r1!, {r10, r11, r12}\n\t"                                                                                     \
    "smlad r7, r10, r4, r7\n\t"                                                                                        \
    "smlad lr, r10, r8, lr\n\t"                                                                                        \
    "smlad r7, r11, r5, r7\n\t"                                                                                        \
    "smlad lr, r11, r9, lr\n\t"                                                                                        \
    "smlad r7, r12, r6, r7\n\t"                                                                                        \
    "ldm r1!, {r10, r11}\n\t"                                                                                          \
    "smlad r7, r10, r8, r7\n\t"                                                                                        \
    "smlad r7, r11, r9, r7\n\t"

/* A channel; next: bytes from what a row of the kernel has read to where the next one does, at most 4095. */
#define HM_DSP_IMAGE_NEXT(next) "add r1, r1, #" #next "\n\t"
#define HM_DSP_IMAGE(name, next)                                                                                       \
    HM_DSP_CHANNEL(name, 60, "ldr r7, [r0, %[bias]]\n\t" HM_DSP_IMAGE_ROW("r7", "r7", "r7") HM_DSP_IMAGE_NEXT(next)    \
                       HM_DSP_IMAGE_ROW("r2", "r3", "lr") HM_DSP_IMAGE_NEXT(next) HM_DSP_IMAGE_ROW("r2", "r3", "lr")   \
                           HM_DSP_STORE4)

/* The 27 weights of a channel: five words for each row of the kernel, the last half of which is 0. */
static inline void hm_dsp_image_widen(const int8_t *from, uint32_t *to)
{
#pragma GCC unroll 3
    for (int i = 0; i < 3; i++) {
        __asm__ volatile("ldr r8, [%[from]], #4\n\t"
                         "ldr r9, [%[from]], #4\n\t"
                         "ldrsb r10, [%[from]], #1\n\t"
                         "sxtb16 r5, r8\n\t"
                         "sxtb16 r6, r9\n\t"
                         "sxtb16 r8, r8, ror #8\n\t"
                         "sxtb16 r9, r9, ror #8\n\t"
                         "pkhbt r4, r5, r8, lsl #16\n\t"
                         "pkhtb r5, r8, r5, asr #16\n\t"
                         "pkhtb r8, r9, r6, asr #16\n\t"
                         "pkhbt r6, r6, r9, lsl #16\n\t"
                         "uxth r9, r10\n\t"
                         "stm %[to]!, {r4, r5, r6, r8, r9}"
                         : [from] "+&r"(from), [to] "+&r"(to)
                         :
                         : "r4", "r5", "r6", "r8", "r9", "r10", "memory");
    }
}

/* n rows of such a kernel; `channel_blocks`: what HM_DSP_IMAGE has made of it. */
__attribute__((always_inline)) static inline void hm_dsp_image(const hm_dsp *s, const hm_conv *conv, uint32_t *wide,
                                                               const uint8_t *const *rows, uint8_t *const *out, int n,
                                                               void (*channel_blocks)(const uint32_t *, const uint32_t *))
{
    hm_dsp_channel *const channel = (hm_dsp_channel *)(void *)(wide + 15);
    hm_dsp_block *const blocks = (hm_dsp_block *)(void *)(channel + 1);
    uint32_t *const lines = (uint32_t *)(void *)(blocks + n * s->blocks);
    hm_dsp_blocks(s, blocks, lines, 2 * s->pitch, 3, out, n);
    hm_dsp_lines(s, rows, (n - 1) * 2 + 3, lines);
    channel->pixel = s->out_c;
    channel->pixels3 = 3U * s->out_c;
    for (int c = 0, place = 0; c < s->out_c; c++, place = hm_dsp_next(s, place)) {
        hm_dsp_image_widen(conv->weight + 27 * c, wide);
        hm_dsp_begin(channel, conv, c, place, blocks);
        channel_blocks(wide, lines);
    }
}

#endif

/* 1x1 convolutions by the DSP instructions: two outputs of two pixels at a time. */
#ifndef HM_DSP_1X1_H
#define HM_DSP_1X1_H

/* What lies behind the weights of two channels. */
typedef struct hm_dsp_pair {
    hm_dsp_scale scale0;
    uint32_t place0; /* of their bytes in a pixel */
    uint32_t place1;
    uint8_t *const *to; /* two pixels a block */
    hm_dsp_scale scale1;
    int32_t bias0;
    int32_t bias1;
    const uint32_t *end; /* of the input */
    uint32_t kept;       /* r7 meanwhile */
} hm_dsp_pair;

HM_STATIC_ASSERT(sizeof(void *) != 4 || (offsetof(hm_dsp_pair, scale1) == 24 && offsetof(hm_dsp_pair, kept) == 48 &&
                                         sizeof(hm_dsp_pair) == 52),
                 "HM_DSP_PAIRS and kernels/dsp.py expect another hm_dsp_pair");

/* Four channels of two pixels: what one pixel brings to two outputs is loaded once, and so is a weight for two pixels. */
#define HM_DSP_STEP(sum1, sum3)                                                                                        \
    "ldm r0!, {r4, r5, r6, r8}\n\t"                                                                                    \
    "ldm r1!, {r9, r10, r11, r12}\n\t"                                                                                 \
    "smlad r3, r10, r4, " sum1 "\n\t"                                                                                  \
    "smlad r2, r9, r4, r2\n\t"                                                                                         \
    "smlad r7, r10, r5, " sum3 "\n\t"                                                                                  \
    "smlad lr, r9, r5, lr\n\t"                                                                                         \
    "smlad r3, r12, r6, r3\n\t"                                                                                        \
    "smlad r2, r11, r6, r2\n\t"                                                                                        \
    "smlad r7, r12, r8, r7\n\t"                                                                                        \
    "smlad lr, r11, r8, lr\n\t"
#define HM_DSP_FIRST HM_DSP_STEP("r2", "lr")
#define HM_DSP_NEXT4 HM_DSP_STEP("r3", "r7")
#define HM_DSP_MORE "ldr r4, [r0], #4\n\tcmp r4, #0\n\tbne 2b\n\t" /* of them, if the word behind the weights says so */

/* The blocks of two channels whose weights take `size` bytes, at most 980; steps: all products; byte: HM_DSP_BYTE, or
 * HM_DSP_SIGNED at a linear end. */
#define HM_DSP_PAIRS(name, size, steps, byte)                                                                          \
    __attribute__((noinline, unused)) static void name(const uint32_t *w, const uint32_t *x)                           \
    {                                                                                                                  \
        register const uint32_t *r0 __asm__("r0") = w;                                                                 \
        register const uint32_t *r1 __asm__("r1") = x;                                                                 \
        __asm__ volatile("str r7, [r0, %[kept]]\n\t"                                                                   \
                         "1: ldrd r2, lr, [r0, %[bias]]\n\t" steps                                                     \
                         "ldm r0!, {r4, r5, r6, r8, r9, r10}\n\t"                                                      \
                         "ldm r10!, {r11, r12}\n\t"                                                                    \
                         "str r10, [r0, #-4]\n\t" byte("r2") "strb r2, [r11, r8]\n\t" byte("r3")                       \
                         "strb r3, [r12, r8]\n\t"                                                                      \
                         "ldm r0, {r4, r5, r6}\n\t" byte("lr") "strb lr, [r11, r9]\n\t" byte("r7")                     \
                         "strb r7, [r12, r9]\n\t"                                                                      \
                         "ldr r4, [r0, #20]\n\t"                                                                       \
                         "sub r0, r0, %[back]\n\t"                                                                     \
                         "cmp r1, r4\n\t"                                                                              \
                         "bne 1b\n\t"                                                                                  \
                         "ldr r7, [r0, %[kept]]"                                                                       \
                         : "+r"(r0), "+r"(r1)                                                                          \
                         : [kept] "i"((size) + 48), [bias] "i"((size) + 36), [back] "i"((size) + 24)                   \
                         : "r2", "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");       \
    }

/* For n steps the pairs of four bytes each of a and b. */
#define HM_DSP_INTERLEAVE(name, instruction)                                                                           \
    static inline uint32_t *name(uint32_t *into, const void *even, const void *odd, int steps)                         \
    {                                                                                                                  \
        register uint32_t *to __asm__("r0") = into; /* by name, as in hm_dsp_planes */                                 \
        register const void *a __asm__("r1") = even;                                                                   \
        register const void *b __asm__("r2") = odd;                                                                    \
        register int n __asm__("r12") = steps;                                                                         \
        __asm__ volatile("1: ldr r8, [%[a]], #4\n\t"                                                                   \
                         "ldr r9, [%[b]], #4\n\t" instruction " r3, r8\n\t" instruction " r4, r9\n\t" instruction      \
                         " r5, r8, ror #8\n\t" instruction " r6, r9, ror #8\n\t"                                       \
                         "stm %[to]!, {r3, r4, r5, r6}\n\t"                                                            \
                         "subs %[n], #1\n\t"                                                                           \
                         "bne 1b"                                                                                      \
                         : [to] "+&r"(to), [a] "+&r"(a), [b] "+&r"(b), [n] "+&r"(n)                                    \
                         :                                                                                             \
                         : "r3", "r4", "r5", "r6", "r8", "r9", "cc", "memory");                                        \
        return to;                                                                                                     \
    }
HM_DSP_INTERLEAVE(hm_dsp_pixels, "uxtb16")
HM_DSP_INTERLEAVE(hm_dsp_weights, "sxtb16")

/* Where the pixels of n rows go, two a block, and group g of their input; an odd last one makes a block with itself.
 * Returns the end of the input. */
__attribute__((noinline, unused)) static uint32_t *hm_dsp_blocks2(const hm_dsp *s, const uint8_t *const *rows, int n, int g,
                                                                  uint8_t *const *out, uint8_t **to, uint32_t *x)
{
    const uint8_t *even = NULL;
    int odd = 0;
    for (int y = 0; y < n; y++) {
        const uint8_t *from = rows[y * s->stride] + g * s->in_g;
        uint8_t *pixel = out[y];
        for (int i = s->out_w; i > 0; i--, from += s->stride * s->in_c, pixel += s->out_c) {
            *to++ = pixel;
            if (odd) {
                x = hm_dsp_pixels(x, even, from, s->in_g / 4);
            }
            even = from;
            odd ^= 1;
        }
    }
    if (odd) {
        *to = to[-1];
        x = hm_dsp_pixels(x, even, even, s->in_g / 4);
    }
    return x;
}

/* The weights of channels c and c + 1 and what lies behind them; place: of channel c. The weights are `parts` times so many
 * steps and, if there are several, after each a word that is 0 behind the last. */
__attribute__((noinline, unused)) static void hm_dsp_pair_of(const hm_dsp *s, const hm_conv *conv, int c, int place,
                                                             uint32_t *w, int steps, int parts)
{
    const int8_t *weight = conv->weight + c * s->in_g;
    for (int part = parts; part > 0; part--, weight += 4 * steps) {
        w = hm_dsp_weights(w, weight, weight + s->in_g, steps);
        if (parts > 1) {
            *w++ = (uint32_t)part - 1;
        }
    }
    hm_dsp_pair *const pair = (hm_dsp_pair *)(void *)w;
    pair->scale0 = hm_dsp_scale_of(conv, c);
    pair->scale1 = hm_dsp_scale_of(conv, c + 1);
    pair->bias0 = conv->bias[c];
    pair->bias1 = conv->bias[c + 1];
    pair->place0 = (uint32_t)place;
    pair->place1 = (uint32_t)hm_dsp_next(s, place);
    pair->to = (uint8_t *const *)(void *)(pair + 1);
}

/* n rows; pairs: what HM_DSP_PAIRS has made for so many steps and parts. */
__attribute__((always_inline)) static inline void hm_dsp_pointwise(const hm_dsp *s, const hm_conv *conv, uint32_t *scratch,
                                                                   const uint8_t *const *rows, uint8_t *const *out, int n,
                                                                   const int steps, const int parts,
                                                                   void (*pairs)(const uint32_t *, const uint32_t *))
{
    hm_dsp_pair *const pair = (hm_dsp_pair *)(void *)(scratch + (4 * steps + (parts > 1)) * parts);
    uint8_t **const to = (uint8_t **)(void *)(pair + 1);
    uint32_t *const pixels = (uint32_t *)(void *)(to + (n * s->out_w + 1) / 2 * 2);
    for (int c = 0, g = 0, place = 0; c < s->out_c; g++) {
        pair->end = hm_dsp_blocks2(s, rows, n, g, out, to, pixels);
        for (int end = c + s->out_g; c < end; c += 2) {
            hm_dsp_pair_of(s, conv, c, place, scratch, steps, parts);
            place = hm_dsp_next(s, hm_dsp_next(s, place));
            pairs(scratch, pixels);
        }
    }
}

#endif

/* Stage 0: 3x3, stride 2, 8x6x3 to 4x3x6. */
HM_NOINLINE
static void hm_stage0_rows(hm_conv conv, const uint8_t *const *rows, uint8_t *const *out, int n, void *scratch)
{
    enum { k = 3, stride = 2, pad_left = 0, in_w = 6, in_c = 3 };
    enum { out_w = 3, out_c = 6, taps = 27 };
    uint8_t *const patch = (uint8_t *)scratch; /* what is under the kernel, padding included: taps bytes */

    for (int y = 0; y < n; y++, rows += stride) {
        uint8_t *to = out[y];
        for (int x = 0; x < out_w; x++, to += out_c) {
            const int left = x * stride - pad_left;
            const int from = left < 0 ? -left : 0;
            const int end = left + k > in_w ? in_w - left : k;
            if (end - from < k || rows[0] == NULL || rows[k - 1] == NULL) {
                hm_fill(patch, 128, taps); /* the byte of a pixel of value 0 */
            }
            for (int ky = 0; ky < k; ky++) {
                if (rows[ky] != NULL) {
                    hm_copy(patch + (ky * k + from) * in_c, rows[ky] + (left + from) * in_c, (size_t)(end - from) * in_c);
                }
            }
            for (int c = 0; c < 4; c += 4) {
                int32_t sum[4];
                hm_dot4(patch, conv.weight + c * taps, taps, sum);
                for (int i = 0; i < 4; i++) {
                    to[c + i] = hm_relu(conv, c + i, sum[i]);
                }
            }
            for (int c = 4; c < out_c; c++) {
                to[c] = hm_relu(conv, c, hm_dot(patch, conv.weight + c * taps, taps));
            }
        }
    }
}

/* Stage 1: 3x3, 4x3x6 to 4x3x6 in 2 groups of 3 to 3. */
HM_NOINLINE
static void hm_stage1_rows(hm_conv conv, const uint8_t *const *rows, uint8_t *const *out, int n, void *scratch)
{
    enum { k = 3, stride = 1, pad_left = 1, in_w = 3, in_c = 6 };
    enum { out_w = 3, out_c = 6 };
    enum { groups = 2, in_g = 3, out_g = 3, taps = 27 };
    uint8_t *const patch = (uint8_t *)scratch; /* one group's channels under the kernel, padding included: taps bytes */

    for (int y = 0; y < n; y++, rows += stride) {
        uint8_t *to = out[y];
        for (int x = 0; x < out_w; x++, to += out_c) {
            const int left = x * stride - pad_left;
            const int from = left < 0 ? -left : 0;
            const int end = left + k > in_w ? in_w - left : k;
            if (end - from < k || rows[0] == NULL || rows[k - 1] == NULL) {
                hm_fill(patch, 0, taps);
            }
            for (int g = 0; g < groups; g++) {
                for (int ky = 0; ky < k; ky++) {
                    for (int kx = from; kx < end && rows[ky] != NULL; kx++) {
                        hm_copy(patch + (ky * k + kx) * in_g, rows[ky] + (left + kx) * in_c + g * in_g, in_g);
                    }
                }
                for (int c = g * out_g; c < (g + 1) * out_g; c++) {
                    to[c] = hm_relu(conv, c, hm_dot(patch, conv.weight + c * taps, taps));
                }
            }
        }
    }
}

/* Stage 2: sum of stages 0 and 1, 4x3x6, shuffled in 2 groups. */
HM_NOINLINE
static void hm_stage2_rows(const uint8_t *const *a, uint8_t *const *b, uint8_t *const *out, int n)
{
    enum { width = 3, channels = 6, groups = 2 };

    for (int y = 0; y < n; y++) {
        for (int g = 0, from = 0; g < groups; g++) {
            for (int to = g; to < channels; to += groups, from += 1) {
                const uint8_t *p = a[y] + from;
                const uint8_t *q = b[y] + from;
                uint8_t *o = out[y] + to;
                for (int x = 0; x < width; x++, p += channels, q += channels, o += channels) {
                    *o = hm_sum(*p, *q);
                }
            }
        }
    }
}

/* Stage 3: 1x1, 4x3x6 to 4x3x10 in 2 groups of 3 to 5, linear. */
HM_NOINLINE
static void hm_stage3_rows(hm_conv conv, const uint8_t *const *rows, uint8_t *const *out, int n, void *scratch)
{
    enum { in_c = 6, out_w = 3, out_c = 10, stride = 1 };
    enum { groups = 2, in_g = 3, out_g = 5 };
    (void)scratch;

    for (int y = 0; y < n; y++, rows += stride) {
        const uint8_t *in = rows[0];
        uint8_t *to = out[y];
        for (int x = 0; x < out_w; x++, in += stride * in_c, to += out_c) {
            for (int g = 0; g < groups; g++) {
                for (int c = g * out_g; c < g * out_g + 4; c += 4) {
                    int32_t sum[4];
                    hm_dot4(in + g * in_g, conv.weight + c * in_g, in_g, sum);
                    for (int i = 0; i < 4; i++) {
                        to[c + i] = hm_linear(conv, c + i, sum[i]);
                    }
                }
                for (int c = g * out_g + 4; c < (g + 1) * out_g; c++) {
                    to[c] = hm_linear(conv, c, hm_dot(in + g * in_g, conv.weight + c * in_g, in_g));
                }
            }
        }
    }
}

#elif HM_KERNELS == HM_HELIUM
/* Helium (Armv8.1-M MVE): sixteen products an instruction.
 *
 * VMLADAV multiplies bytes of one sign, so a group's input is copied to scratch as u - 128 = q, int8, its channels side
 * by side, padding included: then the k pixels under a row of the kernel are k * channels neighbouring bytes. What is
 * taken off comes back in the bias, 128 times the sum of the weights. Lanes behind the last weight of a row hold weight
 * 0, so that it does not matter what input is in them. Four neighbouring outputs of a row are requantised together. */
#ifndef HM_HELIUM_H
#define HM_HELIUM_H

#include <arm_mve.h>

/* A convolution as these functions see it: see Kernel; right: padding columns behind a row; pitch: bytes of a row of one
 * group's input in scratch, a multiple of 16. */
typedef struct hm_helium {
    uint16_t k;
    uint16_t stride;
    uint16_t left;
    uint16_t right;
    uint16_t in_w;
    uint16_t in_c;
    uint16_t in_g;
    uint16_t out_w;
    uint16_t out_c;
    uint16_t out_g;
    uint16_t shuffle;
    uint16_t pitch;
    uint8_t relu;
    uint8_t padding;
} hm_helium;

/* What turns four sums of one channel into bytes. */
typedef struct hm_helium_channel {
    int32_t bias;
    int32_t multiplier;
    int32_t shift; /* to the left */
} hm_helium_channel;

/* Copies n rows of group g to scratch; padding is what stands for zero. */
__attribute__((noinline, unused)) static void hm_helium_rows(const hm_helium *s, const uint8_t *const *rows, int n, int g,
                                                              int8_t *planes)
{
    const int in_g = s->in_g;
    const int in_c = s->in_c;
    const uint8x16_t turn = vdupq_n_u8(0x80);
    const uint8x16_t zero = vdupq_n_u8(s->padding ^ 0x80);
    const uint32x4_t spread = vmulq_n_u32(vidupq_n_u32(0, 1), (uint32_t)in_c);

    for (int y = 0; y < n; y++, planes += s->pitch) {
        uint8_t *to = (uint8_t *)planes;
        const int unknown = rows[y] == NULL ? s->pitch : s->left * in_g;
        for (int i = 0; i < unknown; i += 16) {
            vstrbq_u8(to + i, zero);
        }
        if (rows[y] == NULL) {
            continue;
        }
        const uint8_t *from = rows[y] + g * in_g;
        to += s->left * in_g;
        if (in_g == in_c) {
            for (int left = s->in_w * in_c; left > 0; left -= 16, from += 16, to += 16) {
                vstrbq_u8(to, veorq_u8(vldrbq_z_u8(from, vctp8q((uint32_t)left)), turn));
            }
        } else if (in_g == 4 && s->padding == 0) { /* whole words, in maps: the image may lie at any address */
            for (int left = s->in_w; left > 0; left -= 4, from += 4 * in_c, to += 16) {
                const uint32x4_t words = vldrwq_gather_offset_z_u32((const uint32_t *)(const void *)from, spread, vctp32q((uint32_t)left));
                vstrbq_u8(to, veorq_u8(vreinterpretq_u8_u32(words), turn));
            }
        } else {
            for (int x = 0; x < s->in_w; x++, from += in_c, to += in_g) {
                for (int i = 0; i < in_g; i += 16) {
                    vstrbq_u8(to + i, veorq_u8(vldrbq_z_u8(from + i, vctp8q((uint32_t)(in_g - i))), turn));
                }
            }
        }
        to = (uint8_t *)planes + (s->left + s->in_w) * in_g;
        for (int i = 0; i < s->right * in_g; i += 16) {
            vstrbq_u8(to + i, zero);
        }
    }
}

/* n weights, at most 16, and zeros behind them. */
static inline int8x16_t hm_helium_weights(const int8_t *weight, int n)
{
    return vldrbq_z_s8(weight, vctp8q((uint32_t)n));
}

static inline hm_helium_channel hm_helium_load(const hm_conv *conv, int c, int32_t sum_of_weights)
{
    const hm_helium_channel channel = {conv->bias[c] + 128 * sum_of_weights, conv->multiplier[c], -(int32_t)conv->shift[c]};
    return channel;
}

/* The sums of one pixel: of two channels in %[a] and %[b], over three or two vectors; the pointers go on to the next. */
#define HM_HELIUM_PIXEL2(a, b)                                                                                          \
    "vldrb.8 %q[b], [%[p0]], #%c[step]\n\t"                                                                             \
    "vmladav.s8 %[" a "], %q[b], %q[w0]\n\t"                                                                            \
    "vmladav.s8 %[" b "], %q[b], %q[v0]\n\t"                                                                            \
    "vldrb.8 %q[b], [%[p1]], #%c[step]\n\t"                                                                             \
    "vmladava.s8 %[" a "], %q[b], %q[w1]\n\t"                                                                           \
    "vmladava.s8 %[" b "], %q[b], %q[v1]\n\t"
#define HM_HELIUM_PIXEL3(a, b)                                                                                          \
    HM_HELIUM_PIXEL2(a, b)                                                                                              \
    "vldrb.8 %q[b], [%[p2]], #%c[step]\n\t"                                                                             \
    "vmladava.s8 %[" a "], %q[b], %q[w2]\n\t"                                                                           \
    "vmladava.s8 %[" b "], %q[b], %q[v2]\n\t"

/* Four outputs of one channel before they are cut to bytes: both roundings. */
static inline int32x4_t hm_helium_scaled(int32x4_t sum, hm_helium_channel c)
{
    return vrshlq_n_s32(vqrdmulhq_n_s32(vaddq_n_s32(sum, c.bias), c.multiplier), c.shift);
}

/* Behind a ReLU, bytes between 0 and 255. */
static inline int32x4_t hm_helium_relu(int32x4_t sum, hm_helium_channel c)
{
    const uint16x8_t u = vqmovunbq_s32(vuninitializedq_u16(), hm_helium_scaled(sum, c));
    return vreinterpretq_s32_u8(vqmovnbq_u16(vuninitializedq_u8(), u));
}

/* The same at a linear end: halves away from zero, so one less before the shift if negative. */
static inline int32x4_t hm_helium_linear(int32x4_t sum, hm_helium_channel c)
{
    const int32x4_t high = vqrdmulhq_n_s32(vaddq_n_s32(sum, c.bias), c.multiplier);
    const int32x4_t less = vshrq_n_s32(vandq_s32(high, vdupq_n_s32(c.shift)), 31); /* c.shift is negative, or 0 */
    const int16x8_t q = vqmovnbq_s32(vuninitializedq_s16(), vrshlq_n_s32(vaddq_s32(high, less), c.shift));
    return vreinterpretq_s32_s8(vqmovnbq_s16(vuninitializedq_s8(), q));
}

/* Channels first ... first + out_g - 1 of n rows, two channels at a time, behind a ReLU. Their weights stay in registers:
 * `steps` vectors each, over the k = steps rows of the kernel or over a pixel's channels. step: bytes from pixel to pixel.
 *
 * Registers of the loop: six vectors of weights, one of input, one of the first channel's sums; of the others, VMLADAV
 * adds to even ones alone. */
__attribute__((always_inline)) static inline void hm_helium_pairs(const hm_helium *s, const hm_conv *conv, int first,
                                                                  const int8_t *planes, uint8_t *const *out, int n,
                                                                  const int steps, const int step)
{
    const int line = s->k * s->in_g;
    const int next_weights = steps == s->k ? line : 16;
    const int next = steps == s->k ? s->pitch : 16;
    const int rest = steps == s->k ? line : line - 16 * (steps - 1);
    const int size = s->out_c / s->shuffle;
    const uint16x8_t pixels = vmulq_n_u16(vshrq_n_u16(vidupq_n_u16(0, 1), 1), s->out_c);

    for (int c = first; c < first + s->out_g; c += 2) {
        const int8_t *w = conv->weight + c * s->k * line;
        const int8_t *v = w + s->k * line;
        const int8x16_t w0 = hm_helium_weights(w, line);
        const int8x16_t v0 = hm_helium_weights(v, line);
        const int8x16_t w1 = hm_helium_weights(w + next_weights, rest);
        const int8x16_t v1 = hm_helium_weights(v + next_weights, rest);
        const int8x16_t w2 = steps > 2 ? hm_helium_weights(w + 2 * next_weights, rest) : w1;
        const int8x16_t v2 = steps > 2 ? hm_helium_weights(v + 2 * next_weights, rest) : v1;
        int32_t sum_w = vaddvaq_s8(vaddvq_s8(w0), w1);
        int32_t sum_v = vaddvaq_s8(vaddvq_s8(v0), v1);
        if (steps > 2) {
            sum_w = vaddvaq_s8(sum_w, w2);
            sum_v = vaddvaq_s8(sum_v, v2);
        }
        const hm_helium_channel cw = hm_helium_load(conv, c, sum_w);
        const hm_helium_channel cv = hm_helium_load(conv, c + 1, sum_v);
        const int place_w = hm_shuffled(c, s->shuffle, size);
        const int place_v = hm_shuffled(c + 1, s->shuffle, size);
        const int place = place_w < place_v ? place_w : place_v;
        const uint32_t both = (uint32_t)(place_v - place) << 16 | (uint32_t)(place_w - place);
        const uint16x8_t places = vaddq_u16(pixels, vreinterpretq_u16_u32(vdupq_n_u32(both)));
        for (int y = 0; y < n; y++) {
            const int8_t *p0 = planes + y * s->stride * s->pitch;
            const int8_t *p1 = p0 + next;
            const int8_t *p2 = p1 + next;
            uint8_t *to = out[y] + place;
            for (int left = s->out_w; left > 0; left -= 4, to += 4 * s->out_c) {
                int32x4_t sums_w;
                int32x4_t sums_v;
                int32_t a0, a1, b0, b1, b2, b3;
                if (steps > 2) {
                    __asm__(HM_HELIUM_PIXEL3("a0", "b0") HM_HELIUM_PIXEL3("a1", "b1") "vmov %e[a], %[a0], %[a1]\n\t"
                            HM_HELIUM_PIXEL3("a0", "b2") HM_HELIUM_PIXEL3("a1", "b3") "vmov %f[a], %[a0], %[a1]\n\t"
                            "vmov %e[b], %[b0], %[b1]\n\t"
                            "vmov %f[b], %[b2], %[b3]"
                            : [a] "=&w"(sums_w), [b] "=&w"(sums_v), [p0] "+r"(p0), [p1] "+r"(p1), [p2] "+r"(p2),
                              [a0] "=&Te"(a0), [a1] "=&Te"(a1), [b0] "=&Te"(b0), [b1] "=&Te"(b1), [b2] "=&Te"(b2),
                              [b3] "=&Te"(b3)
                            : [w0] "w"(w0), [w1] "w"(w1), [w2] "w"(w2), [v0] "w"(v0), [v1] "w"(v1), [v2] "w"(v2),
                              [step] "i"(step)
                            : "memory");
                } else {
                    __asm__(HM_HELIUM_PIXEL2("a0", "b0") HM_HELIUM_PIXEL2("a1", "b1") "vmov %e[a], %[a0], %[a1]\n\t"
                            HM_HELIUM_PIXEL2("a0", "b2") HM_HELIUM_PIXEL2("a1", "b3") "vmov %f[a], %[a0], %[a1]\n\t"
                            "vmov %e[b], %[b0], %[b1]\n\t"
                            "vmov %f[b], %[b2], %[b3]"
                            : [a] "=&w"(sums_w), [b] "=&w"(sums_v), [p0] "+r"(p0), [p1] "+r"(p1),
                              [a0] "=&Te"(a0), [a1] "=&Te"(a1), [b0] "=&Te"(b0), [b1] "=&Te"(b1), [b2] "=&Te"(b2),
                              [b3] "=&Te"(b3)
                            : [w0] "w"(w0), [w1] "w"(w1), [v0] "w"(v0), [v1] "w"(v1), [step] "i"(step)
                            : "memory");
                }
                const uint16x8_t u = vqmovuntq_s32(vqmovunbq_s32(vuninitializedq_u16(), hm_helium_scaled(sums_w, cw)), hm_helium_scaled(sums_v, cv));
                const uint16x8_t bytes = vreinterpretq_u16_u8(vqmovnbq_u16(vuninitializedq_u8(), u));
                vstrbq_scatter_offset_p_u16(to, places, bytes, vctp16q(2 * (uint32_t)left));
            }
        }
    }
}

/* The same for a kernel of one pixel and `steps` vectors of channels, one output channel at a time, linear or not. */
__attribute__((always_inline)) static inline void hm_helium_ones(const hm_helium *s, const hm_conv *conv, int first,
                                                                 const int8_t *planes, uint8_t *const *out, int n,
                                                                 const int steps, const int step)
{
    const int size = s->out_c / s->shuffle;
    const uint32x4_t spread = vmulq_n_u32(vidupq_n_u32(0, 1), s->out_c);

    for (int c = first; c < first + s->out_g; c++) {
        const int8_t *const weight = conv->weight + c * s->in_g;
        int8x16_t w[6];
        int32_t sum = 0;
#pragma GCC unroll 6
        for (int i = 0; i < steps; i++) {
            w[i] = hm_helium_weights(weight + 16 * i, s->in_g - 16 * i);
            sum = vaddvaq_s8(sum, w[i]);
        }
        const hm_helium_channel channel = hm_helium_load(conv, c, sum);
        for (int y = 0; y < n; y++) {
            int8_t *to = (int8_t *)out[y] + hm_shuffled(c, s->shuffle, size);
            const int8_t *p = planes + y * s->stride * s->pitch;
            for (int left = s->out_w; left > 0; left -= 4, to += 4 * s->out_c) {
                int32_t a[4];
#pragma GCC unroll 4
                for (int x = 0; x < 4; x++, p += step) {
                    a[x] = vmladavq_s8(vldrbq_s8(p), w[0]);
#pragma GCC unroll 5
                    for (int i = 1; i < steps; i++) {
                        a[x] = vmladavaq_s8(a[x], vldrbq_s8(p + 16 * i), w[i]);
                    }
                }
                int32x4_t sums;
                __asm__("vmov %e0, %1, %2\n\tvmov %f0, %3, %4" : "=w"(sums) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]));
                vstrbq_scatter_offset_p_s32(to, spread, s->relu ? hm_helium_relu(sums, channel) : hm_helium_linear(sums, channel), vctp32q((uint32_t)left));
            }
        }
    }
}

/* The same for any shape, one channel at a time, with a linear end or without. */
__attribute__((noinline, unused)) static void hm_helium_any(const hm_helium *s, const hm_conv *conv, int first,
                                                            const int8_t *planes, uint8_t *const *out, int n)
{
    const int line = s->k * s->in_g;
    const int step = s->stride * s->in_g;
    const int size = s->out_c / s->shuffle;
    const uint32x4_t spread = vmulq_n_u32(vidupq_n_u32(0, 1), s->out_c);

    for (int c = first; c < first + s->out_g; c++) {
        const int8_t *const weight = conv->weight + c * s->k * line;
        int32_t sum = 0;
        for (int t = 0; t < s->k * line; t += 16) {
            sum = vaddvaq_s8(sum, hm_helium_weights(weight + t, s->k * line - t));
        }
        const hm_helium_channel channel = hm_helium_load(conv, c, sum);
        for (int y = 0; y < n; y++) {
            int8_t *to = (int8_t *)out[y] + hm_shuffled(c, s->shuffle, size);
            const int8_t *p = planes + y * s->stride * s->pitch;
            for (int left = s->out_w; left > 0; left -= 4, p += 4 * step, to += 4 * s->out_c) {
                int32_t a[4] = {0, 0, 0, 0};
                const int8_t *w = weight;
                for (int ky = 0; ky < s->k; ky++, w += line) {
                    for (int t = 0; t < line; t += 16) {
                        const int8_t *q = p + ky * s->pitch + t;
                        const int8x16_t v = hm_helium_weights(w + t, line - t);
#pragma GCC unroll 4
                        for (int i = 0; i < 4; i++, q += step) {
                            a[i] = vmladavaq_s8(a[i], vldrbq_s8(q), v);
                        }
                    }
                }
                int32x4_t sums;
                __asm__("vmov %e0, %1, %2\n\tvmov %f0, %3, %4" : "=w"(sums) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]));
                vstrbq_scatter_offset_p_s32(to, spread, s->relu ? hm_helium_relu(sums, channel) : hm_helium_linear(sums, channel), vctp32q((uint32_t)left));
            }
        }
    }
}

/* An Add: n rows of `size` bytes. */
__attribute__((noinline, unused)) static void hm_helium_sums(const uint8_t *const *a, uint8_t *const *b,
                                                             uint8_t *const *out, int n, int size)
{
    for (int y = 0; y < n; y++) {
        const uint8_t *p = a[y];
        const uint8_t *q = b[y];
        uint8_t *to = out[y];
        for (int i = size / 16; i > 0; i--, p += 16, q += 16, to += 16) {
            vstrbq_u8(to, vqaddq_u8(vldrbq_u8(p), vldrbq_u8(q)));
        }
        const mve_pred16_t rest = vctp8q((uint32_t)size % 16);
        vstrbq_p_u8(to, vqaddq_u8(vldrbq_z_u8(p, rest), vldrbq_z_u8(q, rest)), rest);
    }
}

/* The same before a shuffle: n rows of `width` pixels, at most 256 channels, sixteen of each pixel at a time. */
__attribute__((noinline, unused)) static void hm_helium_sums_shuffled(const uint8_t *const *a, uint8_t *const *b,
                                                                      uint8_t *const *out, int n, int width, int channels,
                                                                      int groups)
{
    for (int c = 0, place = 0; c < channels; c += 16) {
        uint8_t where[16];
        for (int i = 0; i < 16; i++) {
            where[i] = (uint8_t)place;
            place = place + groups < channels ? place + groups : place + groups - channels + 1;
        }
        const uint8x16_t places = vldrbq_u8(where);
        const mve_pred16_t there = vctp8q((uint32_t)(channels - c));
        for (int y = 0; y < n; y++) {
            const uint8_t *p = a[y] + c;
            const uint8_t *q = b[y] + c;
            uint8_t *to = out[y];
            for (int x = width; x > 0; x--, p += channels, q += channels, to += channels) {
                const uint8x16_t sum = vqaddq_u8(vldrbq_z_u8(p, there), vldrbq_z_u8(q, there));
                vstrbq_scatter_offset_p_u8(to, places, sum, there);
            }
        }
    }
}

#endif

#ifndef HM_HELIUM_PAIRS_3_6
#define HM_HELIUM_PAIRS_3_6
__attribute__((noinline)) static void hm_helium_pairs_3_6(const hm_helium *s, const hm_conv *conv, int first, const int8_t *planes, uint8_t *const *out, int n)
{
    hm_helium_pairs(s, conv, first, planes, out, n, 3, 6);
}
#endif


/* Stage 0: 3x3, stride 2, 8x6x3 to 4x3x6. */
static void hm_stage0_rows(hm_conv conv, const uint8_t *const *rows, uint8_t *const *out, int n, void *scratch)
{
    static const hm_helium shape = {
        /* k, stride, left, right, in_w, in_c, in_g, out_w, out_c, out_g, shuffle, pitch, relu, padding */
        3, 2, 0, 1, 6, 3, 3, 3, 6, 6, 1, 48, 1, 128,
    };
    int8_t *const planes = (int8_t *)scratch;

    for (int g = 0; g < 1; g++) {
        hm_helium_rows(&shape, rows, (n - 1) * 2 + 3, g, planes);
        hm_helium_pairs_3_6(&shape, &conv, g * 6, planes, out, n);
    }
}


/* Stage 1: 3x3, 4x3x6 to 4x3x6 in 2 groups of 3 to 3. */
static void hm_stage1_rows(hm_conv conv, const uint8_t *const *rows, uint8_t *const *out, int n, void *scratch)
{
    static const hm_helium shape = {
        /* k, stride, left, right, in_w, in_c, in_g, out_w, out_c, out_g, shuffle, pitch, relu, padding */
        3, 1, 1, 1, 3, 6, 3, 3, 6, 3, 1, 32, 1, 0,
    };
    int8_t *const planes = (int8_t *)scratch;

    for (int g = 0; g < 2; g++) {
        hm_helium_rows(&shape, rows, (n - 1) * 1 + 3, g, planes);
        hm_helium_any(&shape, &conv, g * 3, planes, out, n);
    }
}

/* Stage 2: sum of stages 0 and 1, 4x3x6, shuffled in 2 groups. */
static void hm_stage2_rows(const uint8_t *const *a, uint8_t *const *b, uint8_t *const *out, int n)
{
    hm_helium_sums_shuffled(a, b, out, n, 3, 6, 2);
}

#ifndef HM_HELIUM_ONES_1_3
#define HM_HELIUM_ONES_1_3
__attribute__((noinline)) static void hm_helium_ones_1_3(const hm_helium *s, const hm_conv *conv, int first, const int8_t *planes, uint8_t *const *out, int n)
{
    hm_helium_ones(s, conv, first, planes, out, n, 1, 3);
}
#endif


/* Stage 3: 1x1, 4x3x6 to 4x3x10 in 2 groups of 3 to 5, linear. */
static void hm_stage3_rows(hm_conv conv, const uint8_t *const *rows, uint8_t *const *out, int n, void *scratch)
{
    static const hm_helium shape = {
        /* k, stride, left, right, in_w, in_c, in_g, out_w, out_c, out_g, shuffle, pitch, relu, padding */
        1, 1, 0, 0, 3, 6, 3, 3, 10, 5, 1, 32, 0, 0,
    };
    int8_t *const planes = (int8_t *)scratch;

    for (int y = 0; y < n; y++) {
        for (int g = 0; g < 2; g++) {
            hm_helium_rows(&shape, rows + y * 1, 1, g, planes);
            hm_helium_ones_1_3(&shape, &conv, g * 5, planes, out + y, 1);
        }
    }
}

#elif HM_KERNELS == HM_TILED
/* Tiles of sums in registers, for cores without packed arithmetic: a multiplication and an addition a product, and each
 * byte that is loaded serves several of them.
 *
 * A tile is four channels of two pixels (hm_tiled_pairs.h), or of four where there are registers enough
 * (hm_tiled_rv32.h): any pixels, each has a pointer to its input. The input of a pointwise kernel is read where it lies;
 * of others a group's is copied to scratch, padding included, its channels side by side: then the k pixels under a row of
 * the kernel are a run of k * channels bytes. The weights of four channels are copied together, in cells of four (or
 * three) taps; behind them lies what turns their sums into bytes. */
#ifndef HM_TILED_H
#define HM_TILED_H

#if defined(__riscv_mul) && __riscv_xlen == 32 && !defined(__riscv_32e)
#define HM_TILED_RV32
#define HM_TILED_PIXELS 4 /* of a tile */
#else
#define HM_TILED_PIXELS 2
#endif

#if defined(__ARM_FEATURE_SAT) && defined(__thumb2__) /* clang has the first of a Cortex-M23, too, which has no USAT */
#define HM_TILED_USAT
#endif

/* A convolution as these functions see it: see Kernel. */
typedef struct hm_tiled {
    uint16_t in_w;
    uint16_t in_c;
    uint16_t in_g;
    uint16_t out_w;
    uint16_t out_c;
    uint16_t out_g;
    uint16_t groups;
    uint16_t shuffled; /* channels behind which a shuffle begins again */
    uint16_t pitch;    /* bytes of a row of one group's input in scratch */
    uint16_t cells;    /* of a sum */
    uint8_t cell;      /* taps of a cell */
    uint8_t k;
    uint8_t stride;
    uint8_t left; /* columns of padding before a row, and behind it */
    uint8_t right;
    uint8_t padding;
    uint8_t relu;
} hm_tiled;

/* What turns a channel's sums into bytes. Of doubled sums behind a ReLU and the doubled multiplier, the high word holds
 * one bit more than TFLite's high product; then both roundings are one. */
typedef struct hm_tiled_channel {
    int32_t bias;
    uint32_t multiplier; /* doubled */
    uint32_t round;
    uint32_t shift; /* and one */
} hm_tiled_channel;

/* Where a pixel's input begins, and where its outputs go: seen from the first pixel's. */
typedef struct hm_tiled_pixel {
    int32_t in;
    int32_t out;
} hm_tiled_pixel;

/* Bytes of a cell's weights: four of each channel, then the way from its input to the next cell's, 0 at the end. */
#define HM_TILED_CELL 20

/* Bytes of what lies behind the weights: four hm_tiled_channel, and on RV32 the rest of hm_tiled_walk. */
#define HM_TILED_FOUR 92
HM_STATIC_ASSERT(4 * sizeof(hm_tiled_channel) <= HM_TILED_FOUR, "hm_tiled_channel is larger than its place");

/* Bytes of scratch, where these lie one behind the other: pixels in whole tiles, and bytes of input. */
#define HM_TILED_SCRATCH(pixels, cells, planes)                                                                         \
    ((pixels) * sizeof(hm_tiled_pixel) + (cells) * HM_TILED_CELL + HM_TILED_FOUR + (planes))

/* Lists the pixels of n rows, the last one twice where that fills a tile; returns how many. */
static inline int hm_tiled_pixels(const hm_tiled *s, const uint8_t *const *rows, uint8_t *const *out, int n,
                                  hm_tiled_pixel *pixels)
{
    int count = 0;
    for (int y = 0; y < n; y++) {
        const int32_t in = s->k > 1 ? y * s->stride * s->pitch : (int32_t)(rows[y * s->stride] - rows[0]);
        const int step = s->stride * (s->k > 1 ? s->in_g : s->in_c);
        const int32_t to = (int32_t)(out[y] - out[0]);
        for (int x = 0; x < s->out_w; x++, count++) {
            pixels[count].in = in + x * step;
            pixels[count].out = to + x * s->out_c;
        }
    }
    pixels[count] = pixels[count - 1]; /* in a full tile's place or, behind the last tile, in that of weights to come */
    return count + (count % HM_TILED_PIXELS == HM_TILED_PIXELS - 1);
}

/* Writes the padding of n rows, the same for every group: from the pixels of a row on to those of the next. */
static inline void hm_tiled_padding(const hm_tiled *s, const uint8_t *const *rows, int n, uint8_t *planes)
{
    uint8_t *from = planes;
    for (int y = 0; y <= n; y++, planes += s->pitch) {
        uint8_t *const pixels = y < n ? planes + s->left * s->in_g : planes;
        uint8_t *const behind = y < n ? pixels + s->in_w * s->in_g : planes;
        uint8_t *const to = y < n && rows[y] == NULL ? behind : pixels;
        hm_fill(from, s->padding, (size_t)(to - from));
        from = behind;
    }
}

/* Copies n rows of the group whose first channel is `first`. */
static inline void hm_tiled_rows(const hm_tiled *s, const uint8_t *const *rows, int n, int first, uint8_t *planes)
{
    const int in_g = s->in_g;
    const int in_c = s->in_c;
    const int width = s->in_w * in_g;
    const int piece = in_g == in_c ? width : in_g; /* that lies together */
    const int words = in_g == 4 && s->padding == 0; /* in maps: the image may lie at any address */
    uint8_t *to = planes + s->left * in_g;
    for (int y = 0; y < n; y++, to += s->pitch) {
        const uint8_t *from = rows[y];
        if (from == NULL) {
            continue;
        }
        from += first;
        uint8_t *const end = to + width;
        if (words) {
            for (uint8_t *at = to; at != end; at += 4, from += in_c) {
                hm_set_aligned_word(at, hm_aligned_word(from));
            }
        } else {
            for (uint8_t *at = to; at != end; at += piece, from += in_c) {
                hm_copy(at, from, (size_t)piece);
            }
        }
    }
}

/* Whether a sum begins at its last cell: on RV32 where cells are of three taps. Then the way to the next one, the only
 * number that the loop looks at, is below zero, and above where they are of four. */
#ifdef HM_TILED_RV32
#define HM_TILED_BACK(cell) ((cell) == 3)
#else
#define HM_TILED_BACK(cell) 0
#endif

/* Writes the ways from cell to cell; returns where the first one is, seen from a sum's first tap. */
static inline int hm_tiled_ways(const hm_tiled *s, int8_t *weights)
{
    const int cell = s->cell;
    const int run = s->k * s->in_g;
    const int sign = HM_TILED_BACK(cell) ? -1 : 1;
    int8_t *to = weights + HM_TILED_CELL - 4;
    for (int y = 0; y < s->k; y++) {
        for (int left = run; left > 0; left -= cell, to += HM_TILED_CELL) {
            const int way = left > cell ? cell : cell + s->pitch - run;
            hm_set_aligned_word(to, (uint32_t)(sign * way));
        }
    }
    hm_set_aligned_word(to - HM_TILED_CELL, 0);
    return HM_TILED_BACK(cell) ? (s->k - 1) * s->pitch + run - 3 : 0;
}

/* Four channels from channel c on: their weights cell by cell, and behind them `channels`. */
static inline void hm_tiled_weights(const hm_tiled *s, const hm_conv *conv, int c, int8_t *to, hm_tiled_channel *channels)
{
    const int cell = s->cell;
    const int taps = s->k * s->k * s->in_g;
    for (int i = 0; i < 4; i++) {
        const uint32_t shift = conv->shift[c + i];
        channels[i].bias = conv->bias[c + i];
        channels[i].multiplier = (uint32_t)conv->multiplier[c + i] << 1;
        channels[i].round = UINT32_C(1) << shift | 1;
        channels[i].shift = shift + 1;
    }
    const int8_t *from = conv->weight + c * taps;
    if (cell == 4 && (uintptr_t)from % 4 == 0) {
        for (int left = s->cells; left > 0; left--, from += 4, to += HM_TILED_CELL) {
            hm_set_aligned_word(to, hm_aligned_word(from));
            hm_set_aligned_word(to + 4, hm_aligned_word(from + taps));
            hm_set_aligned_word(to + 8, hm_aligned_word(from + 2 * taps));
            hm_set_aligned_word(to + 12, hm_aligned_word(from + 3 * taps));
        }
        return;
    }
    const int way = HM_TILED_BACK(cell) ? -3 : cell;
    from += HM_TILED_BACK(cell) ? taps - 3 : 0;
    for (int i = 0; i < 4; i++, to += 4, from += taps) {
        const int8_t *tap = from;
        int8_t *column = to;
        for (int left = s->cells; left > 0; left--, tap += way, column += HM_TILED_CELL) {
            column[0] = tap[0];
            column[1] = tap[1];
            column[2] = tap[2];
            if (cell == 4) {
                column[3] = tap[3];
            }
        }
    }
}

/* Twice the sum, or 0 where that is negative. */
static inline uint32_t hm_tiled_twice(int32_t sum)
{
    uint32_t twice;
#ifdef HM_TILED_USAT
    __asm__("usat %0, #31, %1, lsl #1" : "=r"(twice) : "r"(sum));
#else
    twice = ((uint32_t)sum & ~hm_mask(sum < 0)) << 1;
#endif
    return twice;
}

/* Behind a ReLU: q + 128, so 0 ... 255. */
static inline uint8_t hm_tiled_relu(int32_t sum, hm_tiled_channel c)
{
    const uint32_t high = (uint32_t)((uint64_t)hm_tiled_twice(sum) * c.multiplier >> 32);
    const uint32_t rounded = (high + c.round) >> c.shift;
#ifdef HM_TILED_USAT
    uint32_t byte;
    __asm__("usat %0, #8, %1" : "=r"(byte) : "r"(rounded));
    return (uint8_t)byte;
#else
    return (uint8_t)(rounded | (0U - ((255U - rounded) >> 31))); /* by its top bit: of a comparison clang makes a branch */
#endif
}

/* A pixel's outputs of four channels, `next` bytes from one to the next. */
static inline void hm_tiled_outputs(const hm_tiled_channel *channels, int relu, const int32_t sums[4], uint8_t *to,
                                    int next)
{
    for (int i = 0; i < 4; i++, to += next) {
        const hm_tiled_channel c = channels[i];
        *to = relu ? hm_tiled_relu(sums[i], c)
                   : (uint8_t)hm_requantise_linear(sums[i], (int32_t)(c.multiplier >> 1), (uint8_t)(c.shift - 1));
    }
}

#endif

/* Tiles of four channels of two pixels, for any core: 8 sums, 2 inputs, a weight and 3 pointers are a Cortex-M's 14
 * registers. */
#ifndef HM_TILED_PAIRS_H
#define HM_TILED_PAIRS_H

#ifndef HM_TILED_RV32

/* A number of each pixel of a tile. */
typedef struct hm_tiled_pair {
    int32_t a, b;
} hm_tiled_pair;

/* One channel's sums: each pixel's input times the weight. volatile and "memory" keep all in this order: compilers would
 * load early, add late, and run out of registers. */
static inline void hm_tiled_add(hm_tiled_pair *sum, const hm_tiled_pair *in, int32_t weight)
{
#ifdef __thumb2__
    __asm__ volatile("mla %[a], %[x0], %[w], %[a]\n\tmla %[b], %[x1], %[w], %[b]"
                     : [a] "+r"(sum->a), [b] "+r"(sum->b)
                     : [x0] "r"(in->a), [x1] "r"(in->b), [w] "r"(weight)
                     : "memory");
#else
    sum->a += in->a * weight;
    sum->b += in->b * weight;
    __asm__ volatile("" : "+r"(sum->a), "+r"(sum->b) : : "memory");
#endif
}

/* Tap t of a cell. */
#define HM_TILED_TAP(t)                                                                                                 \
    do {                                                                                                                \
        const hm_tiled_pair tap = {p0[t], p1[t]};                                                                       \
        hm_tiled_add(&s0, &tap, w[t]);                                                                                   \
        hm_tiled_add(&s1, &tap, w[4 + (t)]);                                                                             \
        hm_tiled_add(&s2, &tap, w[8 + (t)]);                                                                             \
        hm_tiled_add(&s3, &tap, w[12 + (t)]);                                                                            \
    } while (0)

/* Four channels of all pixels, from `out` in the first one on, `next` bytes from channel to channel. */
__attribute__((noinline, unused)) static void hm_tiled_tiles(const hm_tiled *s, const hm_tiled_channel *channels,
                                                             const int8_t *weights, const hm_tiled_pixel *pixels,
                                                             int count, const uint8_t *in, uint8_t *out, int next)
{
    const int relu = s->relu;
    const int fourth = s->cell == 4;
    for (; count > 0; count -= 2, pixels += 2) {
        const uint8_t *p0 = in + pixels[0].in;
        const uint8_t *p1 = in + pixels[1].in;
        const int8_t *w = weights;
        int32_t way;
        hm_tiled_pair s0 = {channels[0].bias, channels[0].bias};
        hm_tiled_pair s1 = {channels[1].bias, channels[1].bias};
        hm_tiled_pair s2 = {channels[2].bias, channels[2].bias};
        hm_tiled_pair s3 = {channels[3].bias, channels[3].bias};
        do {
            HM_TILED_TAP(0);
            HM_TILED_TAP(1);
            HM_TILED_TAP(2);
            int more = fourth;
            __asm__ volatile("" : "+r"(more)); /* or GCC would take a sum's register for it */
            if (more) {
                HM_TILED_TAP(3);
            }
            way = (int32_t)hm_aligned_word(w + HM_TILED_CELL - 4);
            p0 += way;
            p1 += way;
            w += HM_TILED_CELL;
        } while (way != 0);
        if (relu) { /* channel by channel: both pixels by what was loaded once */
            uint8_t *const to0 = out + pixels[0].out;
            uint8_t *const to1 = out + pixels[1].out;
            to0[0] = hm_tiled_relu(s0.a, channels[0]);
            to1[0] = hm_tiled_relu(s0.b, channels[0]);
            to0[next] = hm_tiled_relu(s1.a, channels[1]);
            to1[next] = hm_tiled_relu(s1.b, channels[1]);
            to0[2 * next] = hm_tiled_relu(s2.a, channels[2]);
            to1[2 * next] = hm_tiled_relu(s2.b, channels[2]);
            to0[3 * next] = hm_tiled_relu(s3.a, channels[3]);
            to1[3 * next] = hm_tiled_relu(s3.b, channels[3]);
        } else {
            const int32_t sums[2][4] = {{s0.a, s1.a, s2.a, s3.a}, {s0.b, s1.b, s2.b, s3.b}};
            for (int i = 0; i < 2; i++) {
                hm_tiled_outputs(channels, 0, sums[i], out + pixels[i].out, next);
            }
        }
    }
}

#endif

#endif

/* Tiles of four channels of four pixels, for RV32IM.
 *
 * 16 sums, four inputs, a weight, a product, and pointers to the inputs, the weights and the list of pixels are the 28
 * registers that a function has, so that no compiler can be left to deal them out. What is needed before and behind the
 * products lies behind the weights, where their pointer has then arrived. */
#ifndef HM_TILED_RV32_H
#define HM_TILED_RV32_H

#ifdef HM_TILED_RV32

/* What lies behind the weights. */
typedef struct hm_tiled_walk {
    hm_tiled_channel channel[4];
    const int8_t *weights;
    const uint8_t *in;         /* of the pixels' `in` */
    void *out;                 /* of their `out`; or where sums go: four of a pixel, four pixels */
    const hm_tiled_pixel *end; /* behind the last full tile */
    int32_t fourth;            /* cells of four taps, or else of three */
    int32_t bytes;             /* outputs are bytes, side by side and behind a ReLU, or else sums */
    uint32_t kept;             /* s0, which may be the compiler's frame pointer */
} hm_tiled_walk;

/* The macros know a channel's members, and the walk a pixel's, by their offsets. */
HM_STATIC_ASSERT(sizeof(hm_tiled_walk) == HM_TILED_FOUR && offsetof(hm_tiled_walk, channel) == 0,
                 "hm_tiled_walk is not what scratch has room for behind the weights");
HM_STATIC_ASSERT(sizeof(hm_tiled_channel) == 16 && offsetof(hm_tiled_channel, bias) == 0 &&
                     offsetof(hm_tiled_channel, multiplier) == 4 && offsetof(hm_tiled_channel, round) == 8 &&
                     offsetof(hm_tiled_channel, shift) == 12,
                 "hm_tiled_channel is another one than the assembler's");
HM_STATIC_ASSERT(sizeof(hm_tiled_pixel) == 8 && offsetof(hm_tiled_pixel, in) == 0 && offsetof(hm_tiled_pixel, out) == 4,
                 "hm_tiled_pixel is another one than the assembler's");

/* The registers:
 *
 *     a0 to a3              the pixels' inputs, then their outputs
 *     a4                    the weights, and behind the last ones the walk
 *     a5                    the list of pixels
 *     s2 to s5              sums of the first channel, one of each pixel
 *     s6 to s9              of the second
 *     s10, s11, a6, a7      of the third
 *     t3 to t6              of the fourth
 *     s0, s1, t0, t1        the pixels' inputs at a tap; then s0, s1 and t0 a channel's multiplier, round and shift
 *     t2, ra                a weight, and a product
 *
 * Assembler's macros, as a string of all that they stand for would be too long for C:
 *
 *     hm_tiled_all          adds a number to a0 to a3
 *     hm_tiled_bias         begins a channel's sums
 *     hm_tiled_product      adds an input times the weight to a sum
 *     hm_tiled_products     loads a channel's weight, and adds the four products with it
 *     hm_tiled_tap          loads four inputs, and adds the products with the weights of all channels
 *     hm_tiled_byte         makes a sum the byte that hm_tiled_relu makes of it, and stores that
 *     hm_tiled_bytes        the same of a channel's four sums
 *     hm_tiled_four         stores a channel's sums, four words apart */
#define HM_TILED_MACROS                                                                                                 \
    ".macro hm_tiled_all number\n\t"                                                                                    \
    "add a0, a0, \\number\n\tadd a1, a1, \\number\n\tadd a2, a2, \\number\n\tadd a3, a3, \\number\n\t"                  \
    ".endm\n\t"                                                                                                         \
    ".macro hm_tiled_bias at, a, b, c, d\n\t"                                                                           \
    "lw \\a, \\at(a4)\n\tmv \\b, \\a\n\tmv \\c, \\a\n\tmv \\d, \\a\n\t"                                                 \
    ".endm\n\t"                                                                                                         \
    ".macro hm_tiled_product input, sum\n\t"                                                                            \
    "mul ra, \\input, t2\n\tadd \\sum, \\sum, ra\n\t"                                                                   \
    ".endm\n\t"                                                                                                         \
    ".macro hm_tiled_products at, a, b, c, d\n\t"                                                                       \
    "lb t2, \\at(a4)\n\t"                                                                                               \
    "hm_tiled_product s0, \\a\n\thm_tiled_product s1, \\b\n\thm_tiled_product t0, \\c\n\thm_tiled_product t1, \\d\n\t"  \
    ".endm\n\t"                                                                                                         \
    ".macro hm_tiled_tap t, t4, t8, t12\n\t"                                                                            \
    "lbu s0, \\t(a0)\n\tlbu s1, \\t(a1)\n\tlbu t0, \\t(a2)\n\tlbu t1, \\t(a3)\n\t"                                      \
    "hm_tiled_products \\t, s2, s3, s4, s5\n\thm_tiled_products \\t4, s6, s7, s8, s9\n\t"                               \
    "hm_tiled_products \\t8, s10, s11, a6, a7\n\thm_tiled_products \\t12, t3, t4, t5, t6\n\t"                           \
    ".endm\n\t"                                                                                                         \
    ".macro hm_tiled_byte sum, at, to\n\t"                                                                              \
    "sgtz ra, \\sum\n\tslli ra, ra, 1\n\tmul \\sum, \\sum, ra\n\tmulhu \\sum, \\sum, s0\n\tadd \\sum, \\sum, s1\n\t"    \
    "srl \\sum, \\sum, t0\n\tsltiu ra, \\sum, 256\n\taddi ra, ra, -1\n\tor \\sum, \\sum, ra\n\tsb \\sum, \\at(\\to)\n\t" \
    ".endm\n\t"                                                                                                         \
    ".macro hm_tiled_bytes at, multiplier, round, shift, a, b, c, d\n\t"                                                \
    "lw s0, \\multiplier(a4)\n\tlw s1, \\round(a4)\n\tlw t0, \\shift(a4)\n\t"                                           \
    "hm_tiled_byte \\a, \\at, a0\n\thm_tiled_byte \\b, \\at, a1\n\t"                                                    \
    "hm_tiled_byte \\c, \\at, a2\n\thm_tiled_byte \\d, \\at, a3\n\t"                                                    \
    ".endm\n\t"                                                                                                         \
    ".macro hm_tiled_four at0, at1, at2, at3, a, b, c, d\n\t"                                                           \
    "sw \\a, \\at0(t1)\n\tsw \\b, \\at1(t1)\n\tsw \\c, \\at2(t1)\n\tsw \\d, \\at3(t1)\n\t"                              \
    ".endm\n\t"
#define HM_TILED_NO_MACROS                                                                                              \
    ".purgem hm_tiled_all\n\t.purgem hm_tiled_bias\n\t.purgem hm_tiled_product\n\t.purgem hm_tiled_products\n\t"        \
    ".purgem hm_tiled_tap\n\t.purgem hm_tiled_byte\n\t.purgem hm_tiled_bytes\n\t.purgem hm_tiled_four\n\t"

/* All full tiles where outputs are bytes; only the first where they are sums. Returns the pixel behind. */
static inline const hm_tiled_pixel *hm_tiled_walk_on(hm_tiled_walk *behind, const hm_tiled_pixel *pixels)
{
    register hm_tiled_walk *a4 __asm__("a4") = behind;
    register const hm_tiled_pixel *a5 __asm__("a5") = pixels;
    __asm__ volatile(HM_TILED_MACROS
                     "sw s0, %[kept](a4)\n"
                     "1:\n\t" /* a tile */
                     "lw a0, 0(a5)\n\tlw a1, 8(a5)\n\tlw a2, 16(a5)\n\tlw a3, 24(a5)\n\t"
                     "lw t0, %[in](a4)\n\thm_tiled_all t0\n\t"
                     "hm_tiled_bias 0, s2, s3, s4, s5\n\thm_tiled_bias 16, s6, s7, s8, s9\n\t"
                     "hm_tiled_bias 32, s10, s11, a6, a7\n\thm_tiled_bias 48, t3, t4, t5, t6\n\t"
                     "lw t0, %[fourth](a4)\n\tlw a4, %[weights](a4)\n\tbeqz t0, 3f\n"
                     "2:\n\t" /* cells of four begin with their last tap, those of three behind it */
                     "hm_tiled_tap 3, 7, 11, 15\n"
                     "3:\n\t"
                     "hm_tiled_tap 0, 4, 8, 12\n\thm_tiled_tap 1, 5, 9, 13\n\thm_tiled_tap 2, 6, 10, 14\n\t"
                     "lw t2, %[way](a4)\n\taddi a4, a4, %[cell]\n\thm_tiled_all t2\n\tbgtz t2, 2b\n\tbltz t2, 3b\n\t"
                     "lw t0, %[bytes](a4)\n\tlw t1, %[out](a4)\n\tbeqz t0, 4f\n\t"
                     "lw a0, 4(a5)\n\tlw a1, 12(a5)\n\tlw a2, 20(a5)\n\tlw a3, 28(a5)\n\thm_tiled_all t1\n\t"
                     "hm_tiled_bytes 0, 4, 8, 12, s2, s3, s4, s5\n\thm_tiled_bytes 1, 20, 24, 28, s6, s7, s8, s9\n\t"
                     "hm_tiled_bytes 2, 36, 40, 44, s10, s11, a6, a7\n\thm_tiled_bytes 3, 52, 56, 60, t3, t4, t5, t6\n\t"
                     "lw t0, %[end](a4)\n\taddi a5, a5, 32\n\tbne a5, t0, 1b\n\tj 5f\n"
                     "4:\n\t" /* sums: 16 words of `out` */
                     "addi a5, a5, 32\n\t"
                     "hm_tiled_four 0, 16, 32, 48, s2, s3, s4, s5\n\thm_tiled_four 4, 20, 36, 52, s6, s7, s8, s9\n\t"
                     "hm_tiled_four 8, 24, 40, 56, s10, s11, a6, a7\n\thm_tiled_four 12, 28, 44, 60, t3, t4, t5, t6\n"
                     "5:\n\t"
                     "lw s0, %[kept](a4)\n\t" HM_TILED_NO_MACROS
                     : "+r"(a4), "+r"(a5)
                     : [weights] "i"(offsetof(hm_tiled_walk, weights)), [in] "i"(offsetof(hm_tiled_walk, in)),
                       [out] "i"(offsetof(hm_tiled_walk, out)), [end] "i"(offsetof(hm_tiled_walk, end)),
                       [fourth] "i"(offsetof(hm_tiled_walk, fourth)), [bytes] "i"(offsetof(hm_tiled_walk, bytes)),
                       [kept] "i"(offsetof(hm_tiled_walk, kept)), [way] "i"(HM_TILED_CELL - 4), [cell] "i"(HM_TILED_CELL)
                     : "memory", "ra", "t0", "t1", "t2", "t3", "t4", "t5", "t6", "a0", "a1", "a2", "a3", "a6", "a7", "s1",
                       "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11");
    return a5;
}

/* A pixel's sums of four channels. */
static inline void hm_tiled_sums(const hm_tiled *s, const hm_tiled_channel *channels, const int8_t *w, const uint8_t *in,
                                 int32_t sums[4])
{
    const int cell = s->cell;
    int32_t s0 = channels[0].bias;
    int32_t s1 = channels[1].bias;
    int32_t s2 = channels[2].bias;
    int32_t s3 = channels[3].bias;
    int32_t way;
    do {
        const int8_t *const end = w + cell;
        for (const uint8_t *from = in; w != end; w++, from++) {
            const int32_t x = *from;
            s0 += x * w[0];
            s1 += x * w[4];
            s2 += x * w[8];
            s3 += x * w[12];
            __asm__ volatile("" : : : "memory"); /* or GCC would keep the weights of four taps for the next cell */
        }
        w += HM_TILED_CELL - cell;
        way = (int32_t)hm_aligned_word(w - 4);
        in += way;
    } while (way != 0);
    sums[0] = s0;
    sums[1] = s1;
    sums[2] = s2;
    sums[3] = s3;
}

/* Four channels of all pixels, from `out` in the first one on, `next` bytes from channel to channel. */
static inline void hm_tiled_tiles(const hm_tiled *s, hm_tiled_channel *channels, const int8_t *weights,
                                  const hm_tiled_pixel *pixels, int count, const uint8_t *in, uint8_t *out, int next)
{
    int32_t sums[16];
    hm_tiled_walk *const walk = (hm_tiled_walk *)channels; /* whose first member they are */
    const hm_tiled_pixel *const end = pixels + count;
    const int bytes = s->relu && next == 1;
    walk->weights = weights;
    walk->in = in;
    walk->out = bytes ? (void *)out : (void *)sums;
    walk->end = pixels + (count & ~3);
    walk->fourth = s->cell == 4;
    walk->bytes = bytes;
    while (pixels != end) {
        const hm_tiled_pixel *pixel = pixels;
        if (pixels < walk->end) {
            pixels = hm_tiled_walk_on(walk, pixels);
            if (bytes) {
                continue;
            }
        } else {
            hm_tiled_sums(s, channels, weights, in + pixels->in, sums);
            pixels++;
        }
        for (const int32_t *sum = sums; pixel != pixels; pixel++, sum += 4) {
            hm_tiled_outputs(channels, s->relu, sum, out + pixel->out, next);
        }
    }
}

#endif

#endif

/* A strip of a stage in tiles. */
#ifndef HM_TILED_STRIP_H
#define HM_TILED_STRIP_H

/* n rows of a stage: group by group, four channels at a time. next: bytes from an output to the next channel's. */
__attribute__((noinline, unused)) static void hm_tiled_strip(const hm_tiled *s, const hm_conv *conv,
                                                             const uint8_t *const *rows, uint8_t *const *out, int n,
                                                             void *scratch, int next)
{
    hm_tiled_pixel *const pixels = (hm_tiled_pixel *)scratch;
    const int count = hm_tiled_pixels(s, rows, out, n, pixels);
    int8_t *const weights = (int8_t *)(pixels + count);
    hm_tiled_channel *const channels = (hm_tiled_channel *)(void *)(weights + s->cells * HM_TILED_CELL);
    uint8_t *const planes = (uint8_t *)channels + HM_TILED_FOUR;
    const int in_rows = (n - 1) * s->stride + s->k;
    const int first = hm_tiled_ways(s, weights);
    if (s->k > 1) {
        hm_tiled_padding(s, rows, in_rows, planes);
    }
    for (int g = 0; g < s->groups; g++) {
        const int end = (g + 1) * s->out_g;
        const uint8_t *in = planes;
        if (s->k > 1) {
            hm_tiled_rows(s, rows, in_rows, g * s->in_g, planes);
        } else {
            in = rows[0] + g * s->in_g;
        }
        for (int from = end - s->out_g; from < end; from += 4) {
            const int c = from < end - 4 ? from : end - 4; /* the last four may be among those before */
            hm_tiled_weights(s, conv, c, weights, channels);
            const int place = next == 1 ? c : hm_shuffled(c, next, s->shuffled);
            hm_tiled_tiles(s, channels, weights, pixels, count, in + first, out[0] + place, next);
        }
    }
}

#endif

/* Stage 0: 3x3, stride 2, 8x6x3 to 4x3x6. */
static void hm_stage0_rows(hm_conv conv, const uint8_t *const *rows, uint8_t *const *out, int n, void *scratch)
{
    static const hm_tiled shape = {
        /* in_w, in_c, in_g, out_w, out_c, out_g, groups, shuffled, pitch, cells,
         * cell, k, stride, left, right, padding, relu */
        6, 3, 3, 3, 6, 6, 1, 6, 24, 9, 3, 3, 2, 0, 1, 128, 1,
    };
    HM_STATIC_ASSERT(HM_TILED_SCRATCH(12, 9, 216) == 584, "scratch has another size");
    hm_tiled_strip(&shape, &conv, rows, out, n, scratch, 1);
}

/* Stage 1: 3x3, 4x3x6 to 4x3x6 in 2 groups of 3 to 3. */
HM_NOINLINE
static void hm_stage1_rows(hm_conv conv, const uint8_t *const *rows, uint8_t *const *out, int n, void *scratch)
{
    enum { k = 3, stride = 1, pad_left = 1, in_w = 3, in_c = 6 };
    enum { out_w = 3, out_c = 6 };
    enum { groups = 2, in_g = 3, out_g = 3, taps = 27 };
    uint8_t *const patch = (uint8_t *)scratch; /* one group's channels under the kernel, padding included: taps bytes */

    for (int y = 0; y < n; y++, rows += stride) {
        uint8_t *to = out[y];
        for (int x = 0; x < out_w; x++, to += out_c) {
            const int left = x * stride - pad_left;
            const int from = left < 0 ? -left : 0;
            const int end = left + k > in_w ? in_w - left : k;
            if (end - from < k || rows[0] == NULL || rows[k - 1] == NULL) {
                hm_fill(patch, 0, taps);
            }
            for (int g = 0; g < groups; g++) {
                for (int ky = 0; ky < k; ky++) {
                    for (int kx = from; kx < end && rows[ky] != NULL; kx++) {
                        hm_copy(patch + (ky * k + kx) * in_g, rows[ky] + (left + kx) * in_c + g * in_g, in_g);
                    }
                }
                for (int c = g * out_g; c < (g + 1) * out_g; c++) {
                    to[c] = hm_relu(conv, c, hm_dot(patch, conv.weight + c * taps, taps));
                }
            }
        }
    }
}

/* Stage 2: sum of stages 0 and 1, 4x3x6, shuffled in 2 groups. */
HM_NOINLINE
static void hm_stage2_rows(const uint8_t *const *a, uint8_t *const *b, uint8_t *const *out, int n)
{
    enum { width = 3, channels = 6, groups = 2 };

    for (int y = 0; y < n; y++) {
        for (int g = 0, from = 0; g < groups; g++) {
            for (int to = g; to < channels; to += groups, from += 1) {
                const uint8_t *p = a[y] + from;
                const uint8_t *q = b[y] + from;
                uint8_t *o = out[y] + to;
                for (int x = 0; x < width; x++, p += channels, q += channels, o += channels) {
                    *o = hm_sum(*p, *q);
                }
            }
        }
    }
}

/* Stage 3: 1x1, 4x3x6 to 4x3x10 in 2 groups of 3 to 5, linear. */
static void hm_stage3_rows(hm_conv conv, const uint8_t *const *rows, uint8_t *const *out, int n, void *scratch)
{
    static const hm_tiled shape = {
        /* in_w, in_c, in_g, out_w, out_c, out_g, groups, shuffled, pitch, cells,
         * cell, k, stride, left, right, padding, relu */
        3, 6, 3, 3, 10, 5, 2, 10, 3, 1, 3, 1, 1, 0, 0, 0, 0,
    };
    HM_STATIC_ASSERT(HM_TILED_SCRATCH(12, 1, 0) == 208, "scratch has another size");
    hm_tiled_strip(&shape, &conv, rows, out, n, scratch, 1);
}

#endif

/* The head: sign(num) * floor(num^2 * 2^9 / norm), over 120 bytes of the last map. Row y of the last map goes into its sums ... */
static void hm_add_row(hm_session *session, const hm_weights *w, int y, const uint8_t *row)
{
    const int8_t *const end = (const int8_t *)row; /* q, not q + 128 */
    const int8_t *const weight = w->head + y * 30;
    int32_t num = 0;
    uint32_t norm = 0;
    for (int c = 0; c < 30; c++) {
        const int32_t u = end[c];
        num += u * weight[c];
        norm += (uint32_t)(u * u);
    }
    session->num += num;
    session->norm += norm;
}

/* ... and these make the logit. */
static int32_t hm_score(const hm_session *session, const hm_weights *w)
{
    (void)w;
    return hm_cosdot(session->num, session->norm, 9);
}

/* ---- The engine: rows, as they come ------------------------------------------------------------------------------ */

/* 0: 3x3, stride 2, 8x6x3 to 4x3x6.
 * 1: 3x3, 4x3x6 to 4x3x6 in 2 groups of 3 to 3.
 * 2: sum of stages 0 and 1, 4x3x6, shuffled in 2 groups.
 * 3: 1x1, 4x3x6 to 4x3x10 in 2 groups of 3 to 5, linear.
 */
static const hm_stage hm_stages[HM_LAYERS] = {
    /* rows, of the input, places, of the input, k, stride, above, wait, strip */
    {4, 8, 8, 0, 3, 2, 0, 4, 4},
    {4, 4, 12, 8, 3, 1, 1, 1, 4},
    {4, 4, 16, 12, 1, 1, 0, 1, 4},
    {4, 4, 20, 16, 1, 1, 0, 1, 4}
};

/* Where each row lies in session->maps, in units of 8 bytes: the image's (but for those that nobody goes back to), then
 * those of each stage. Rows that are in use together share no byte. */
static const uint16_t hm_places[] = {
    73, 76, 79, 82, 85, 88, 91, HM_NOT_KEPT,
    94, 97, 100, 103,
    24, 27, 30, 33,
    42, 45, 48, 51,
    26, 30, 34, 38
};

/* Wiped memory or a finished session is not open, nor (but for one chance in 2^32) is memory never begun. */
static const uint32_t hm_open = UINT32_C(0x6F70656E);

/* Computes n rows of a stage, from row y on; `newest` is the image's row that has just come. */
static void hm_run(hm_session *session, int stage, int y, int n, const uint8_t *newest)
{
    const hm_stage *const s = &hm_stages[stage];
    const hm_weights *const w = session->person.pointer->weights;
    uint8_t *const maps = session->maps;
    const uint8_t *rows[9];
    uint8_t *out[4];
    hm_rows_under(rows, s, y, n, maps, hm_places, stage == 0 ? session->rows[0] - 1 : -1, newest);
    hm_rows_at(out, n, maps, hm_places + s->places + y);
    switch (stage) {
    case 0: {
        const hm_conv conv = {w->weight0, w->bias0, w->multiplier0, w->shift0};
        hm_stage0_rows(conv, rows, out, n, maps + 0);
        hm_report(0, y, n, out, 18, 128);
        break;
    }
    case 1: {
        const hm_conv conv = {w->weight1, w->bias1, w->multiplier1, w->shift1};
        hm_stage1_rows(conv, rows, out, n, maps + 0);
        hm_report(1, y, n, out, 18, 128);
        break;
    }
    case 2: {
        uint8_t *others[4];
        hm_rows_at(others, n, maps, hm_places + 8 + y);
        hm_stage2_rows(rows, others, out, n);
        hm_report(2, y, n, out, 18, 128);
        break;
    }
    default: {
        const hm_conv conv = {w->weight3, w->bias3, w->multiplier3, w->shift3};
        hm_stage3_rows(conv, rows, out, n, maps + 0);
        hm_report(3, y, n, out, 30, 0);
        for (int i = 0; i < n; i++) {
            hm_add_row(session, w, y + i, out[i]);
        }
        break;
    }
    }
}

/* Goes as far as the rows have come: after each strip the stage behind it first, so that rows are used up early. */
static void hm_advance(hm_session *session, const uint8_t *newest)
{
    for (int stage = 0; stage >= 0;) {
        const hm_stage *const s = &hm_stages[stage];
        const int done = session->rows[stage + 1];
        const int ready = hm_ready(s, session->rows[stage]);
        const int more = ready - done;
        if (more >= s->wait || (more > 0 && ready == s->rows)) {
            const int n = more < s->strip ? more : s->strip;
            hm_run(session, stage, done, n, newest);
            session->rows[stage + 1] = (uint16_t)(done + n);
            if (stage < HM_LAYERS - 1) {
                stage++;
            }
        } else {
            stage--;
        }
    }
}

/* The check sum over all that a verdict depends on. */
static uint32_t hm_check_sum(const hm_person *person)
{
    const uint32_t crc = hm_crc32(0, person, offsetof(hm_person, crc));
    return hm_crc32(crc, person->weights, sizeof *person->weights);
}

static hm_status hm_check_person(const hm_person *person)
{
    if (person->abi != HM_ABI || person->architecture != HM_ARCHITECTURE) {
        return HM_WRONG_ENGINE;
    }
    /* INT32_MIN is CosDot's logit of what it cannot judge: no threshold may let that pass. */
    return hm_check_sum(person) == person->crc && person->threshold != INT32_MIN ? HM_OK : HM_CORRUPT_PERSON;
}

static void hm_reject(hm_verdict *verdict)
{
    verdict->logit = INT32_MIN;
    verdict->threshold = INT32_MAX;
    verdict->decision = HM_NO_MATCH;
    verdict->match = false;
}

hm_status hm_begin(hm_session *session, const hm_person *person)
{
    if (session == NULL) {
        return HM_NULL_POINTER;
    }
    session->state = 0;
    if (person == NULL || person->weights == NULL) {
        return HM_NULL_POINTER;
    }
    const hm_status status = hm_check_person(person);
    if (status != HM_OK) {
        return status;
    }
    session->person.pointer = person;
    session->num = 0;
    session->norm = 0;
    hm_fill(session->rows, 0, sizeof session->rows);
    session->state = hm_open;
    return HM_OK;
}

hm_status hm_push_row(hm_session *session, const uint8_t *row)
{
    if (session == NULL || row == NULL) {
        return HM_NULL_POINTER;
    }
    if (session->state != hm_open) {
        return HM_NOT_BEGUN;
    }
    const int y = session->rows[0];
    if (y >= HM_INPUT_ROWS) {
        session->rows[0] = HM_INPUT_ROWS + 1; /* so that hm_end refuses, too */
        return HM_WRONG_ROW_COUNT;
    }
    session->rows[0] = (uint16_t)(y + 1);
    hm_advance(session, row);
    if (hm_places[y] != HM_NOT_KEPT) {
        hm_copy(session->maps + (size_t)hm_places[y] * 8, row, HM_ROW_BYTES);
    }
    return HM_OK;
}

hm_status hm_end(hm_session *session, hm_verdict *verdict)
{
    if (verdict != NULL) {
        hm_reject(verdict);
    }
    if (session == NULL || verdict == NULL) {
        return HM_NULL_POINTER;
    }
    if (session->state != hm_open) {
        return HM_NOT_BEGUN;
    }
    hm_status status = HM_WRONG_ROW_COUNT;
    if (session->rows[0] == HM_INPUT_ROWS && session->rows[HM_LAYERS] == 4) {
        const hm_person *const person = session->person.pointer;
        verdict->logit = hm_score(session, person->weights);
        verdict->threshold = person->threshold;
        verdict->decision = HM_NO_MATCH ^ hm_mask(verdict->logit >= verdict->threshold); /* HM_MATCH is its complement */
        verdict->match = verdict->decision == HM_MATCH;
        status = HM_OK;
    }
    hm_wipe(session, sizeof *session); /* what a face left behind, and the session is over */
    return status;
}

hm_status hm_verify(hm_session *session, const hm_person *person, const uint8_t *rgb, hm_verdict *verdict)
{
    if (verdict != NULL) {
        hm_reject(verdict);
    }
    if (rgb == NULL || verdict == NULL) {
        return HM_NULL_POINTER;
    }
    hm_status status = hm_begin(session, person);
    for (int y = 0; y < HM_INPUT_ROWS && status == HM_OK; y++) {
        status = hm_push_row(session, rgb + y * HM_ROW_BYTES);
    }
    return status == HM_OK ? hm_end(session, verdict) : status;
}

hm_status hm_identify(hm_session *session, const hm_person *const people[], size_t n, const uint8_t *rgb,
                      hm_verdict *verdict, size_t *owner)
{
    if (verdict != NULL) {
        hm_reject(verdict);
    }
    if (owner != NULL) {
        *owner = n;
    }
    if (people == NULL || verdict == NULL || owner == NULL) {
        return HM_NULL_POINTER;
    }
    hm_verdict best;
    hm_reject(&best);
    size_t who = n;
    int64_t most = INT64_MIN;
    for (size_t i = 0; i < n; i++) {
        hm_verdict one;
        const hm_status status = hm_verify(session, people[i], rgb, &one);
        if (status != HM_OK) {
            return status;
        }
        const int64_t above = (int64_t)one.logit - one.threshold;
        if (above > most) {
            most = above;
            best = one;
            who = i;
        }
    }
    *verdict = best;
    *owner = who;
    return HM_OK;
}

hm_status hm_known_answer(hm_session *session, const hm_person *person)
{
    hm_verdict verdict;
    hm_reject(&verdict);
    hm_status status = hm_begin(session, person);
    if (status != HM_OK) {
        return status;
    }
    uint8_t row[HM_ROW_BYTES];
    uint32_t random = person->known_seed;
    for (int y = 0; y < HM_INPUT_ROWS && status == HM_OK; y++) {
        random = hm_random_bytes(random, row, HM_ROW_BYTES);
        status = hm_push_row(session, row);
    }
    if (status == HM_OK) {
        status = hm_end(session, &verdict);
    }
    return status == HM_OK && verdict.logit != person->known_logit ? HM_WRONG_ANSWER : status;
}

/* ---- A person as a blob, from outside the program: person.bin -------------------------------------------------- */

/* Whether no image can make a sum or a shift go out of bounds with these integers. */
static bool hm_weights_hold(const hm_weights *w)
{
    const hm_conv conv0 = {w->weight0, w->bias0, w->multiplier0, w->shift0};
    if (!hm_conv_holds(conv0, 6, 27, 128)) {
        return false;
    }
    const hm_conv conv1 = {w->weight1, w->bias1, w->multiplier1, w->shift1};
    if (!hm_conv_holds(conv1, 6, 27, 0)) {
        return false;
    }
    const hm_conv conv3 = {w->weight3, w->bias3, w->multiplier3, w->shift3};
    if (!hm_conv_holds(conv3, 10, 3, 0)) {
        return false;
    }
    return hm_sum_holds(w->head, 120, 0, 0, 128, 31);
}

hm_status hm_person_from_blob(const void *blob, size_t size, hm_person *person)
{
    static const uint8_t architecture[32] = {
        0xA0, 0x3A, 0xFD, 0x79, 0xCB, 0x61, 0xBF, 0x80, 0x6C, 0x35, 0x73, 0xD0, 0x26, 0xB4, 0xB9, 0x98,
        0x91, 0xDB, 0xC3, 0xA4, 0x1C, 0x98, 0xE5, 0x39, 0x4F, 0x12, 0x2A, 0x6A, 0x7F, 0x4D, 0x0B, 0x0E,
    };
    if (person == NULL) {
        return HM_NULL_POINTER;
    }
    hm_fill(person, 0, sizeof *person);
    if (blob == NULL) {
        return HM_NULL_POINTER;
    }
    if ((uintptr_t)blob % sizeof(int32_t) != 0) {
        return HM_MISALIGNED;
    }
    const uint8_t *const bytes = (const uint8_t *)blob;
    const hm_status status = hm_check_blob(bytes, size);
    if (status != HM_OK) {
        return status;
    }
    if (!hm_equal(bytes + HM_BLOB_ARCHITECTURE, architecture, sizeof architecture)) {
        return HM_WRONG_ENGINE;
    }
    hm_person found;
    hm_copy(&found, bytes + HM_BLOB_PERSON, offsetof(hm_person, name));
    found.name = (const char *)(bytes + HM_BLOB_NAME);
    found.weights = (const hm_weights *)(const void *)(bytes + HM_BLOB_HEAD);
    if (hm_word(bytes + HM_BLOB_WEIGHTS_BYTES) != HM_WEIGHTS_BYTES) {
        return HM_WRONG_SIZE;
    }
    const hm_status usable = hm_check_person(&found);
    if (usable == HM_OK && (found.known_seed == 0 || !hm_weights_hold(found.weights))) {
        return HM_CORRUPT_PERSON;
    }
    if (usable == HM_OK) {
        *person = found;
    }
    return usable;
}

#endif

#if (defined(HYPER_MCU_IMPLEMENTATION) || defined(HYPER_MCU_PERSON_DATA)) && !defined(HM_DATA_alice)
#define HM_DATA_alice

static const hm_weights hm_weights_alice = {
    /* Stage 0: 3x3, stride 2, 8x6x3 to 4x3x6. */
    /* bias0 */
    {-36117, -26949, -43365, 17179, -31780, -3848},
    /* multiplier0 */
    {2033843175, 1324236901, 1521926548, 1376000534, 2040046613, 1314677144},
    /* Stage 1: 3x3, 4x3x6 to 4x3x6 in 2 groups of 3 to 3. */
    /* bias1 */
    {3088, -4345, -3974, 1845, -3953, 2020},
    /* multiplier1 */
    {1592661291, 1428716238, 1413703990, 1440163076, 1602767455, 1321191166},
    /* Stage 3: 1x1, 4x3x6 to 4x3x10 in 2 groups of 3 to 5, linear. */
    /* bias3 */
    {3290, 4915, 3460, 170, 1823, -4312, 857, -2809,
     3174, 715},
    /* multiplier3 */
    {1244472850, 1929977285, 1183000125, 1792439551, 1836129723, 1443439064, 1954103521, 1354822835,
     1149558936, 1248745139},
    /* Stage 0. */
    /* weight0 */
    {-58, -108, 89, -47, -14, 72, -90, 98, 22,
     -105, 77, -59, -60, 16, 97, 86, 120, 62,
     122, 15, -113, -32, -120, 127, 41, 93, -57,
     39, 114, -70, 16, -15, -29, -57, -92, 8,
     102, 62, 67, 21, 46, -95, 102, 17, 56,
     36, -64, 43, 8, -72, 38, -126, 92, -45,
     77, -51, 51, 16, -15, 44, 43, 119, 86,
     -99, 53, -31, 84, -92, -18, 79, 107, 29,
     -72, -48, -66, -64, -60, 104, 48, -30, 52,
     -68, -52, -40, 73, 33, -109, -121, 115, 4,
     -23, 34, 100, -66, 2, 33, 17, 104, -121,
     -123, -12, -12, -126, 69, 48, 17, 38, 89,
     60, -105, -11, 46, -10, -75, 91, -115, 54,
     26, 20, 88, 125, 112, 126, -86, -43, -127,
     102, -81, 78, 56, -30, 13, 51, -39, -88,
     124, -7, -58, 51, 116, -102, -14, -51, -116,
     -99, -18, -1, 33, -43, 104, -19, -107, 121,
     -114, 75, 5, 102, 3, 25, 39, 9, -49},
    /* shift0 */
    {10, 9, 9, 10, 9, 9},
    /* Stage 1. */
    /* weight1 */
    {-21, 125, -109, 62, -112, -30, 52, -48, 45,
     105, 0, 22, 8, -47, -99, 124, 31, -96,
     31, -122, 39, 127, -29, 86, -61, -91, -108,
     -118, 44, -24, -115, -27, 116, -39, 77, 40,
     -105, 107, 31, -3, -80, -97, 101, -125, 14,
     -101, 87, 53, 16, 27, 89, -100, -4, -91,
     -37, -65, 127, -65, -69, 61, -8, -60, 116,
     -96, 53, 12, 98, 40, -94, -95, -17, -68,
     126, -26, 56, -118, -60, -2, -35, 89, -43,
     115, -120, -87, 105, 51, 121, -32, 98, 96,
     6, 108, 101, 99, -11, -93, -27, 54, 51,
     100, 63, 118, 114, -46, -77, 90, -88, 0,
     93, -6, 118, 109, 34, -81, 50, -49, -74,
     -64, 18, 53, -16, -23, 108, -117, -69, -58,
     125, -107, -26, 88, -122, -74, -71, 47, 63,
     -89, 125, -105, -54, 111, -25, -112, -104, 107,
     92, 16, 5, 27, -15, -20, 103, -69, -83,
     -38, 10, 35, 69, -35, 52, 84, 36, 54},
    /* shift1 */
    {9, 10, 10, 10, 10, 9},
    /* Stage 3. */
    /* weight3 */
    {26, -48, -87, -84, 35, 57, -9, 100, -24, 73, -66, -76, -107, -122, -104, 102, 53, -5,
     31, 103, 43, 5, 28, 48, -51, 118, -113, -40, 74, 100},
    /* shift3 */
    {8, 7, 8, 8, 8, 8, 8, 8, 8, 7},
    /* The head. */
    /* head */
    {10, 72, 125, -56, 13, 87, -105, 55, -37, 26, 2, 125, -116, 57, 100, 73,
     108, 93, -90, -10, -65, -52, 60, -19, 29, 111, 40, 56, 104, 10, -8, 74,
     97, -113, 118, -74, 62, 93, 66, 15, -25, -12, -11, -36, -45, -77, -87, 124,
     -4, 8, 58, 8, 46, -8, -111, -73, -65, -117, -31, 9, 104, 84, -111, 112,
     -48, 63, 108, 58, 85, -31, 75, 108, 68, -80, -40, 94, -16, -126, 29, 38,
     11, 106, -19, 89, -39, 98, 7, 35, -32, -109, 122, 47, 90, -33, 68, -104,
     71, -71, -28, 39, -68, -78, 24, 58, -53, 0, -75, -46, -53, 121, -40, 57,
     28, -3, -84, -36, -40, 92, -73, -112}
};

const hm_person hm_person_alice = {
    HM_ABI,
    HM_ARCHITECTURE,
    0, /* threshold */
    UINT32_C(7), /* self-test: seed of the image */
    16867530, /* and its logit */
    0x09B0C400U,
    "alice",
    &hm_weights_alice,
};

#endif

/* hyper-mcu reads this back (inspect, verify); no compiler does.
{"abi": 3,
"prefix": "hm",
"name": "alice",
"threshold": 0,
"score": 0.25,
"fmr": 0.001,
"fnmr": 0.0625,
"rates_on": "200 people",
"known": {"seed": 7, "logit": 16867530, "layers_sha256": "aa563a6a3c114c0b1b69806e5a5e0de828d1759370d35a0ab8557fbe3975ae78"},
"provenance": {"tool": "hyper-mcu 0.1.0", "backbone": "backbone", "backbone_sha256": "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "generator": "generator", "generator_sha256": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
"qnet_sha256": "3440b26cb80affb2efd393474e87112ce271340ea8e3092917f65c30747c68e4",
"netspec": {"channels": 3, "head": {"kind": "cosdot", "pool": false}, "height": 8, "id": "tiny@1", "norm": "none", "width": 6, "layers": [
  {"cin": 3, "cout": 6, "groups": 1, "k": 3, "pad": "same", "relu": true, "stride": 2, "type": "Conv"},
  {"cin": 6, "cout": 6, "groups": 2, "k": 3, "pad": "same", "relu": true, "stride": 1, "type": "Conv"},
  {"of": 0, "type": "Add"},
  {"groups": 2, "type": "Shuffle"},
  {"cin": 6, "cout": 10, "groups": 2, "k": 1, "pad": "same", "relu": false, "stride": 1, "type": "Conv"}]},
"out_scale": [0.0625, 0.0625, 0.0625],
"head_scale": 0.015625,
"weight_scale": [
  "QOS6PKBPIj2AZuc8AIDjODC3Dz2gD3s9EExBPTBaND0AfNY64PCvPEA/NTyAKZA74DMAPbB0VT0Q/2Y9QLxBPPAlET0ASmw8",
  "UCBxPUCpcT3AsqQ88NdIPQ=="]}
*/
