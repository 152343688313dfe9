/* People in flash. What a slot's records are: hm_slot.h; why they are written in this order: STORE.md, "Slots". */
#include "hm_slot.h"

#include "../core/hm_blob.h" /* hm_equal */

/* A record that counts: that of the newest slot of a place. */
typedef struct hm_newest {
    bool found;
    uint32_t slot;
    hm_commit commit;
    bool sure;
} hm_newest;

/* Of two commits in a place the one of the higher counter counts, a tombstone before a person, one whose second copy
 * was begun before the one that it was written anew from. One whose was not gives way to another that is whole: then the
 * person it was to replace has not been erased yet. */
static hm_newest hm_find_newest(const hm_store *store, uint32_t place)
{
    hm_newest slots[2];
    for (uint32_t i = 0; i < 2; i++) {
        slots[i].slot = 2 * place + i;
        slots[i].found = hm_slot_read(store, 2 * place + i, &slots[i].commit, &slots[i].sure);
    }
    if (!slots[0].found || !slots[1].found) {
        return slots[slots[1].found];
    }
    const hm_commit *const a = &slots[0].commit;
    const hm_commit *const b = &slots[1].commit;
    bool second = slots[1].sure && !slots[0].sure;
    if (b->counter != a->counter) {
        second = b->counter > a->counter;
    } else if ((a->size == 0) != (b->size == 0)) {
        second = b->size == 0;
    }
    const hm_newest *const newer = &slots[second];
    const hm_newest *const older = &slots[!second];
    return newer->sure || !hm_slot_is_whole(store, older->slot, &older->commit) ? *newer : *older;
}

static bool hm_is_named(const uint8_t *sealed, const char *name)
{
    for (uint32_t i = 0; i < HM_NAME_BYTES; i++) {
        const char c = (char)sealed[HM_SEAL_NAME + i];
        if (c != name[i]) {
            return false;
        }
        if (c == 0) {
            return i > 0;
        }
    }
    return false;
}

/* The place of a name; of a damaged person, who is replaced and deleted too, where no other has it: damage may have made
 * it another's. store->places: there is none. */
static uint32_t hm_place_of(const hm_store *store, const char *name)
{
    uint32_t damaged = store->places;
    for (uint32_t place = 0; place < store->places; place++) {
        const hm_newest newest = hm_find_newest(store, place);
        if (newest.found && newest.commit.size > HM_SEAL_HEAD && hm_is_named(hm_slot_body(store, newest.slot), name)) {
            if (hm_slot_is_whole(store, newest.slot, &newest.commit)) {
                return place;
            }
            damaged = damaged < store->places ? damaged : place;
        }
    }
    return damaged;
}

/* Makes one place as it was before or after what a power cut interrupted. */
static hm_code hm_recover(hm_store *store, uint32_t place)
{
    hm_newest newest = hm_find_newest(store, place);
    hm_code code = HM_CODE_OK;
    if (newest.found && !newest.sure && hm_slot_is_whole(store, newest.slot, &newest.commit)) {
        /* power failed before its second copy was whole: it may read otherwise the next time */
        code = hm_slot_rewrite(store, newest.slot ^ 1, &newest.commit);
        newest.slot ^= code == HM_CODE_OK ? 1U : 0U;
    }
    for (uint32_t slot = 2 * place; slot < 2 * place + 2; slot++) {
        hm_plan plan;
        hm_commit commit;
        bool sure;
        const bool counts = newest.found && newest.slot == slot;
        const bool resumes = hm_slot_awaits(store, slot, &plan) && hm_slot_resumes_at(store, slot, plan.size) > 0;
        if (counts || resumes || hm_slot_is_erased(store, slot)) {
            continue;
        }
        hm_code erased;
        if (hm_slot_read(store, slot, &commit, &sure) && sure) {
            if (newest.found) {
                (void)hm_slot_settle(store, newest.slot, &newest.commit);
            }
            erased = hm_slot_erase(store, slot, 0);
        } else {
            erased = hm_slot_take_back(store, slot);
        }
        code = erased != HM_CODE_OK ? erased : code;
    }
    if (newest.found && newest.commit.counter > store->counter) {
        store->counter = newest.commit.counter;
    }
    return code;
}

