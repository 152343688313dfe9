/* Flash and NVS, simulated over files. Programming clears bits and nothing else; the power fails at the operation that
 * IDF_CUT_AT names, in the middle of it. The partitions are those of the very partitions.csv (IDF_PARTITIONS). */
#define _POSIX_C_SOURCE 200809L

#include "simulated.h"

#include "esp_partition.h"
#include "nvs.h"
#include "nvs_flash.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { FLASH_BYTES = 4 << 20, UNIT = 4096, MOST = 8, POWER_CUT = 99 };

static uint8_t *flash;
static esp_partition_t partitions[MOST];
static int found;
static long operations;

static void open_flash(void)
{
    const int file = open(idf_path("flash.bin"), O_RDWR | O_CREAT, 0600);
    const off_t before = lseek(file, 0, SEEK_END);
    if (file < 0 || ftruncate(file, FLASH_BYTES) != 0) {
        idf_die("flash.bin cannot be opened");
    }
    flash = (uint8_t *)mmap(NULL, FLASH_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (flash == MAP_FAILED) {
        idf_die("flash.bin cannot be mapped");
    }
    if (before == 0) { /* a new chip is erased */
        memset(flash, 0xFF, FLASH_BYTES);
    }
}

static void read_table(void)
{
    FILE *const table = fopen(getenv("IDF_PARTITIONS"), "r");
    char line[200];
    if (table == NULL) {
        idf_die("no partition table");
    }
    while (found < MOST && fgets(line, sizeof line, table) != NULL) {
        char label[17];
        char type[16];
        char subtype[16];
        unsigned offset;
        unsigned size;
        if (line[0] == '#' || sscanf(line, "%16[^,], %15[^,], %15[^,], %x, %x", label, type, subtype, &offset, &size) != 5) {
            continue;
        }
        esp_partition_t *const p = &partitions[found++];
        (void)snprintf(p->label, sizeof p->label, "%s", label);
        p->type = (esp_partition_type_t)strtoul(type, NULL, 0);
        p->subtype = (esp_partition_subtype_t)strtoul(subtype, NULL, 0);
        p->address = offset;
        p->size = size;
        p->erase_size = UNIT;
        p->encrypted = strstr(line, "encrypted") != NULL;
    }
    (void)fclose(table);
}

const esp_partition_t *esp_partition_find_first(esp_partition_type_t type, esp_partition_subtype_t subtype,
                                                const char *label)
{
    if (flash == NULL) {
        open_flash();
        read_table();
    }
    for (int i = 0; i < found; i++) {
        const esp_partition_t *const p = &partitions[i];
        if (p->type == type && p->subtype == subtype && (label == NULL || strcmp(label, p->label) == 0)) {
            return p;
        }
    }
    return NULL;
}

/* How many bytes of n this operation does before the power fails; n where it does not. */
static size_t powered(size_t n)
{
    const char *const cut = getenv("IDF_CUT_AT");
    operations++;
    return cut != NULL && strtol(cut, NULL, 10) == operations ? n / 2 : n;
}

static void fail_if(size_t done, size_t n, uint8_t *next)
{
    if (done != n) {
        *next &= 0x5A; /* the byte at which it happened holds anything */
        (void)msync(flash, FLASH_BYTES, MS_SYNC);
        _exit(POWER_CUT);
    }
}

esp_err_t esp_partition_write(const esp_partition_t *partition, size_t offset, const void *from, size_t size)
{
    if (offset > partition->size || size > partition->size - offset) {
        return ESP_ERR_INVALID_SIZE;
    }
    uint8_t *const to = flash + partition->address + offset;
    const size_t done = powered(size);
    for (size_t i = 0; i < done; i++) {
        to[i] &= ((const uint8_t *)from)[i];
    }
    fail_if(done, size, to + done);
    return ESP_OK;
}

esp_err_t esp_partition_erase_range(const esp_partition_t *partition, size_t offset, size_t size)
{
    if (offset % UNIT != 0 || size % UNIT != 0) {
        return ESP_ERR_INVALID_ARG;
    }
    if (offset > partition->size || size > partition->size - offset) {
        return ESP_ERR_INVALID_SIZE;
    }
    uint8_t *const to = flash + partition->address + offset;
    const size_t done = powered(size);
    memset(to, 0xFF, done);
    fail_if(done, size, to + done);
    return ESP_OK;
}

esp_err_t esp_partition_mmap(const esp_partition_t *partition, size_t offset, size_t size,
                             esp_partition_mmap_memory_t memory, const void **pointer,
                             esp_partition_mmap_handle_t *handle)
{
    if (memory != ESP_PARTITION_MMAP_DATA || offset + size > partition->size) {
        return ESP_ERR_INVALID_ARG;
    }
    *pointer = flash + partition->address + offset;
    *handle = 1;
    return ESP_OK;
}

/* ---- NVS: one blob, a file that appears when it is committed ---- */

enum { MOST_BLOB = 64 };

static uint8_t pending[MOST_BLOB];
static size_t pending_bytes;
static bool started;
static char opened[40];

esp_err_t nvs_flash_init(void)
{
    started = true;
    return access(idf_path("nvs-broken"), F_OK) == 0 ? ESP_ERR_NVS_NO_FREE_PAGES : ESP_OK;
}

esp_err_t nvs_open(const char *name, nvs_open_mode_t mode, nvs_handle_t *handle)
{
    if (!started) {
        idf_die("nvs_open before nvs_flash_init");
    }
    (void)snprintf(opened, sizeof opened, "nvs-%s", name);
    if (mode == NVS_READONLY && access(idf_path(opened), F_OK) != 0) {
        return ESP_ERR_NVS_NOT_FOUND; /* no namespace of that name */
    }
    *handle = mode == NVS_READONLY ? 1 : 2;
    return ESP_OK;
}

esp_err_t nvs_get_blob(nvs_handle_t handle, const char *key, void *value, size_t *length)
{
    (void)handle;
    (void)key;
    FILE *const file = fopen(idf_path(opened), "rb");
    if (file == NULL) {
        return ESP_ERR_NVS_NOT_FOUND;
    }
    uint8_t there[MOST_BLOB];
    const size_t n = fread(there, 1, sizeof there, file);
    (void)fclose(file);
    if (n > *length) {
        return ESP_ERR_NVS_INVALID_LENGTH;
    }
    memcpy(value, there, n);
    *length = n;
    return ESP_OK;
}

esp_err_t nvs_set_blob(nvs_handle_t handle, const char *key, const void *value, size_t length)
{
    (void)key;
    if (handle != 2 || length > MOST_BLOB) {
        return ESP_FAIL;
    }
    memcpy(pending, value, length);
    pending_bytes = length;
    return ESP_OK;
}

esp_err_t nvs_commit(nvs_handle_t handle)
{
    FILE *const file = handle == 2 ? fopen(idf_path(opened), "wb") : NULL;
    const bool good = file != NULL && fwrite(pending, 1, pending_bytes, file) == pending_bytes;
    return file != NULL && fclose(file) == 0 && good ? ESP_OK : ESP_FAIL;
}

void nvs_close(nvs_handle_t handle)
{
    (void)handle;
}
