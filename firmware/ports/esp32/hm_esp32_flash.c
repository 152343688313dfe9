/* The two partitions of partitions.csv as flashes: read through the chip's memory map, written by esp_partition. */
#ifdef ESP_PLATFORM /* a library manager compiles this file for every board */

#include "hm_esp32.h"

#include "esp_log.h"
#include "esp_partition.h"

static const char tag[] = "hyper-mcu";

/* Types from 0x40 on are an application's own: no other component takes one of these for its own data. */
enum { TYPE = 0x40, PEOPLE = 0x00, GATE = 0x01 };
enum { WORD = 4 };

static hm_flash people;
static hm_flash gate;

static bool erase(void *context, uint32_t offset)
{
    const esp_partition_t *const partition = (const esp_partition_t *)context;
    return esp_partition_erase_range(partition, offset, partition->erase_size) == ESP_OK;
}

static bool program(void *context, uint32_t offset, const uint8_t *bytes, uint32_t n)
{
    return esp_partition_write((const esp_partition_t *)context, offset, bytes, n) == ESP_OK;
}

static bool open_partition(uint8_t subtype, const char *name, hm_flash *flash)
{
    const esp_partition_t *const found =
        esp_partition_find_first((esp_partition_type_t)TYPE, (esp_partition_subtype_t)subtype, NULL);
    if (found == NULL) {
        ESP_LOGE(tag, "no partition %s (type 0x%02x, subtype 0x%02x): flash partitions.csv too", name, TYPE, subtype);
        return false;
    }
    if (found->encrypted) { /* erased bytes would read as noise, and what is erased could not be told */
        ESP_LOGE(tag, "partition %s is marked encrypted: people are sealed, and encrypted by themselves if asked for", name);
        return false;
    }
    const void *base = NULL;
    esp_partition_mmap_handle_t handle;
    if (esp_partition_mmap(found, 0, found->size, ESP_PARTITION_MMAP_DATA, &base, &handle) != ESP_OK) {
        ESP_LOGE(tag, "partition %s cannot be mapped", name);
        return false;
    }
    flash->base = (const uint8_t *)base;
    flash->size = found->size;
    flash->unit = found->erase_size;
    flash->word = WORD;
    flash->context = (void *)(uintptr_t)found; /* handed back to esp_partition as it came */
    flash->erase = erase;
    flash->program = program;
    return true;
}

hm_code hm_esp32_begin_flash(void)
{
    const bool both = open_partition(PEOPLE, "people", &people) && open_partition(GATE, "gate", &gate);
    return both ? HM_CODE_OK : HM_CODE_FLASH;
}

const hm_flash *hm_port_people(void)
{
    return &people;
}

const hm_flash *hm_port_log(void)
{
    return &gate;
}

#endif
