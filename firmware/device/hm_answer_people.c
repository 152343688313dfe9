/* Requests about the people on a device: LIST, the three of an upload, DELETE, KAT. */
#include "../core/hm_blob.h" /* hm_word, hm_is_name, hm_equal */
#include "hm_reply.h"

enum { ENTRY = 4 + HM_NAME_BYTES + HM_ID_BYTES + 3 * 4, REPLACE = 1 };

static void hm_put_entry(hm_reply *reply, const hm_entry *entry)
{
    hm_put_word(reply, entry->place);
    hm_put(reply, entry->sealed.name, HM_NAME_BYTES);
    hm_put(reply, entry->sealed.id, HM_ID_BYTES);
    hm_put_word(reply, entry->sealed.key);
    hm_put_word(reply, entry->sealed.counter);
    hm_put_word(reply, entry->size);
}

hm_code hm_answer_list(hm_device *device, const uint8_t *payload, uint32_t n, hm_reply *reply)
{
    (void)n;
    const uint32_t places = device->store.places;
    uint32_t place = hm_word(payload);
    const uint32_t at = reply->n + 4;
    hm_put_word(reply, places);
    hm_put_word(reply, places);
    for (; place < places && hm_reply_room(reply) >= ENTRY; place++) {
        hm_entry entry;
        if (hm_store_at(&device->store, place, &entry) == HM_CODE_OK) {
            hm_put_entry(reply, &entry);
        }
    }
    hm_reply next = {reply->bytes, at};
    hm_put_word(&next, place < places ? place : places);
    return HM_CODE_OK;
}

/* Whether exactly these bytes are on the device already, and can be used: an upload whose last answer was lost. */
static bool hm_is_there(hm_device *device, const char *name, uint32_t size, const uint8_t digest[HM_SHA256_BYTES])
{
    hm_entry entry;
    hm_sha256 hash;
    uint8_t found[HM_SHA256_BYTES];
    if (hm_store_find(&device->store, name, &entry) != HM_CODE_OK || entry.size != size) {
        return false;
    }
    hm_sha256_begin(&hash);
    hm_sha256_add(&hash, entry.bytes, entry.size);
    hm_sha256_end(&hash, found);
    return hm_equal(found, digest, sizeof found) && hm_device_person(device, &entry, &device->person) == HM_CODE_OK;
}

hm_code hm_answer_load(hm_device *device, const uint8_t *payload, uint32_t n, hm_reply *reply)
{
    (void)n;
    const uint8_t flags = payload[0];
    const uint32_t size = hm_word(payload + 1);
    const uint8_t *const digest = payload + 5;
    const uint8_t *const name = digest + HM_SHA256_BYTES;
    hm_device_forget(device);
    device->uploaded = false;
    if (flags > REPLACE || !hm_is_name(name, HM_NAME_BYTES)) {
        return HM_CODE_WRONG_VALUE;
    }
    hm_copy(device->upload_name, name, HM_NAME_BYTES);
    device->uploaded = hm_is_there(device, device->upload_name, size, digest);
    hm_device_forget(device);
    uint32_t done = size;
    if (!device->uploaded) {
        const hm_code code =
            hm_store_begin(&device->store, device->upload_name, flags == REPLACE, size, digest, &device->upload);
        if (code != HM_CODE_OK) {
            return code;
        }
        done = device->upload.done;
    }
    hm_put_word(reply, done);
    return HM_CODE_OK;
}

hm_code hm_answer_load_part(hm_device *device, const uint8_t *payload, uint32_t n, hm_reply *reply)
{
    hm_upload *const upload = &device->upload;
    if (device->uploaded || !upload->open) {
        return HM_CODE_WRONG_ORDER;
    }
    if (hm_word(payload) != upload->done) {
        hm_put_word(reply, upload->done);
        return HM_CODE_WRONG_OFFSET;
    }
    if (n - 4 > upload->size - upload->done) {
        return HM_CODE_WRONG_LENGTH;
    }
    const hm_code code = hm_store_put(&device->store, upload, payload + 4, n - 4);
    hm_put_word(reply, upload->done);
    return code;
}

/* Whether what was put, whose digest the store has looked at, is sealed for this device by the name that was announced,
 * newer than all before it, and known to work. */
static hm_code hm_check_upload(hm_device *device, const hm_entry *entry, hm_sealed *sealed, uint32_t *decision)
{
    const hm_code code = hm_device_open(device, entry->bytes, entry->size, device->store.counter, sealed,
                                        &device->person, decision);
    if (code != HM_CODE_OK) {
        return code;
    }
    if (!hm_equal((const uint8_t *)sealed->name, (const uint8_t *)device->upload_name, HM_NAME_BYTES)) {
        return HM_CODE_WRONG_DIGEST;
    }
    return (hm_code)hm_known_answer(&device->session, &device->person);
}

hm_code hm_answer_load_end(hm_device *device, const uint8_t *payload, uint32_t n, hm_reply *reply)
{
    (void)payload;
    (void)n;
    (void)reply;
    hm_upload *const upload = &device->upload;
    hm_entry entry;
    hm_sealed sealed;
    uint32_t decision = HM_NO_MATCH;
    if (device->uploaded) {
        device->uploaded = false;
        return HM_CODE_OK;
    }
    if (!upload->open || upload->done != upload->size) {
        return HM_CODE_WRONG_ORDER;
    }
    hm_device_forget(device);
    hm_code code = hm_store_written(&device->store, upload, &entry);
    if (code == HM_CODE_OK) {
        code = hm_check_upload(device, &entry, &sealed, &decision);
    }
    hm_device_forget(device);
    if (code == HM_CODE_OK) {
        code = decision == HM_MATCH ? hm_store_commit(&device->store, upload, sealed.counter) : HM_CODE_WRONG_SEAL;
    }
    if (code != HM_CODE_OK) {
        hm_store_abandon(&device->store, upload);
    }
    return code;
}

hm_code hm_answer_delete(hm_device *device, const uint8_t *payload, uint32_t n, hm_reply *reply)
{
    (void)n;
    (void)reply;
    hm_device_forget(device);
    if (!hm_is_name(payload, HM_NAME_BYTES)) {
        return HM_CODE_WRONG_VALUE;
    }
    device->uploaded = false;
    return hm_store_delete(&device->store, (const char *)payload);
}

hm_code hm_answer_known(hm_device *device, const uint8_t *payload, uint32_t n, hm_reply *reply)
{
    (void)n;
    hm_entry entry;
    hm_device_forget(device);
    if (!hm_is_name(payload, HM_NAME_BYTES)) {
        return HM_CODE_WRONG_VALUE;
    }
    hm_code code = hm_store_find(&device->store, (const char *)payload, &entry);
    if (code == HM_CODE_OK) {
        code = hm_device_person(device, &entry, &device->person);
    }
    if (code == HM_CODE_OK) {
        const uint32_t begin = hm_port_cycles();
        code = (hm_code)hm_known_answer(&device->session, &device->person);
        hm_put_word(reply, hm_port_cycles() - begin);
        hm_put_word(reply, hm_port_cycles_hz());
    }
    hm_device_forget(device);
    return code;
}
