/* A device: its start, its people ready to be asked, and who is before the camera. */
#include "hm_device.h"

#include "../core/hm_blob.h"
#include "hm_reply.h"

enum { LARGEST = HM_SEAL_HEAD + HM_BLOB_HEAD + HM_WEIGHTS_BYTES + HM_BLOB_CRC + HM_SEAL_TAG };

HM_STATIC_ASSERT(HM_MOST_PEOPLE <= 64, "hyper-mcu: hm_asking has a bit for each place");

hm_code hm_device_begin(hm_device *device, hm_gate_policy policy)
{
    hm_port_light(false);
    hm_fill(device, 0, sizeof *device);
    hm_receiver_reset(&device->receiver);
    const hm_code store = hm_store_mount(&device->store, hm_port_people(), LARGEST);
    const hm_code gate = hm_gate_mount(&device->gate, hm_port_log(), policy, hm_port_ms());
    return store != HM_CODE_OK ? store : gate;
}

/* One request at most, byte by byte so that what follows it stays in the line, and no more bytes than the longest frame
 * has: whatever comes, the application soon has its turn, which may be to shut a door. */
void hm_device_poll(hm_device *device)
{
    uint8_t byte = 0;
    bool answered = false;
    for (uint32_t seen = 0; seen < HM_LINK_FRAME && !answered && hm_port_read(&byte, 1) == 1; seen++) {
        const uint8_t *request;
        uint32_t bytes;
        answered = hm_receive(&device->receiver, byte, &request, &bytes);
        if (answered) {
            hm_answer(device, request, bytes);
            hm_wipe(device->receiver.bytes, sizeof device->receiver.bytes); /* it may have been a key, or a face */
        }
    }
}

void hm_device_forget(hm_device *device)
{
    device->asking.open = false;
    hm_wipe(&device->session, sizeof device->session);
    hm_wipe(&device->person, sizeof device->person);
    hm_wipe(device->row, sizeof device->row);
    if (device->room != NULL) {
        hm_wipe(device->room, device->room_bytes);
        device->room = NULL;
    }
}

/* The payload where the engine can read it. */
static hm_code hm_plain(hm_device *device, const hm_sealed *sealed, const uint8_t key[HM_KEY_BYTES],
                        const uint8_t **payload)
{
    *payload = sealed->payload;
    if ((sealed->flags & HM_SEAL_ENCRYPTED) == 0) {
        return HM_CODE_OK;
    }
    uint8_t secret[HM_KEY_BYTES];
    uint8_t *const room = hm_port_room(sealed->payload_bytes);
    if (room == NULL) {
        return HM_CODE_NO_CIPHER;
    }
    device->room = room;
    device->room_bytes = sealed->payload_bytes;
    hm_copy(room, sealed->payload, sealed->payload_bytes);
    hm_key_for(key, sealed->key, HM_USE_ENCRYPT, secret);
    const bool done = hm_port_decrypt(secret, sealed->nonce, room, sealed->payload_bytes);
    hm_wipe(secret, sizeof secret);
    *payload = room;
    return done ? HM_CODE_OK : HM_CODE_NO_CIPHER;
}

hm_code hm_device_open(hm_device *device, const uint8_t *bytes, uint32_t n, uint32_t counter, hm_sealed *sealed,
                       hm_person *person, uint32_t *decision)
{
    uint8_t key[HM_KEY_BYTES];
    uint32_t number;
    const uint8_t *payload;
    *decision = HM_NO_MATCH;
    hm_fill(person, 0, sizeof *person);
    if (!hm_port_key(key, &number)) {
        return HM_CODE_NO_KEY;
    }
    hm_code code = hm_seal_open(bytes, n, key, number, counter, sealed, decision);
    if (code == HM_CODE_OK && *decision != HM_MATCH) {
        code = HM_CODE_WRONG_SEAL;
    }
    if (code == HM_CODE_OK) {
        code = hm_plain(device, sealed, key, &payload);
    }
    hm_wipe(key, sizeof key);
    if (code == HM_CODE_OK) {
        code = (hm_code)hm_person_from_blob(payload, sealed->payload_bytes, person);
    }
    return code;
}

hm_code hm_device_person(hm_device *device, const hm_entry *entry, hm_person *person)
{
    hm_sealed sealed;
    uint32_t decision;
    const uint32_t before = entry->sealed.counter - 1; /* no counter is 0 */
    const hm_code code = hm_device_open(device, entry->bytes, entry->size, before, &sealed, person, &decision);
    return code == HM_CODE_OK && decision != HM_MATCH ? HM_CODE_WRONG_SEAL : code;
}

/* One person of hm_device_look: HM_CODE_NO_PERSON where nobody of this key is at that place. */
static hm_code hm_ask(hm_device *device, uint32_t place, const hm_frame *frame, const hm_warp *warp,
                      const hm_search *search, hm_entry *entry, hm_verdict *verdict)
{
    hm_warp best;
    hm_code code = hm_store_at(&device->store, place, entry);
    if (code == HM_CODE_OK) {
        code = hm_device_person(device, entry, &device->person);
    }
    if (code == HM_CODE_WRONG_KEY) {
        return HM_CODE_NO_PERSON;
    }
    if (code != HM_CODE_OK) {
        return code;
    }
    if (search == NULL) {
        return hm_image_verify(&device->session, &device->person, frame, warp, device->row, verdict);
    }
    return hm_image_search(&device->session, &device->person, frame, warp, search, device->row, verdict, &best);
}

/* What the gate is told of a code: a status of the engine as it is, anything else as one that is not HM_OK. */
static hm_status hm_told(hm_code code)
{
    const uint32_t number = (uint32_t)code;
    return number < HM_CODE_FLASH ? (hm_status)number : HM_NOT_BEGUN;
}

uint32_t hm_device_look(hm_device *device, const hm_frame *frame, const hm_warp *warp, const hm_search *search,
                        hm_entry *entry, hm_verdict *verdict)
{
    hm_code code = HM_CODE_NO_PERSON;
    int64_t most = INT64_MIN;
    hm_verdict best = {INT32_MIN, INT32_MAX, HM_NO_MATCH, false};
    hm_fill(entry, 0, sizeof *entry);
    *verdict = best;
    hm_device_forget(device);
    if (hm_store_count(&device->store) == 0 || hm_gate_attempt(&device->gate, hm_port_ms()) != HM_CODE_OK) {
        return HM_GATE_ERROR;
    }
    for (uint32_t place = 0; place < device->store.places; place++) {
        hm_entry whose;
        hm_verdict one;
        const hm_code said = hm_ask(device, place, frame, warp, search, &whose, &one);
        hm_device_forget(device);
        if (said == HM_CODE_NO_PERSON) {
            continue;
        }
        code = said;
        if (said != HM_CODE_OK) {
            best = *verdict; /* a refusal: with it no status makes a match, whatever somebody before was */
            break;
        }
        const int64_t above = (int64_t)one.logit - one.threshold;
        if (above > most) {
            most = above;
            best = one;
            *entry = whose;
        }
    }
    const uint32_t decision = hm_gate_judge(&device->gate, hm_told(code), &best, hm_port_ms());
    if (decision != HM_GATE_MATCH) {
        hm_fill(entry, 0, sizeof *entry);
    }
    if (decision == HM_GATE_MATCH || decision == HM_GATE_NO_MATCH) {
        *verdict = best;
    }
    return decision;
}
