/* STM32H743 (RM0433). */
#ifndef HM_FAMILY_H7_H
#define HM_FAMILY_H7_H

#define HM_RCC 0x58024400U
#define HM_RCC_CR (HM_RCC + 0x00U)
#define HM_RCC_CFGR (HM_RCC + 0x10U)
#define HM_RCC_D1CFGR (HM_RCC + 0x18U)
#define HM_RCC_D2CFGR (HM_RCC + 0x1CU)
#define HM_RCC_D3CFGR (HM_RCC + 0x20U)
#define HM_RCC_PLLCKSELR (HM_RCC + 0x28U)
#define HM_RCC_PLLCFGR (HM_RCC + 0x2CU)
#define HM_RCC_PLL1DIVR (HM_RCC + 0x30U)
#define HM_RCC_RNG (HM_RCC + 0xDCU) /* AHB2ENR */
#define HM_RCC_RNG_BIT (1U << 6)
#define HM_RCC_GPIO (HM_RCC + 0xE0U) /* AHB4ENR: a bit a port */

#define HM_PWR_CSR1 0x58024804U
#define HM_PWR_CR3 0x5802480CU
#define HM_PWR_D3CR 0x58024818U
#define HM_FLASH 0x52002000U /* a second bank 0x100 behind it */
#define HM_FLASH_ACR (HM_FLASH + 0x00U)

#define HM_GPIO(port) (0x58020000U + 0x400U * (port))
#define HM_RNG 0x48021800U

#define HM_USART_NEW 1
#if HM_USART == 3
#define HM_USART_BASE 0x40004800U
#define HM_USART_ENABLE (HM_RCC + 0xE8U) /* APB1LENR */
#define HM_USART_BIT (1U << 18)
#else
#error "ports/stm32: HM_USART must be 3"
#endif

#endif
