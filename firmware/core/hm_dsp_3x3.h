/* 3x3 convolutions over groups of four channels by the DSP instructions: some neighbouring outputs of one channel, a
 * block, at a time. hm_dsp_image.h has the same blocks. */
#ifndef HM_DSP_3X3_H
#define HM_DSP_3X3_H

#include "hm_dsp.h"

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
