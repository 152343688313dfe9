/* The store and the gate over a simulated flash, by commands on stdin: a line in, a line out. "off": the power failed. */
#include "flash_simulator.h"

#include "hm_gate.h"
#include "hm_store.h"

enum { MOST_BLOBS = 160, MOST_SAVED = 4 };

typedef struct blob {
    uint8_t *bytes;
    uint32_t n;
} blob;

static simulator flash;
static simulator saved[MOST_SAVED];
static hm_store store;
static hm_upload upload;
static hm_gate gate;
static blob blobs[MOST_BLOBS];
static bool is_off;
static char line[1 << 20];

static unsigned word(char **at)
{
    return (unsigned)strtoul(*at, at, 0);
}

static char *text(char **at)
{
    char *from = *at + strspn(*at, " ");
    *at = from + strcspn(from, " ");
    if (**at != 0) {
        *(*at)++ = 0;
    }
    return from;
}

static uint32_t unhex(const char *hex, uint8_t *out)
{
    const uint32_t n = (uint32_t)strlen(hex) / 2;
    for (uint32_t i = 0; i < n; i++) {
        unsigned byte = 0;
        if (sscanf(hex + 2 * i, "%2x", &byte) != 1) {
            exit(4);
        }
        out[i] = (uint8_t)byte;
    }
    return n;
}

static void copy_simulator(simulator *to, const simulator *from)
{
    const size_t size = (size_t)from->flash.size * 4;
    if (to->memory == NULL || to->flash.size != from->flash.size) {
        simulator_new(to, from->flash.unit, from->flash.word, from->flash.size / from->flash.unit);
    }
    memcpy(to->memory, from->memory, size);
    to->flash.unit = from->flash.unit;
    to->flash.word = from->flash.word;
}

/* What RAM holds when the power comes: nothing that means anything. hm_upload is to be zero. */
static void forget(void)
{
    memset(&store, 0xA5, sizeof store);
    memset(&gate, 0xA5, sizeof gate);
    memset(&upload, 0, sizeof upload);
}

static void list(void)
{
    printf("%u", (unsigned)store.counter);
    for (uint32_t place = 0; place < store.places; place++) {
        hm_entry entry;
        if (hm_store_at(&store, place, &entry) == HM_CODE_OK) {
            printf(" %s:%u:%08x", entry.sealed.name, (unsigned)entry.sealed.counter,
                   (unsigned)hm_flash_crc(0, entry.bytes, entry.size));
        }
    }
    puts("");
}

/* A whole upload, in parts of `part` bytes, `stop` bytes of it at most; prints the code, and where it began. */
static void load(const blob *b, const char *name, bool replace, uint32_t part, uint32_t stop)
{
    uint8_t digest[HM_SHA256_BYTES];
    hm_sha256 hash;
    hm_sha256_begin(&hash);
    hm_sha256_add(&hash, b->bytes, b->n);
    hm_sha256_end(&hash, digest);
    hm_code code = hm_store_begin(&store, name, replace, b->n, digest, &upload);
    const uint32_t from = upload.done;
    hm_entry entry;
    while (code == HM_CODE_OK && upload.done < b->n && upload.done < stop) {
        const uint32_t left = (stop < b->n ? stop : b->n) - upload.done;
        code = hm_store_put(&store, &upload, b->bytes + upload.done, left < part ? left : part);
    }
    if (code == HM_CODE_OK && stop >= b->n) {
        code = hm_store_written(&store, &upload, &entry);
        if (code == HM_CODE_OK) {
            code = hm_store_commit(&store, &upload, entry.sealed.counter);
        }
    }
    printf("%u %u\n", (unsigned)code, (unsigned)from);
}

static bool find(const uint8_t *bytes, uint32_t n)
{
    const uint8_t *at = flash.memory;
    const uint8_t *const end = flash.memory + flash.flash.size - n;
    while (at <= end && (at = (const uint8_t *)memchr(at, bytes[0], (size_t)(end - at) + 1)) != NULL) {
        if (memcmp(at, bytes, n) == 0) {
            return true;
        }
        at++;
    }
    return false;
}

