/* STM32U575 (RM0456), without TrustZone (TZEN = 0, as it is delivered). */
#ifndef HM_FAMILY_U5_H
#define HM_FAMILY_U5_H

#define HM_RCC 0x46020C00U
#define HM_RCC_CR (HM_RCC + 0x00U)
#define HM_RCC_CFGR1 (HM_RCC + 0x1CU)
#define HM_RCC_PLL1CFGR (HM_RCC + 0x28U)
#define HM_RCC_PLL1DIVR (HM_RCC + 0x34U)
#define HM_RCC_GPIO (HM_RCC + 0x8CU) /* AHB2ENR1: a bit a port */
#define HM_RCC_RNG (HM_RCC + 0x8CU)
#define HM_RCC_RNG_BIT (1U << 18)
#define HM_RCC_AHB3 (HM_RCC + 0x94U)

#define HM_PWR_VOSR 0x4602080CU
#define HM_ICACHE_CR 0x40030400U
#define HM_ICACHE_SR 0x40030404U
#define HM_FLASH 0x40022000U
#define HM_FLASH_ACR (HM_FLASH + 0x00U)
#define HM_FLASH_KEYR (HM_FLASH + 0x08U) /* NSKEYR */
#define HM_FLASH_SR (HM_FLASH + 0x20U)   /* NSSR */
#define HM_FLASH_CR (HM_FLASH + 0x28U)   /* NSCR */
#define HM_FLASH_ECCR (HM_FLASH + 0x30U)
#define HM_FLASH_PAGE 0x2000U
#define HM_FLASH_BANK 0x100000U

#define HM_GPIO(port) (0x42020000U + 0x400U * (port))
#define HM_RNG 0x420C0800U

#define HM_USART_NEW 1
#if HM_USART == 1
#define HM_USART_BASE 0x40013800U
#define HM_USART_ENABLE (HM_RCC + 0xA4U) /* APB2ENR */
#define HM_USART_BIT (1U << 14)
#else
#error "ports/stm32: HM_USART must be 1"
#endif

#endif