hm_code hm_store_mount(hm_store *store, const hm_flash *flash, uint32_t largest)
{
    hm_fill(store, 0, sizeof *store);
    if (!hm_flash_is_sound(flash)) {
        return HM_CODE_FLASH;
    }
    store->flash = flash;
    if (largest == 0 || largest > flash->size) {
        return HM_CODE_FULL;
    }
    store->slot_bytes = (HM_SLOT_HEAD + largest + flash->unit - 1) / flash->unit * flash->unit;
    store->places = flash->size / store->slot_bytes / 2;
    if (store->places > HM_MOST_PEOPLE) {
        store->places = HM_MOST_PEOPLE;
    }
    hm_code code = store->places > 0 ? HM_CODE_OK : HM_CODE_FULL;
    for (uint32_t place = 0; place < store->places; place++) {
        const hm_code one = hm_recover(store, place);
        code = one != HM_CODE_OK ? one : code;
    }
    return code;
}

static hm_code hm_read_entry(const hm_store *store, uint32_t slot, uint32_t size, hm_entry *entry)
{
    entry->bytes = hm_slot_body(store, slot);
    entry->size = size;
    entry->place = slot / 2;
    return hm_seal_read(entry->bytes, size, &entry->sealed);
}

hm_code hm_store_at(const hm_store *store, uint32_t place, hm_entry *entry)
{
    hm_fill(entry, 0, sizeof *entry);
    if (place >= store->places) {
        return HM_CODE_NO_PERSON;
    }
    const hm_newest newest = hm_find_newest(store, place);
    if (!newest.found || newest.commit.size == 0 || !hm_slot_is_whole(store, newest.slot, &newest.commit) ||
        hm_read_entry(store, newest.slot, newest.commit.size, entry) != HM_CODE_OK) {
        hm_fill(entry, 0, sizeof *entry);
        return HM_CODE_NO_PERSON;
    }
    return HM_CODE_OK;
}

hm_code hm_store_find(const hm_store *store, const char *name, hm_entry *entry)
{
    return hm_store_at(store, hm_place_of(store, name), entry);
}

uint32_t hm_store_count(const hm_store *store)
{
    uint32_t n = 0;
    hm_entry entry;
    for (uint32_t place = 0; place < store->places; place++) {
        n += hm_store_at(store, place, &entry) == HM_CODE_OK;
    }
    return n;
}

/* Whether the slot awaits this very upload. */
static bool hm_is_upload(const hm_store *store, uint32_t slot, uint32_t size, const uint8_t *digest)
{
    hm_plan plan;
    return hm_slot_awaits(store, slot, &plan) && plan.size == size && hm_equal(plan.digest, digest, HM_SHA256_BYTES);
}

static bool hm_is_free(const hm_store *store, uint32_t place)
{
    hm_entry entry;
    return hm_store_at(store, place, &entry) != HM_CODE_OK;
}

/* The slot of an interrupted upload, for the place of its name or any free one; twice store->places: there is none. Every
 * other upload is erased. */
static uint32_t hm_interrupted(const hm_store *store, uint32_t place, uint32_t size, const uint8_t *digest)
{
    uint32_t found = 2 * store->places;
    for (uint32_t slot = 0; slot < 2 * store->places; slot++) {
        hm_commit commit;
        bool sure;
        if (found == 2 * store->places && hm_is_upload(store, slot, size, digest) &&
            (place == store->places ? hm_is_free(store, slot / 2) : slot / 2 == place)) {
            found = slot;
        } else if (!hm_slot_read(store, slot, &commit, &sure) && !hm_slot_is_erased(store, slot)) {
            (void)hm_slot_erase(store, slot, 0); /* of no harm where it fails: the next mount tries again */
        }
    }
    return found;
}