static void do_store(const char *command, char *at)
{
    static uint8_t bytes[sizeof line / 2];
    if (strcmp(command, "mount") == 0) {
        printf("%u ", (unsigned)hm_store_mount(&store, &flash.flash, word(&at)));
        printf("%u\n", (unsigned)store.places);
    } else if (strcmp(command, "list") == 0) {
        list();
    } else if (strcmp(command, "load") == 0) {
        const unsigned i = word(&at);
        const char *name = text(&at);
        const bool replace = word(&at) != 0;
        const unsigned part = word(&at);
        load(&blobs[i % MOST_BLOBS], name, replace, part, word(&at));
    } else if (strcmp(command, "begin") == 0) {
        const char *name = text(&at);
        const bool replace = word(&at) != 0;
        const unsigned size = word(&at);
        const uint32_t n = unhex(text(&at), bytes);
        printf("%u %u\n", n == HM_SHA256_BYTES ? (unsigned)hm_store_begin(&store, name, replace, size, bytes, &upload) : 999U,
               (unsigned)upload.done);
    } else if (strcmp(command, "put") == 0) {
        const uint32_t n = unhex(text(&at), bytes);
        printf("%u\n", (unsigned)hm_store_put(&store, &upload, bytes, n));
    } else if (strcmp(command, "written") == 0) {
        hm_entry entry;
        printf("%u\n", (unsigned)hm_store_written(&store, &upload, &entry));
    } else if (strcmp(command, "commit") == 0) {
        printf("%u\n", (unsigned)hm_store_commit(&store, &upload, word(&at)));
    } else if (strcmp(command, "abandon") == 0) {
        hm_store_abandon(&store, &upload);
        puts("0");
    } else if (strcmp(command, "count") == 0) {
        printf("%u\n", (unsigned)hm_store_count(&store));
    } else if (strcmp(command, "find") == 0) {
        hm_entry entry;
        const hm_code code = hm_store_find(&store, text(&at), &entry);
        printf("%u %u\n", (unsigned)code, (unsigned)entry.size);
    } else if (strcmp(command, "delete") == 0) {
        printf("%u\n", (unsigned)hm_store_delete(&store, text(&at)));
    } else {
        exit(4);
    }
}

static void do_gate(const char *command, char *at)
{
    if (strcmp(command, "gmount") == 0) {
        hm_gate_policy policy;
        policy.attempts = word(&at);
        policy.first_delay = word(&at);
        policy.longest_delay = word(&at);
        printf("%u ", (unsigned)hm_gate_mount(&gate, &flash.flash, policy, word(&at)));
        printf("%u\n", (unsigned)gate.failures);
    } else if (strcmp(command, "gwait") == 0) {
        printf("%u\n", (unsigned)hm_gate_wait(&gate, word(&at)));
    } else if (strcmp(command, "gattempt") == 0) {
        printf("%u ", (unsigned)hm_gate_attempt(&gate, word(&at)));
        printf("%u\n", (unsigned)gate.failures);
    } else if (strcmp(command, "gjudge") == 0) {
        hm_verdict verdict;
        memset(&verdict, 0, sizeof verdict);
        const hm_status status = (hm_status)word(&at);
        verdict.logit = (int32_t)strtol(at, &at, 0);
        verdict.threshold = (int32_t)strtol(at, &at, 0);
        verdict.decision = word(&at);
        const uint8_t match = (uint8_t)word(&at);
        memcpy(&verdict.match, &match, 1); /* any byte, as a flipped bit may have it */
        printf("%#x ", (unsigned)hm_gate_judge(&gate, status, &verdict, word(&at)));
        printf("%u\n", (unsigned)gate.failures);
    } else if (strcmp(command, "gflip") == 0) { /* a bit of the gate's RAM */
        const unsigned bit = word(&at);
        ((uint8_t *)&gate)[bit / 8] ^= (uint8_t)(1U << bit % 8);
        puts("0");
    } else if (strcmp(command, "gplaces") == 0) { /* where in the gate are its policy, its count, what follows, its end */
        printf("%u %u %u %u\n", (unsigned)offsetof(hm_gate, policy), (unsigned)offsetof(hm_gate, failures),
               (unsigned)offsetof(hm_gate, log), (unsigned)sizeof gate);
    } else {
        exit(4);
    }
}

