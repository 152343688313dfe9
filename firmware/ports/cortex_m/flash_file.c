/* Flash of an emulated board, whose own cannot be written: RAM that the emulator keeps in a file, so that it is there
 * again after the emulator was killed. It keeps to the rules of flash: erased to ones by units, each word once.
 *
 * hm-flash.bin: all partitions, from HM_FILE_ORIGIN on; made where it is not there. hm-power.bin, where it is there: how
 * many words (of 4 bytes, little-endian) may be programmed or units erased until the power fails, in the midst of one. */
#include "nvm.h"
#include "semihost.h"

#include "../../core/hm_memory.h"

enum { PIECE = 256 };

static uint32_t file = HM_NO_HANDLE;
static uint32_t operations = UINT32_MAX; /* until the power fails */

static uint8_t *at(uint32_t address)
{
    return (uint8_t *)(uintptr_t)address;
}

/* Puts n bytes into RAM and into the file. */
static void keep(uint32_t address, const uint8_t *bytes, uint32_t n)
{
    hm_copy(at(address), bytes, n);
    if (hm_host_seek(file, address - HM_FILE_ORIGIN) != 0 || hm_host_write(file, bytes, n) != n) {
        hm_host_exit(HM_EXIT_NO_FLASH);
    }
}

static void erase_bytes(uint32_t address, uint32_t n)
{
    uint8_t ones[PIECE];
    hm_fill(ones, 0xFF, sizeof ones);
    for (uint32_t done = 0; done < n; done += PIECE) {
        keep(address + done, ones, n - done < PIECE ? n - done : PIECE);
    }
}

void hm_nvm_begin(void)
{
    static const char flash_name[] = "hm-flash.bin";
    static const char power_name[] = "hm-power.bin";
    const uint32_t power = hm_host_open(power_name, sizeof power_name - 1, HM_OPEN_READ);
    if (power != HM_NO_HANDLE && hm_host_read(power, &operations, sizeof operations) != sizeof operations) {
        hm_host_exit(HM_EXIT_NO_FLASH);
    }
    file = hm_host_open(flash_name, sizeof flash_name - 1, HM_OPEN_UPDATE);
    if (file == HM_NO_HANDLE) {
        file = hm_host_open(flash_name, sizeof flash_name - 1, HM_OPEN_CREATE);
        if (file == HM_NO_HANDLE) {
            hm_host_exit(HM_EXIT_NO_FLASH);
        }
        erase_bytes(HM_FILE_ORIGIN, HM_FILE_BYTES);
    }
    if (hm_host_seek(file, 0) != 0 || hm_host_read(file, at(HM_FILE_ORIGIN), HM_FILE_BYTES) != HM_FILE_BYTES) {
        hm_host_exit(HM_EXIT_NO_FLASH);
    }
}

/* Whether this operation is the one that the power fails in. */
static bool power_fails(void)
{
    if (operations == UINT32_MAX) {
        return false;
    }
    if (operations == 0) {
        return true;
    }
    operations--;
    return false;
}

bool hm_nvm_erase(uint32_t address)
{
    const uint32_t unit = address >= HM_PEOPLE_ORIGIN && address < HM_PEOPLE_ORIGIN + HM_PEOPLE_BYTES ? HM_PEOPLE_UNIT
                                                                                                     : HM_LOG_UNIT;
    if (power_fails()) {
        erase_bytes(address, unit / 2);
        hm_host_exit(HM_EXIT_POWER_CUT);
    }
    erase_bytes(address, unit);
    return true;
}

bool hm_nvm_program(uint32_t address, const uint8_t *bytes, uint32_t n)
{
    for (uint32_t done = 0; done < n; done += HM_NVM_WORD) {
        uint8_t word[HM_NVM_WORD];
        for (uint32_t i = 0; i < HM_NVM_WORD; i++) {
            if (at(address)[done + i] != 0xFF) {
                return false; /* flash with check bits would not take it either */
            }
        }
        hm_copy(word, bytes + done, HM_NVM_WORD);
        if (power_fails()) {
            word[0] |= 0x55; /* some bits are not programmed yet */
            keep(address + done, word, HM_NVM_WORD);
            hm_host_exit(HM_EXIT_POWER_CUT);
        }
        keep(address + done, word, HM_NVM_WORD);
    }
    return true;
}

/* The emulator's host has random numbers; the emulated chip has none. */
bool hm_port_random(uint8_t *bytes, size_t n)
{
    static const char name[] = "/dev/urandom";
    static uint32_t handle = HM_NO_HANDLE;
    if (handle == HM_NO_HANDLE) {
        handle = hm_host_open(name, sizeof name - 1, HM_OPEN_READ);
    }
    return handle != HM_NO_HANDLE && hm_host_read(handle, bytes, (uint32_t)n) == n;
}

_Noreturn void hm_stop(void)
{
    hm_host_exit(HM_EXIT_FAULT);
}
