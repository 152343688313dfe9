/* A board's non-volatile memory: flash by address, and the partitions in it. A driver of a chip's flash gives the first
 * two calls, and flash_file.c gives them for an emulator. */
#ifndef HM_NVM_H
#define HM_NVM_H

#include "../../device/hm_port.h"

/* Exit codes of an emulated board. */
enum { HM_EXIT_FAULT = 82, HM_EXIT_NO_FLASH = 86, HM_EXIT_POWER_CUT = 87 };

void hm_nvm_begin(void);
bool hm_nvm_erase(uint32_t address);                                      /* the unit at an address */
bool hm_nvm_program(uint32_t address, const uint8_t *bytes, uint32_t n);  /* whole words */

/* Partition of the key: where, and how much. */
const hm_flash *hm_nvm_key(void);

#endif