static void do_flash(const char *command, char *at)
{
    if (strcmp(command, "new") == 0) {
        const unsigned unit = word(&at);
        const unsigned bytes = word(&at);
        simulator_new(&flash, unit, bytes, word(&at));
        forget();
        is_off = false;
        puts("0");
    } else if (strcmp(command, "blob") == 0) {
        blob *const b = &blobs[word(&at) % MOST_BLOBS];
        char *const hex = text(&at);
        free(b->bytes);
        b->bytes = (uint8_t *)malloc(strlen(hex) / 2 + 1);
        if (b->bytes == NULL) {
            exit(4);
        }
        b->n = unhex(hex, b->bytes);
        puts("0");
    } else if (strcmp(command, "save") == 0) {
        copy_simulator(&saved[word(&at) % MOST_SAVED], &flash);
        puts("0");
    } else if (strcmp(command, "restore") == 0) {
        copy_simulator(&flash, &saved[word(&at) % MOST_SAVED]);
        puts("0");
    } else if (strcmp(command, "power") == 0) {
        const unsigned cut = word(&at);
        const unsigned residue = word(&at);
        simulator_power(&flash, cut, (enum residue)residue, word(&at));
        forget();
        is_off = false;
        puts("0");
    } else if (strcmp(command, "cut") == 0) { /* after so many operations from now on, RAM as it is */
        const unsigned cut = word(&at);
        const unsigned residue = word(&at);
        flash.cut = cut > 0 ? flash.done + cut : 0;
        flash.residue = (enum residue)residue;
        flash.random ^= word(&at);
        flash.random = flash.random != 0 ? flash.random : 1;
        puts("0");
    } else if (strcmp(command, "done") == 0) {
        printf("%u\n", (unsigned)flash.done);
    } else if (strcmp(command, "erasures") == 0) {
        printf("%u\n", (unsigned)flash.erasures);
    } else if (strcmp(command, "holds") == 0) { /* whether those bytes lie anywhere in flash */
        static uint8_t bytes[4096];
        const uint32_t n = unhex(text(&at), bytes);
        printf("%u\n", find(bytes, n));
    } else if (strcmp(command, "worn") == 0) { /* a unit that takes nothing any more; 1: none */
        flash.refusing = word(&at);
        puts("0");
    } else if (strcmp(command, "fill") == 0) { /* offset, n, seed: what else was in the partition */
        const unsigned offset = word(&at);
        const unsigned n = word(&at);
        flash.random = word(&at) | 1U;
        for (unsigned i = offset; i < offset + n; i++) {
            flash.memory[i] = (uint8_t)simulator_random(&flash);
            flash.states[i] = PROGRAMMED;
        }
        puts("0");
    } else if (strcmp(command, "flip") == 0) { /* a bit of the flash */
        const unsigned bit = word(&at);
        flash.memory[bit / 8] ^= (uint8_t)(1U << bit % 8);
        puts("0");
    } else if (strcmp(command, "read") == 0) {
        const unsigned offset = word(&at);
        const unsigned n = word(&at);
        for (unsigned i = offset; i < offset + n; i++) {
            printf("%02x", flash.memory[i]);
        }
        puts("");
    } else if (is_off) {
        puts("off");
    } else if (setjmp(flash.off) != 0) {
        is_off = true;
        puts("off");
    } else if (command[0] == 'g') {
        do_gate(command, at);
    } else {
        do_store(command, at);
    }
}

int main(void)
{
    while (fgets(line, sizeof line, stdin) != NULL) {
        line[strcspn(line, "\n")] = 0;
        char *at = line;
        const char *const command = text(&at);
        do_flash(command, at);
        fflush(stdout);
    }
    return 0;
}
