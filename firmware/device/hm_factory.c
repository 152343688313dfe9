/* People that come with the program: checked, sealed under the device's key, and stored as an upload would be. */
#include "hm_factory.h"

#include "../core/hm_blob.h" /* HM_BLOB_NAME */
#include "hm_bytes.h"

/* The head of the sealed person. Its id is of the blob, so that what power interrupted goes on with the same bytes. */
static void hm_factory_head(const hm_built_in *person, uint32_t number, uint32_t counter, uint8_t head[HM_SEAL_HEAD])
{
    static const uint8_t magic[4] = {'H', 'M', 's', 'p'};
    uint8_t digest[HM_SHA256_BYTES];
    hm_sha256 hash;
    hm_sha256_begin(&hash);
    hm_sha256_add(&hash, person->blob, person->size);
    hm_sha256_end(&hash, digest);
    hm_fill(head, 0, HM_SEAL_HEAD);
    hm_copy(head + HM_SEAL_MAGIC, magic, sizeof magic);
    hm_set_word(head + HM_SEAL_VERSION, HM_SEAL_FORMAT);
    hm_set_word(head + HM_SEAL_TOTAL, HM_SEAL_HEAD + person->size + HM_SEAL_TAG);
    hm_set_word(head + HM_SEAL_KEY, number);
    hm_set_word(head + HM_SEAL_COUNTER, counter);
    hm_set_word(head + HM_SEAL_PAYLOAD, person->size);
    hm_copy(head + HM_SEAL_ID, digest, HM_ID_BYTES);
    hm_copy(head + HM_SEAL_NAME, person->blob + HM_BLOB_NAME, HM_NAME_BYTES);
}

static void hm_factory_tag(const hm_built_in *person, const uint8_t key[HM_KEY_BYTES], uint32_t number,
                           const uint8_t head[HM_SEAL_HEAD], uint8_t tag[HM_SEAL_TAG])
{
    uint8_t secret[HM_KEY_BYTES];
    hm_hmac mac;
    hm_key_for(key, number, HM_USE_SEAL, secret);
    hm_hmac_begin(&mac, secret, sizeof secret);
    hm_hmac_add(&mac, head, HM_SEAL_HEAD);
    hm_hmac_add(&mac, person->blob, person->size);
    hm_hmac_end(&mac, tag);
    hm_wipe(secret, sizeof secret);
}

/* A part of the sealed person that begins at `at`: what of it is not there yet. */
static hm_code hm_put_rest(hm_device *device, uint32_t at, const uint8_t *bytes, uint32_t n)
{
    const uint32_t done = device->upload.done;
    const uint32_t there = done <= at ? 0 : done - at;
    return there >= n ? HM_CODE_OK : hm_store_put(&device->store, &device->upload, bytes + there, n - there);
}

static hm_code hm_factory_write(hm_device *device, const hm_built_in *person, const uint8_t head[HM_SEAL_HEAD],
                                const uint8_t tag[HM_SEAL_TAG])
{
    const uint32_t total = HM_SEAL_HEAD + person->size + HM_SEAL_TAG;
    uint8_t digest[HM_SHA256_BYTES];
    hm_sha256 hash;
    hm_sha256_begin(&hash);
    hm_sha256_add(&hash, head, HM_SEAL_HEAD);
    hm_sha256_add(&hash, person->blob, person->size);
    hm_sha256_add(&hash, tag, HM_SEAL_TAG);
    hm_sha256_end(&hash, digest);
    const char *const name = (const char *)(head + HM_SEAL_NAME);
    hm_code code = hm_store_begin(&device->store, name, false, total, digest, &device->upload);
    if (code == HM_CODE_OK) {
        code = hm_put_rest(device, 0, head, HM_SEAL_HEAD);
    }
    if (code == HM_CODE_OK) {
        code = hm_put_rest(device, HM_SEAL_HEAD, person->blob, person->size);
    }
    return code == HM_CODE_OK ? hm_put_rest(device, total - HM_SEAL_TAG, tag, HM_SEAL_TAG) : code;
}

/* What an upload is asked too: the seal that is in flash now opens, and the self-test of the person passes. */
static hm_code hm_factory_commit(hm_device *device, uint32_t counter)
{
    hm_entry entry;
    hm_sealed sealed;
    uint32_t decision = HM_NO_MATCH;
    hm_code code = hm_store_written(&device->store, &device->upload, &entry);
    if (code == HM_CODE_OK) {
        code = hm_device_open(device, entry.bytes, entry.size, device->store.counter, &sealed, &device->person, &decision);
    }
    if (code == HM_CODE_OK) {
        code = decision == HM_MATCH ? (hm_code)hm_known_answer(&device->session, &device->person) : HM_CODE_WRONG_SEAL;
    }
    hm_device_forget(device);
    return code == HM_CODE_OK ? hm_store_commit(&device->store, &device->upload, counter) : code;
}

hm_code hm_factory_people(hm_device *device, const hm_built_in *people, uint32_t n)
{
    uint8_t key[HM_KEY_BYTES];
    uint8_t head[HM_SEAL_HEAD];
    uint8_t tag[HM_SEAL_TAG];
    uint32_t number;
    hm_code code = HM_CODE_OK;
    if (device->store.counter >= n) {
        return HM_CODE_OK;
    }
    if (!hm_port_key(key, &number)) {
        return HM_CODE_NO_KEY;
    }
    for (uint32_t i = device->store.counter; i < n && code == HM_CODE_OK; i++) {
        code = (hm_code)hm_person_from_blob(people[i].blob, people[i].size, &device->person);
        if (code == HM_CODE_OK) {
            hm_factory_head(&people[i], number, i + 1, head);
            hm_factory_tag(&people[i], key, number, head, tag);
            code = hm_factory_write(device, &people[i], head, tag);
        }
        if (code == HM_CODE_OK) {
            code = hm_factory_commit(device, i + 1);
        }
        if (code != HM_CODE_OK) {
            hm_store_abandon(&device->store, &device->upload);
        }
    }
    hm_wipe(key, sizeof key);
    hm_wipe(tag, sizeof tag);
    return code;
}
