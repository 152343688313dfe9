/* STM32L476 (RM0351). */
#ifndef HM_FAMILY_L4_H
#define HM_FAMILY_L4_H

#define HM_RCC 0x40021000U
#define HM_RCC_CR (HM_RCC + 0x00U)
#define HM_RCC_CFGR (HM_RCC + 0x08U)
#define HM_RCC_PLLCFGR (HM_RCC + 0x0CU)
#define HM_RCC_GPIO (HM_RCC + 0x4CU) /* AHB2ENR: a bit a port */
#define HM_RCC_RNG (HM_RCC + 0x4CU)
#define HM_RCC_RNG_BIT (1U << 18)
#define HM_RCC_CCIPR (HM_RCC + 0x88U)

#define HM_FLASH 0x40022000U
#define HM_FLASH_ACR (HM_FLASH + 0x00U)
#define HM_FLASH_KEYR (HM_FLASH + 0x08U)
#define HM_FLASH_SR (HM_FLASH + 0x10U)
#define HM_FLASH_CR (HM_FLASH + 0x14U)
#define HM_FLASH_ECCR (HM_FLASH + 0x18U)
#define HM_FLASH_PAGE 0x800U
#define HM_FLASH_BANK 0x80000U

#define HM_GPIO(port) (0x48000000U + 0x400U * (port))
#define HM_RNG 0x50060800U

#define HM_USART_NEW 1
#if HM_USART == 2
#define HM_USART_BASE 0x40004400U
#define HM_USART_ENABLE (HM_RCC + 0x58U) /* APB1ENR1 */
#define HM_USART_BIT (1U << 17)
#else
#error "ports/stm32: HM_USART must be 2"
#endif

#endif
