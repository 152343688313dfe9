/* Counting in QEMU: a plugin of its translator, for an interface that has the functions below (QEMU, "TCG Plugins");
 * packages bring the interface without its header. PLUGIN_VERSION: what QEMU is told that this is written for.
 *
 * Arguments: isa, origin, bytes, mark, rows, rows_end: members of counter; then code=FILE, which has them; events=FILE, for
 * `lost` and the events, at the end. */
#include "count.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM = 1 << 16, NO_REGISTERS = 0, READ_AND_WRITE = 3 };

typedef uint64_t plugin_id;
typedef struct translation translation;
typedef struct translated translated;
typedef void translate_hook(plugin_id id, translation *made);
typedef void block_hook(unsigned core, void *user);
typedef void access_hook(unsigned core, uint32_t access, uint64_t address, void *user);
typedef void end_hook(plugin_id id, void *user);

void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, translate_hook *hook);
void qemu_plugin_register_vcpu_tb_exec_cb(translation *made, block_hook *hook, int registers, void *user);
void qemu_plugin_register_vcpu_mem_cb(translated *at, access_hook *hook, int registers, int kind, void *user);
void qemu_plugin_register_atexit_cb(plugin_id id, end_hook *hook, void *user);
size_t qemu_plugin_tb_n_insns(const translation *made);
translated *qemu_plugin_tb_get_insn(const translation *made, size_t index);
uint64_t qemu_plugin_insn_vaddr(const translated *at);
bool qemu_plugin_mem_is_store(uint32_t access);

extern int qemu_plugin_version;
int qemu_plugin_version = PLUGIN_VERSION;
int qemu_plugin_install(plugin_id id, const void *about, int n, char *arguments[]);

typedef struct place {
    uint64_t from;
    uint32_t bytes;
} place;

static counter count;
static event events[ROOM];
static char report[64];

static void on_block(unsigned core, void *user)
{
    (void)core;
    const place *const at = user;
    count_block(&count, at->from, at->bytes);
}

static void on_access(unsigned core, uint32_t access, uint64_t address, void *pc)
{
    (void)core;
    if (qemu_plugin_mem_is_store(access)) {
        count_store(&count, address, (uintptr_t)pc);
    }
}

static void on_translation(plugin_id id, translation *made)
{
    (void)id;
    const size_t n = qemu_plugin_tb_n_insns(made);
    place *const at = malloc(sizeof *at); /* for as long as QEMU may run the block: to the end */
    if (at == NULL) {
        count.lost++;
        return;
    }
    at->from = qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(made, 0));
    /* not by QEMU's size of it: 7.2 adds what it reads ahead at the end of a page */
    at->bytes = (uint32_t)(end_of(&count, qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(made, n - 1))) - at->from);
    for (size_t i = 0; i < n && count.rows != count.rows_end; i++) {
        translated *const one = qemu_plugin_tb_get_insn(made, i);
        void *const pc = (void *)(uintptr_t)qemu_plugin_insn_vaddr(one);
        qemu_plugin_register_vcpu_mem_cb(one, on_access, NO_REGISTERS, READ_AND_WRITE, pc); /* 7.2 mixes up its filters */
    }
    qemu_plugin_register_vcpu_tb_exec_cb(made, on_block, NO_REGISTERS, at);
}

static void on_end(plugin_id id, void *user)
{
    (void)id;
    (void)user;
    FILE *const file = fopen(report, "wb");
    if (file != NULL) {
        (void)fwrite(&count.lost, sizeof count.lost, 1, file);
        (void)fwrite(events, sizeof *events, count.n, file);
        (void)fclose(file);
    }
}

static bool read_code(const char *path)
{
    uint8_t *const code = calloc(count.bytes + 4, 1);
    FILE *const file = fopen(path, "rb");
    if (code == NULL || file == NULL) {
        free(code);
        return false;
    }
    const size_t got = fread(code, 1, count.bytes, file);
    count.code = code;
    count.blocks = calloc(count.bytes, sizeof *count.blocks);
    return fclose(file) == 0 && got == count.bytes && count.blocks != NULL;
}

/* Without arguments it does nothing: so it is found out whether QEMU takes it. */
int qemu_plugin_install(plugin_id id, const void *about, int n, char *arguments[])
{
    (void)about;
    const struct {
        const char *name;
        uint64_t *value;
    } numbers[] = {
        {"isa=", &count.isa},   {"origin=", &count.origin}, {"bytes=", &count.bytes},
        {"mark=", &count.mark}, {"rows=", &count.rows},     {"rows_end=", &count.rows_end},
    };
    for (int i = 0; i < n; i++) {
        const char *const word = arguments[i];
        if (strncmp(word, "code=", 5) == 0 && !read_code(word + 5)) {
            return 1;
        }
        if (strncmp(word, "events=", 7) == 0) {
            (void)snprintf(report, sizeof report, "%s", word + 7);
        }
        for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++) {
            const size_t length = strlen(numbers[k].name);
            if (strncmp(word, numbers[k].name, length) == 0) {
                *numbers[k].value = strtoull(word + length, NULL, 0);
            }
        }
    }
    if (report[0] != 0) {
        count.events = events;
        count.room = ROOM;
        qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
        qemu_plugin_register_atexit_cb(id, on_end, NULL);
    }
    return 0;
}
