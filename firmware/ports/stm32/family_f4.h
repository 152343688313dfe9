/* STM32F405 (RM0090), F411 (RM0383), F446 (RM0390) and F746 (RM0385): one map of registers, but for the USART. */
#ifndef HM_FAMILY_F4_H
#define HM_FAMILY_F4_H

#define HM_RCC 0x40023800U
#define HM_RCC_CR (HM_RCC + 0x00U)
#define HM_RCC_PLLCFGR (HM_RCC + 0x04U)
#define HM_RCC_CFGR (HM_RCC + 0x08U)
#define HM_RCC_GPIO (HM_RCC + 0x30U) /* AHB1ENR: a bit a port */
#define HM_RCC_RNG (HM_RCC + 0x34U)  /* AHB2ENR */
#define HM_RCC_RNG_BIT (1U << 6)
#define HM_RCC_APB1 (HM_RCC + 0x40U)
#define HM_RCC_APB2 (HM_RCC + 0x44U)

#define HM_PWR_CR 0x40007000U
#define HM_FLASH 0x40023C00U
#define HM_FLASH_ACR (HM_FLASH + 0x00U)
#define HM_FLASH_KEYR (HM_FLASH + 0x04U)
#define HM_FLASH_SR (HM_FLASH + 0x0CU)
#define HM_FLASH_CR (HM_FLASH + 0x10U)

#define HM_GPIO(port) (0x40020000U + 0x400U * (port))
#define HM_RNG 0x50060800U

#if defined(HM_STM32_F7)
#define HM_USART_NEW 1 /* separate registers for what is received and what is sent */
#define HM_SECTOR_BYTES 0x8000U /* of the first four; then one of four times that, then of eight times that */
#else
#define HM_USART_NEW 0
#define HM_SECTOR_BYTES 0x4000U
#endif

#if HM_USART == 1
#define HM_USART_BASE 0x40011000U
#define HM_USART_ENABLE HM_RCC_APB2
#define HM_USART_BIT (1U << 4)
#elif HM_USART == 2
#define HM_USART_BASE 0x40004400U
#define HM_USART_ENABLE HM_RCC_APB1
#define HM_USART_BIT (1U << 17)
#elif HM_USART == 3
#define HM_USART_BASE 0x40004800U
#define HM_USART_ENABLE HM_RCC_APB1
#define HM_USART_BIT (1U << 18)
#else
#error "ports/stm32: HM_USART must be 1, 2 or 3"
#endif

#endif
