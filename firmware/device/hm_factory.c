/* People that come with the program: checked, sealed under the device's key, and stored as an upload would be. */
#include "hm_factory.h"

#include "../core/hm_blob.h" /* HM_BLOB_NAME */

/* The head of the sealed person. Its id is of the blob, so that what power interrupted goes on with the same bytes. */
static void hm_factory_head(const hm_built_in *person, uint32_t number, uint32_t counter, uint8_t head[HM_SEAL_HEAD])
{
    uint8_t digest[HM_SHA256_BYTES];
    hm_sha256 hash;
    hm_sha256_begin(&hash);
    hm_sha256_add(&hash, person->blob, person->size);
    hm_sha256_end(&hash, digest);
    const char *const name = (const char *)(person->blob + HM_BLOB_NAME);
    const hm_sealed sealed = {digest, name, 0, number, counter, NULL, NULL, person->size};
    hm_seal_head(&sealed, head);
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

static hm_code hm_factory_put(hm_device *device, const hm_built_in *person, const uint8_t key[HM_KEY_BYTES],
                              uint32_t number, uint32_t counter)
{
    hm_code code = (hm_code)hm_person_from_blob(person->blob, person->size, &device->person);
    if (code == HM_CODE_OK) {
        uint8_t head[HM_SEAL_HEAD];
        uint8_t tag[HM_SEAL_TAG];
        hm_factory_head(person, number, counter, head);
        hm_factory_tag(person, key, number, head, tag);
        code = hm_factory_write(device, person, head, tag);
        hm_wipe(tag, sizeof tag);
    }
    if (code == HM_CODE_OK) {
        code = hm_factory_commit(device, counter);
    }
    if (code != HM_CODE_OK) {
        hm_store_abandon(&device->store, &device->upload);
    }
    return code;
}

hm_code hm_factory_people(hm_device *device, const hm_built_in *people, uint32_t n)
{
    uint8_t key[HM_KEY_BYTES];
    uint32_t number;
    hm_code code = HM_CODE_OK;
    hm_code first = HM_CODE_OK;
    if (device->store.counter >= n) {
        return HM_CODE_OK;
    }
    if (!hm_port_key(key, &number)) {
        return HM_CODE_NO_KEY;
    }
    for (uint32_t i = device->store.counter; i < n && code != HM_CODE_FLASH; i++) {
        code = hm_factory_put(device, &people[i], key, number, i + 1);
        first = first == HM_CODE_OK ? code : first;
    }
    hm_wipe(key, sizeof key);
    return first;
}
