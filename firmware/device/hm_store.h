/* People in a flash partition: two slots each, the older one kept until the newer one is whole and known to work.
 *
 * Slot 2·p and 2·p + 1 are those of place p. A slot is a whole number of flash units: a record of HM_SLOT_HEAD bytes and
 * the sealed person behind it. Its bytes, and the order in which they are programmed, are in SPEC.md, "Store". What makes
 * a slot valid is programmed last; what makes the other one of a place invalid is only the higher counter of the newer
 * one, or a tombstone. So power may fail anywhere, and the partition holds what it held before or what it was to hold. */
#ifndef HM_STORE_H
#define HM_STORE_H

#include "hm_flash.h"
#include "hm_seal.h"

enum { HM_SLOT_HEAD = 64, HM_MOST_PEOPLE = 64 };

typedef struct hm_store {
    const hm_flash *flash;
    uint32_t slot_bytes; /* whole units */
    uint32_t places;     /* people that fit */
    uint32_t counter;    /* highest rollback counter that was ever accepted, tombstones included */
} hm_store;

/* One person of the list. */
typedef struct hm_entry {
    hm_sealed sealed;
    const uint8_t *bytes; /* the sealed person in flash */
    uint32_t size;
    uint32_t place;
} hm_entry;

/* Looks through the partition, finishes or clears away what a power cut left, and knows then how many places there are:
 * largest: bytes of the largest sealed person. HM_CODE_FULL where not one place fits. */
HM_MUST_CHECK hm_code hm_store_mount(hm_store *store, const hm_flash *flash, uint32_t largest);

/* The person at place 0 … places − 1; HM_CODE_NO_PERSON for an empty one. Its check sum is looked at. */
HM_MUST_CHECK hm_code hm_store_at(const hm_store *store, uint32_t place, hm_entry *entry);

/* The person of a name. */
HM_MUST_CHECK hm_code hm_store_find(const hm_store *store, const char *name, hm_entry *entry);

uint32_t hm_store_count(const hm_store *store);

/* Writing a person, part by part: begin erases a slot (of the place of that name where there is one: replace must then
 * be true), put programs the next bytes, wherever they are cut; commit makes it the one that counts, or abandon forgets
 * it. Between begin and commit the old person is there as before. resume: goes on with an upload of the same digest that
 * was interrupted, by a power cut too: *done is how many bytes are there already. */
typedef struct hm_upload {
    uint32_t slot;
    uint32_t place;
    uint32_t size;
    uint32_t done;
    uint8_t digest[HM_SHA256_BYTES];
    uint8_t word[32]; /* bytes that do not fill a word of flash yet */
    bool open;
} hm_upload;

HM_MUST_CHECK hm_code hm_store_begin(hm_store *store, const char *name, bool replace, uint32_t size,
                                     const uint8_t digest[HM_SHA256_BYTES], hm_upload *upload);
HM_MUST_CHECK hm_code hm_store_put(hm_store *store, hm_upload *upload, const uint8_t *bytes, uint32_t n);
/* What has been put, for the checks before commit (digest, seal, known answer); pads the last word. */
HM_MUST_CHECK hm_code hm_store_written(const hm_store *store, hm_upload *upload, hm_entry *entry);
HM_MUST_CHECK hm_code hm_store_commit(hm_store *store, hm_upload *upload, uint32_t counter);
void hm_store_abandon(hm_store *store, hm_upload *upload);

/* Deletes a person, both slots; the counter is kept by a tombstone. */
HM_MUST_CHECK hm_code hm_store_delete(hm_store *store, const char *name);

#endif
