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
