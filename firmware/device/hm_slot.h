/* The records of one slot of the store: what is coming, and what it then is. Their bytes: STORE.md, "Slots". */
#ifndef HM_SLOT_H
#define HM_SLOT_H

#include "hm_store.h"

#include "../core/hm_memory.h"

#define HM_PLAN_MAGIC UINT32_C(0x6C704D48)   /* "HMpl" */
#define HM_COMMIT_MAGIC UINT32_C(0x6F634D48) /* "HMco" */

enum {
    HM_SLOT_FORMAT = 1,
    HM_SLOT_PLAN = 0,
    HM_SLOT_COMMIT = 64,
    HM_SLOT_AGAIN = 96,    /* the same commit once more */
    HM_SLOT_SETTLED = 128, /* and again, by a mount that found both */
    /* A person with as few bytes to come may have a torn commit that reads as erased. */
    HM_SLOT_TAIL = 32
};

/* Programmed first: what the slot is to hold. */
typedef struct hm_plan {
    uint32_t magic;
    uint32_t format;
    uint32_t slot_bytes;
    uint32_t size; /* of the sealed person; 0: a tombstone is coming */
    uint8_t digest[HM_SHA256_BYTES];
    uint32_t reserved[3];
    uint32_t check; /* CRC-32 of all before it */
} hm_plan;

/* Programmed last: what the slot holds. */
typedef struct hm_commit {
    uint32_t magic;
    uint32_t format;
    uint32_t slot_bytes;
    uint32_t size;    /* of the sealed person; 0: nobody, a tombstone */
    uint32_t counter; /* of the sealed person; a tombstone's: the store's */
    uint32_t body;    /* CRC-32 of the sealed person */
    uint32_t reserved;
    uint32_t check; /* CRC-32 of all before it */
} hm_commit;

HM_STATIC_ASSERT(sizeof(hm_plan) == HM_SLOT_COMMIT, "hyper-mcu: a plan fills its words");
HM_STATIC_ASSERT(sizeof(hm_commit) == HM_SLOT_AGAIN - HM_SLOT_COMMIT, "hyper-mcu: a commit fills its words");
HM_STATIC_ASSERT(HM_SLOT_SETTLED - HM_SLOT_AGAIN == sizeof(hm_commit), "hyper-mcu: and so does a second one");
HM_STATIC_ASSERT(HM_SLOT_SETTLED + sizeof(hm_commit) == HM_SLOT_HEAD, "hyper-mcu: the records fill the head of a slot");
HM_STATIC_ASSERT(HM_SLOT_HEAD % HM_FLASH_WORD == 0, "hyper-mcu: what lies behind the head begins with a word");

static inline uint32_t hm_slot_offset(const hm_store *store, uint32_t slot)
{
    return slot * store->slot_bytes;
}

static inline const uint8_t *hm_slot_body(const hm_store *store, uint32_t slot)
{
    return store->flash->base + hm_slot_offset(store, slot) + HM_SLOT_HEAD;
}

static inline bool hm_slot_is_erased(const hm_store *store, uint32_t slot)
{
    return hm_flash_is_erased(store->flash, hm_slot_offset(store, slot), store->slot_bytes);
}

/* Erases a slot from a unit at `from` on, its head last: until then it says what is being erased. */
static inline hm_code hm_slot_erase(const hm_store *store, uint32_t slot, uint32_t from)
{
    hm_code code = HM_CODE_OK;
    for (uint32_t at = store->slot_bytes; at > from && code == HM_CODE_OK; at -= store->flash->unit) {
        code = hm_flash_erase(store->flash, hm_slot_offset(store, slot) + at - store->flash->unit);
    }
    return code;
}

static inline hm_code hm_slot_plan(const hm_store *store, uint32_t slot, uint32_t size, const uint8_t *digest)
{
    hm_plan plan;
    hm_fill(&plan, 0, sizeof plan);
    plan.magic = HM_PLAN_MAGIC;
    plan.format = HM_SLOT_FORMAT;
    plan.slot_bytes = store->slot_bytes;
    plan.size = size;
    if (digest != NULL) {
        hm_copy(plan.digest, digest, sizeof plan.digest);
    }
    plan.check = hm_flash_crc(0, &plan, offsetof(hm_plan, check));
    return hm_flash_program(store->flash, hm_slot_offset(store, slot) + HM_SLOT_PLAN, &plan, sizeof plan);
}

/* Programs a commit twice. The second one begins when the first one is whole: where it is there, the first one is no torn
 * word that reads well this once. */
static inline hm_code hm_slot_commit(const hm_store *store, uint32_t slot, uint32_t size, uint32_t counter)
{
    hm_commit commit;
    hm_fill(&commit, 0, sizeof commit);
    commit.magic = HM_COMMIT_MAGIC;
    commit.format = HM_SLOT_FORMAT;
    commit.slot_bytes = store->slot_bytes;
    commit.size = size;
    commit.counter = counter;
    commit.body = hm_flash_crc(0, hm_slot_body(store, slot), size);
    commit.check = hm_flash_crc(0, &commit, offsetof(hm_commit, check));
    const uint32_t at = hm_slot_offset(store, slot);
    const hm_code code = hm_flash_program(store->flash, at + HM_SLOT_COMMIT, &commit, sizeof commit);
    return code == HM_CODE_OK ? hm_flash_program(store->flash, at + HM_SLOT_AGAIN, &commit, sizeof commit) : code;
}

