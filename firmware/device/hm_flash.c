/* Erasing and programming a flash partition, each looked at afterwards. */
#include "hm_flash.h"

#include "../core/hm_check.h"

bool hm_flash_is_sound(const hm_flash *flash)
{
    return flash != NULL && flash->base != NULL && ((uintptr_t)flash->base & 15) == 0 && flash->erase != NULL &&
           flash->program != NULL && flash->word >= 1 && flash->word <= HM_FLASH_WORD &&
           (flash->word & (flash->word - 1)) == 0 && flash->unit >= HM_FLASH_UNIT && flash->unit % HM_FLASH_WORD == 0 &&
           flash->size >= flash->unit && flash->size % flash->unit == 0;
}

hm_code hm_flash_erase(const hm_flash *flash, uint32_t offset)
{
    if (offset % flash->unit != 0 || offset >= flash->size) {
        return HM_CODE_FLASH;
    }
    const bool done = flash->erase(flash->context, offset);
    return done && hm_flash_is_erased(flash, offset, flash->unit) ? HM_CODE_OK : HM_CODE_FLASH;
}

hm_code hm_flash_program(const hm_flash *flash, uint32_t offset, const void *bytes, uint32_t n)
{
    const uint8_t *const wanted = (const uint8_t *)bytes;
    if ((offset | n) % flash->word != 0 || offset > flash->size || n > flash->size - offset) {
        return HM_CODE_FLASH;
    }
    bool same = flash->program(flash->context, offset, wanted, n);
    for (uint32_t i = 0; i < n; i++) {
        same = same && flash->base[offset + i] == wanted[i];
    }
    return same ? HM_CODE_OK : HM_CODE_FLASH;
}

bool hm_flash_is_erased(const hm_flash *flash, uint32_t offset, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (flash->base[offset + i] != 0xFF) {
            return false;
        }
    }
    return true;
}

uint32_t hm_flash_crc(uint32_t crc, const void *bytes, uint32_t n)
{
    return hm_crc32(crc, bytes, n);
}
