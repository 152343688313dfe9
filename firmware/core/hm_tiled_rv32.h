/* Tiles of four channels of four pixels, for RV32IM.
 *
 * 16 sums, four inputs, a weight, a product, and pointers to the inputs, the weights and the list of pixels are the 28
 * registers that a function has, so that no compiler can be left to deal them out. What is needed before and behind the
 * products lies behind the weights, where their pointer has then arrived. */
#ifndef HM_TILED_RV32_H
#define HM_TILED_RV32_H

#include "hm_tiled.h"

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