static inline bool hm_slot_read_copy(const hm_store *store, uint32_t slot, uint32_t copy, hm_commit *commit)
{
    hm_copy(commit, store->flash->base + hm_slot_offset(store, slot) + copy, sizeof *commit);
    return commit->magic == HM_COMMIT_MAGIC && commit->format == HM_SLOT_FORMAT &&
           commit->slot_bytes == store->slot_bytes && commit->size <= store->slot_bytes - HM_SLOT_HEAD &&
           commit->check == hm_flash_crc(0, commit, offsetof(hm_commit, check));
}

/* Whether the slot has a commit; *sure: whether its first copy is whole, as only then the second one was begun. */
static inline bool hm_slot_read(const hm_store *store, uint32_t slot, hm_commit *commit, bool *sure)
{
    const uint32_t at = hm_slot_offset(store, slot);
    *sure = !hm_flash_is_erased(store->flash, at + HM_SLOT_AGAIN, HM_SLOT_HEAD - HM_SLOT_AGAIN);
    return hm_slot_read_copy(store, slot, HM_SLOT_COMMIT, commit) || hm_slot_read_copy(store, slot, HM_SLOT_AGAIN, commit);
}

/* Programs the commit once more: before a mount erases the other slot, as power may have failed in the second copy, which
 * then may read as erased the next time. */
static inline bool hm_slot_settle(const hm_store *store, uint32_t slot, const hm_commit *commit)
{
    const uint32_t at = hm_slot_offset(store, slot) + HM_SLOT_SETTLED;
    return hm_flash_is_erased(store->flash, at, sizeof *commit) &&
           hm_flash_program(store->flash, at, commit, sizeof *commit) == HM_CODE_OK;
}

/* Whether what the commit speaks of is there as it was. */
static inline bool hm_slot_is_whole(const hm_store *store, uint32_t slot, const hm_commit *commit)
{
    return hm_flash_crc(0, hm_slot_body(store, slot), commit->size) == commit->body;
}

/* Erases a slot whose commit may have been begun, its head first: then that cannot read well any more. */
static inline hm_code hm_slot_take_back(const hm_store *store, uint32_t slot)
{
    const hm_code code = hm_flash_erase(store->flash, hm_slot_offset(store, slot));
    return code == HM_CODE_OK ? hm_slot_erase(store, slot, store->flash->unit) : code;
}

/* Writes a slot anew from the other one of its place, whose commit has no second copy. */
static inline hm_code hm_slot_rewrite(const hm_store *store, uint32_t slot, const hm_commit *commit)
{
    const uint8_t *const from = store->flash->base + hm_slot_offset(store, slot ^ 1);
    const uint32_t to = hm_slot_offset(store, slot);
    hm_code code = hm_slot_take_back(store, slot);
    if (code == HM_CODE_OK) {
        code = hm_slot_plan(store, slot, commit->size, from + offsetof(hm_plan, digest));
    }
    for (uint32_t at = HM_SLOT_HEAD; at < HM_SLOT_HEAD + commit->size && code == HM_CODE_OK; at += HM_FLASH_WORD) {
        uint8_t word[HM_FLASH_WORD]; /* flash need not be readable while it is programmed */
        hm_copy(word, from + at, sizeof word);
        code = hm_flash_program(store->flash, to + at, word, sizeof word);
    }
    return code == HM_CODE_OK ? hm_slot_commit(store, slot, commit->size, commit->counter) : code;
}

/* Whether the slot awaits the rest of an upload, and of which one. */
static inline bool hm_slot_awaits(const hm_store *store, uint32_t slot, hm_plan *plan)
{
    const uint32_t at = hm_slot_offset(store, slot);
    hm_copy(plan, store->flash->base + at + HM_SLOT_PLAN, sizeof *plan);
    return plan->magic == HM_PLAN_MAGIC && plan->format == HM_SLOT_FORMAT && plan->slot_bytes == store->slot_bytes &&
           plan->size != 0 && plan->size <= store->slot_bytes - HM_SLOT_HEAD &&
           plan->check == hm_flash_crc(0, plan, offsetof(hm_plan, check)) &&
           hm_flash_is_erased(store->flash, at + HM_SLOT_COMMIT, HM_SLOT_HEAD - HM_SLOT_COMMIT);
}

/* Where an upload of `size` bytes can go on after a reset: the first byte of the last unit in which anything was
 * programmed, 0 where that is the first unit or where the upload was all but whole. */
static inline uint32_t hm_slot_resumes_at(const hm_store *store, uint32_t slot, uint32_t size)
{
    const uint8_t *const bytes = store->flash->base + hm_slot_offset(store, slot);
    uint32_t top = store->slot_bytes;
    while (top > 0 && bytes[top - 1] == 0xFF) {
        top--;
    }
    const uint32_t unit = store->flash->unit;
    return top <= unit || top + HM_SLOT_TAIL >= HM_SLOT_HEAD + size ? 0 : (top - 1) / unit * unit - HM_SLOT_HEAD;
}

#endif