/* Makes a slot ready from byte `from` on, where an upload goes on: the unit in which power failed is erased again, and all
 * behind it, where a word may have been begun that reads as erased. */
static hm_code hm_prepare(const hm_store *store, uint32_t slot, const hm_upload *wanted, uint32_t from)
{
    const hm_code code = hm_slot_erase(store, slot, from > 0 ? HM_SLOT_HEAD + from : 0);
    return code == HM_CODE_OK && from == 0 ? hm_slot_plan(store, slot, wanted->size, wanted->digest) : code;
}

/* A slot for a person in that place, or in any free one. */
static hm_code hm_take_slot(const hm_store *store, uint32_t place, const hm_upload *wanted, uint32_t *slot)
{
    hm_code code = HM_CODE_FULL;
    const bool any = place == store->places;
    for (uint32_t p = any ? 0 : place; p < (any ? store->places : place + 1) && code != HM_CODE_OK; p++) {
        if (!any || hm_is_free(store, p)) {
            const hm_newest newest = hm_find_newest(store, p);
            *slot = newest.found ? newest.slot ^ 1 : 2 * p;
            code = hm_prepare(store, *slot, wanted, 0);
        }
    }
    return code;
}

hm_code hm_store_begin(hm_store *store, const char *name, bool replace, uint32_t size,
                       const uint8_t digest[HM_SHA256_BYTES], hm_upload *upload)
{
    if (size <= HM_SEAL_HEAD + HM_SEAL_TAG || name[0] == 0) {
        return HM_CODE_NOT_SEALED;
    }
    if (size > store->slot_bytes - HM_SLOT_HEAD) {
        return HM_CODE_TOO_LARGE;
    }
    const uint32_t place = hm_place_of(store, name);
    if (place < store->places && !replace && !hm_is_free(store, place)) {
        return HM_CODE_NAME_TAKEN;
    }
    uint32_t slot = hm_interrupted(store, place, size, digest);
    const bool found = slot < 2 * store->places;
    if (found && upload->open && upload->slot == slot && upload->size == size &&
        hm_equal(upload->digest, digest, sizeof upload->digest)) {
        return HM_CODE_OK; /* the line was cut, not the power */
    }
    hm_fill(upload, 0, sizeof *upload);
    upload->size = size;
    hm_copy(upload->digest, digest, sizeof upload->digest);
    hm_code code;
    if (found) {
        upload->done = hm_slot_resumes_at(store, slot, size);
        code = hm_prepare(store, slot, upload, upload->done);
    } else {
        code = hm_take_slot(store, place, upload, &slot);
    }
    upload->slot = slot;
    upload->place = slot / 2;
    upload->open = code == HM_CODE_OK;
    return code;
}

static hm_code hm_program_body(const hm_store *store, hm_upload *upload, uint32_t at, const uint8_t *bytes, uint32_t n)
{
    const uint32_t offset = hm_slot_offset(store, upload->slot) + HM_SLOT_HEAD + at;
    const hm_code code = hm_flash_program(store->flash, offset, bytes, n);
    upload->open = code == HM_CODE_OK;
    return code;
}

hm_code hm_store_put(hm_store *store, hm_upload *upload, const uint8_t *bytes, uint32_t n)
{
    if (!upload->open || !hm_is_upload(store, upload->slot, upload->size, upload->digest)) {
        upload->open = false; /* its person was deleted meanwhile */
        return HM_CODE_WRONG_ORDER;
    }
    if (n > upload->size - upload->done) {
        return HM_CODE_TOO_LARGE;
    }
    const uint32_t word = store->flash->word;
    hm_code code = HM_CODE_OK;
    while (n > 0 && code == HM_CODE_OK) {
        const uint32_t held = upload->done % word;
        uint32_t part = word - held < n ? word - held : n;
        if (held == 0 && n >= word) {
            part = n - n % word;
            code = hm_program_body(store, upload, upload->done, bytes, part);
        } else {
            hm_copy(upload->word + held, bytes, part);
            if (held + part == word) {
                code = hm_program_body(store, upload, upload->done - held, upload->word, word);
            }
        }
        upload->done += part;
        bytes += part;
        n -= part;
    }
    return code;
}

