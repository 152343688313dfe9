/* The partitions of a board: people, the gate's log and the key. Where they lie comes with its build. */
#include "nvm.h"

/* context: where the partition begins. */
static bool erase(void *context, uint32_t offset)
{
    return hm_nvm_erase((uint32_t)(uintptr_t)context + offset);
}

static bool program(void *context, uint32_t offset, const uint8_t *bytes, uint32_t n)
{
    return hm_nvm_program((uint32_t)(uintptr_t)context + offset, bytes, n);
}

#define PLACE(type, origin) ((type)(uintptr_t)(origin))

static const hm_flash people = {PLACE(const uint8_t *, HM_PEOPLE_ORIGIN), HM_PEOPLE_BYTES, HM_PEOPLE_UNIT, HM_NVM_WORD,
                                PLACE(void *, HM_PEOPLE_ORIGIN), erase, program};
static const hm_flash gate_log = {PLACE(const uint8_t *, HM_LOG_ORIGIN), HM_LOG_BYTES, HM_LOG_UNIT, HM_NVM_WORD,
                                  PLACE(void *, HM_LOG_ORIGIN), erase, program};
static const hm_flash device_key = {PLACE(const uint8_t *, HM_KEY_ORIGIN), HM_KEY_REGION_BYTES, HM_KEY_REGION_BYTES,
                                    HM_NVM_WORD, PLACE(void *, HM_KEY_ORIGIN), erase, program};

const hm_flash *hm_port_people(void)
{
    return &people;
}

const hm_flash *hm_port_log(void)
{
    return &gate_log;
}

const hm_flash *hm_nvm_key(void)
{
    return &device_key;
}
