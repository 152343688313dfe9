/* People in a flash partition: two slots each, so that the older person counts until the newer one is whole.
 *
 * Slot 2·p and 2·p + 1 are those of place p. A slot is a whole number of flash units: HM_SLOT_HEAD bytes of records and
 * the sealed person behind them. Its bytes, and the order in which they are programmed and erased, are in STORE.md,
 * "Slots". What makes a slot valid is programmed last; then the other slot of its place is erased. A deleted person
 * leaves a slot that says so, a tombstone, and no other byte. So power may fail anywhere, and the partition holds what it
 * held before or what it was to hold. */
#ifndef HM_STORE_H
#define HM_STORE_H

#include "hm_flash.h"
#include "hm_seal.h"

enum { HM_SLOT_HEAD = 160, HM_MOST_PEOPLE = 64 };

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
 * largest: bytes of the largest sealed person. HM_CODE_FULL where not one place fits. HM_CODE_FLASH where something could
 * not be cleared away; the store can be used all the same, and the next mount tries again. Records of slots of another
 * size are none: a firmware with another `largest` begins with an empty partition where that makes other slots. */
HM_MUST_CHECK hm_code hm_store_mount(hm_store *store, const hm_flash *flash, uint32_t largest);

/* The person at place 0 … places − 1; HM_CODE_NO_PERSON for an empty one, and for one whose check sum is wrong. */
HM_MUST_CHECK hm_code hm_store_at(const hm_store *store, uint32_t place, hm_entry *entry);

/* The person of a name. */
HM_MUST_CHECK hm_code hm_store_find(const hm_store *store, const char *name, hm_entry *entry);

uint32_t hm_store_count(const hm_store *store);

/* A person who is being written, part by part. All zeros before the first hm_store_begin. */
typedef struct hm_upload {
    uint32_t slot;
    uint32_t place;
    uint32_t size;
    uint32_t done; /* bytes that were taken, those that do not fill a word of flash yet among them */
    uint8_t digest[HM_SHA256_BYTES];
    uint8_t word[HM_FLASH_WORD]; /* bytes that do not fill a word of flash yet */
    bool open;
    bool whole; /* all bytes are in flash, and their digest was looked at */
} hm_upload;

/* Erases a slot, of the place of that name where there is one: HM_CODE_NAME_TAKEN unless replace is true. Until commit
 * the old person is there as before. digest: SHA-256 of the size bytes to come. An upload of the same digest and size
 * that was interrupted goes on: upload->done says from which byte. That is the next one where *upload is still that
 * upload, and the first of its flash unit after a reset, as nobody knows how well a unit took in which power failed.
 * Every other upload is forgotten. */
HM_MUST_CHECK hm_code hm_store_begin(hm_store *store, const char *name, bool replace, uint32_t size,
                                     const uint8_t digest[HM_SHA256_BYTES], hm_upload *upload);

/* Programs the next n bytes, wherever they are cut. After HM_CODE_FLASH the upload is over; begin may go on with it. */
HM_MUST_CHECK hm_code hm_store_put(hm_store *store, hm_upload *upload, const uint8_t *bytes, uint32_t n);

/* What has been put, for the checks before commit (seal, known answer); pads the last word. HM_CODE_WRONG_ORDER before
 * all bytes are there, HM_CODE_WRONG_DIGEST where they are not what was announced. */
HM_MUST_CHECK hm_code hm_store_written(const hm_store *store, hm_upload *upload, hm_entry *entry);

/* Makes it the one that counts, after hm_store_written said HM_CODE_OK, and erases the older one. counter: the sealed
 * person's; HM_CODE_OLD where it is another or not above store->counter. HM_CODE_NAME_TAKEN where the name in the sealed
 * person is that of another place, or not that of the person who is in this one. HM_CODE_FLASH: nothing has changed. */
HM_MUST_CHECK hm_code hm_store_commit(hm_store *store, hm_upload *upload, uint32_t counter);

/* Forgets an upload and erases what was put. */
void hm_store_abandon(hm_store *store, hm_upload *upload);

/* Deletes a person and erases both slots; the counter is kept by a tombstone. HM_CODE_FLASH with nobody of that name left:
 * the person is deleted, and not all bytes could be erased; the next mount tries again. */
HM_MUST_CHECK hm_code hm_store_delete(hm_store *store, const char *name);

#endif