hm_code hm_store_written(const hm_store *store, hm_upload *upload, hm_entry *entry)
{
    hm_fill(entry, 0, sizeof *entry);
    if (!upload->open || upload->done != upload->size ||
        !hm_is_upload(store, upload->slot, upload->size, upload->digest)) {
        return HM_CODE_WRONG_ORDER;
    }
    if (!upload->whole) {
        const uint32_t held = upload->size % store->flash->word;
        if (held > 0) {
            hm_fill(upload->word + held, 0, store->flash->word - held);
            const hm_code code =
                hm_program_body(store, upload, upload->size - held, upload->word, store->flash->word);
            if (code != HM_CODE_OK) {
                return code;
            }
        }
        uint8_t digest[HM_SHA256_BYTES];
        hm_sha256 hash;
        hm_sha256_begin(&hash);
        hm_sha256_add(&hash, hm_slot_body(store, upload->slot), upload->size);
        hm_sha256_end(&hash, digest);
        upload->whole = hm_equal(digest, upload->digest, sizeof digest);
    }
    if (!upload->whole) {
        upload->open = false;
        (void)hm_slot_erase(store, upload->slot, 0);
        return HM_CODE_WRONG_DIGEST;
    }
    return hm_read_entry(store, upload->slot, upload->size, entry);
}

hm_code hm_store_commit(hm_store *store, hm_upload *upload, uint32_t counter)
{
    hm_entry entry;
    if (!upload->whole) {
        return HM_CODE_WRONG_ORDER;
    }
    hm_code code = hm_store_written(store, upload, &entry);
    if (code != HM_CODE_OK) {
        return code;
    }
    if (counter != entry.sealed.counter || counter <= store->counter) {
        return HM_CODE_OLD;
    }
    const uint32_t place = hm_place_of(store, entry.sealed.name);
    if (place != upload->place && (place < store->places || !hm_is_free(store, upload->place))) {
        return HM_CODE_NAME_TAKEN;
    }
    const uint32_t slot = upload->slot;
    const uint32_t other = slot ^ 1;
    code = hm_slot_commit(store, slot, upload->size, counter);
    hm_fill(upload, 0, sizeof *upload);
    if (code != HM_CODE_OK) {
        (void)hm_slot_take_back(store, slot);
        return code;
    }
    store->counter = counter;
    if (!hm_slot_is_erased(store, other)) {
        (void)hm_slot_erase(store, other, 0); /* it does not count any more; the next mount tries again */
    }
    return HM_CODE_OK;
}

void hm_store_abandon(hm_store *store, hm_upload *upload)
{
    if (upload->open && hm_is_upload(store, upload->slot, upload->size, upload->digest)) {
        (void)hm_slot_erase(store, upload->slot, 0); /* the next mount or begin tries again */
    }
    hm_fill(upload, 0, sizeof *upload);
}

hm_code hm_store_delete(hm_store *store, const char *name)
{
    const uint32_t place = hm_place_of(store, name);
    if (place == store->places) {
        return HM_CODE_NO_PERSON;
    }
    const hm_newest newest = hm_find_newest(store, place);
    const uint32_t other = newest.slot ^ 1;
    hm_code code = hm_slot_erase(store, other, 0);
    if (code == HM_CODE_OK) {
        code = hm_slot_plan(store, other, 0, NULL); /* nothing has a commit that had no plan */
    }
    if (code == HM_CODE_OK) {
        code = hm_slot_commit(store, other, 0, store->counter);
    }
    if (code != HM_CODE_OK) {
        (void)hm_slot_take_back(store, other);
        return code;
    }
    return hm_slot_erase(store, newest.slot, 0);
}
