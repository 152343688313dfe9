/* 3x3 convolutions with stride 2 over an image of three channels, by the DSP instructions: the blocks of hm_dsp_3x3.h. */
#ifndef HM_DSP_IMAGE_H
#define HM_DSP_IMAGE_H

#include "hm_dsp_3x3.h"

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
