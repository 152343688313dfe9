/* Answers requests of the link: who may ask, what came before, and the short answers. LINK.md has all of them. */
#include "../core/hm_blob.h" /* hm_word */
#include "hm_bytes.h"
#include "hm_reply.h"

enum {
    TAG = HM_SHA256_BYTES,
    ANY = UINT16_MAX, /* any length */
    LOAD = 1 + 4 + HM_SHA256_BYTES + HM_NAME_BYTES,
    SET_KEY = 4 + HM_KEY_BYTES,
    NAME = 31, /* most bytes of a board's name, and of a version */
    TEXT = 80, /* most bytes of the text behind a code */
    BUILD = (HM_REPLAY ? 1 : 0) + (HM_SELFTEST ? 2 : 0), /* flags of INFO */
    CIPHER = 4
};

static hm_code hm_answer_ping(hm_device *device, const uint8_t *payload, uint32_t n, hm_reply *reply)
{
    (void)device;
    hm_put(reply, payload, n < HM_LINK_PAYLOAD ? n : HM_LINK_PAYLOAD - 1);
    return HM_CODE_OK;
}

static void hm_put_text(hm_reply *reply, const char *text, uint32_t most)
{
    for (; most > 0 && *text != 0; most--, text++) {
        hm_put(reply, text, 1);
    }
}

enum { PAYLOAD = HM_BLOB_HEAD + HM_WEIGHTS_BYTES + HM_BLOB_CRC }; /* of the largest person */

/* Whether the port has room for the largest person and can decrypt; of 16 zeros. */
static bool hm_has_cipher(uint32_t largest)
{
    uint8_t nothing[HM_KEY_BYTES] = {0};
    return hm_port_room(largest) != NULL && hm_port_decrypt(nothing, nothing, nothing, 16);
}

static hm_code hm_answer_info(hm_device *device, const uint8_t *payload, uint32_t n, hm_reply *reply)
{
    (void)payload;
    (void)n;
    uint8_t key[HM_KEY_BYTES];
    uint32_t number = 0;
    if (!hm_port_key(key, &number)) {
        number = 0;
    }
    hm_wipe(key, sizeof key);
    hm_device_forget(device); /* the room that the cipher is tried with may hold a person */
    const uint8_t head[2] = {HM_LINK_VERSION, (uint8_t)(BUILD + (hm_has_cipher(PAYLOAD) ? CIPHER : 0))};
    const hm_store *const store = &device->store;
    const uint32_t words[] = {
        HM_ABI,
        HM_ARCHITECTURE,
        HM_LAYERS,
        HM_INPUT_ROWS,
        HM_ROW_BYTES,
        HM_SESSION_BYTES,
        store->places,
        hm_store_count(store),
        store->slot_bytes,
        store->slot_bytes > HM_SLOT_HEAD ? store->slot_bytes - HM_SLOT_HEAD : 0,
        hm_port_people()->size,
        store->counter,
        number,
        device->gate.failures,
        hm_gate_wait(&device->gate, hm_port_ms()),
        hm_port_stack_used(),
        hm_port_cycles_hz(),
    };
    hm_put(reply, head, sizeof head);
    for (uint32_t i = 0; i < sizeof words / sizeof *words; i++) {
        hm_put_word(reply, words[i]);
    }
    hm_put_text(reply, hm_port_board(), NAME);
    hm_put(reply, "", 1);
    hm_put_text(reply, HM_FIRMWARE_VERSION, NAME);
    hm_put(reply, "", 1);
    return HM_CODE_OK;
}

static hm_code hm_answer_challenge(hm_device *device, const uint8_t *payload, uint32_t n, hm_reply *reply)
{
    (void)payload;
    (void)n;
    device->challenged = false;
    if (!hm_port_random(device->challenge, sizeof device->challenge)) {
        return HM_CODE_NO_RANDOM;
    }
    device->challenged = true;
    hm_put(reply, device->challenge, sizeof device->challenge);
    return HM_CODE_OK;
}

/* Whether the challenge was answered with the device's key: the tag behind the n bytes of a payload. A challenge serves
 * one request, whatever comes of it. *decision is HM_MATCH only where it was. */
static hm_code hm_may(hm_device *device, uint8_t type, const uint8_t *payload, uint32_t n, uint32_t *decision)
{
    uint8_t key[HM_KEY_BYTES];
    uint8_t tag[TAG];
    uint32_t number;
    hm_hmac mac;
    *decision = HM_NO_MATCH;
    if (!hm_port_key(key, &number)) {
        return HM_CODE_NO_KEY;
    }
    hm_key_for(key, number, HM_USE_LINK, tag);
    hm_wipe(key, sizeof key);
    hm_hmac_begin(&mac, tag, sizeof tag);
    hm_hmac_add(&mac, device->challenge, sizeof device->challenge);
    hm_hmac_add(&mac, &type, sizeof type);
    hm_hmac_add(&mac, payload, n);
    hm_hmac_end(&mac, tag);
    const bool challenged = device->challenged;
    device->challenged = false;
    hm_wipe(device->challenge, sizeof device->challenge);
    if (challenged) {
        *decision = hm_equal_secret(tag, payload + n, TAG);
    }
    hm_wipe(tag, sizeof tag);
    return *decision == HM_MATCH ? HM_CODE_OK : HM_CODE_NOT_ALLOWED;
}

static hm_code hm_answer_set_key(hm_device *device, const uint8_t *payload, uint32_t n, hm_reply *reply)
{
    (void)device;
    (void)n;
    (void)reply;
    uint8_t key[HM_KEY_BYTES];
    uint32_t number;
    const bool there = hm_port_key(key, &number);
    hm_wipe(key, sizeof key);
    if (there) {
        return HM_CODE_HAS_KEY;
    }
    if (hm_word(payload) == 0 || hm_any(payload + 4, HM_KEY_BYTES) == 0) {
        return HM_CODE_WRONG_VALUE;
    }
    return hm_port_set_key(payload + 4, hm_word(payload)) ? HM_CODE_OK : HM_CODE_FLASH;
}

typedef hm_code hm_handler(hm_device *device, const uint8_t *payload, uint32_t n, hm_reply *reply);

/* A request: its payload's least and most bytes, without a tag, and whether one has to be behind them. */
typedef struct hm_kind {
    hm_handler *handle;
    uint16_t least;
    uint16_t most;
    bool authenticated;
} hm_kind;

/* In the order of hm_request. */
static const hm_kind hm_kinds[HM_ASK_KAT + 1] = {
    {NULL, 0, 0, false},
    {hm_answer_ping, 0, ANY, false},
    {hm_answer_info, 0, 0, false},
    {hm_answer_list, 4, 4, false},
    {hm_answer_challenge, 0, 0, false},
    {hm_answer_load, LOAD, LOAD, true},
    {hm_answer_load_part, 4, ANY, false},
    {hm_answer_load_end, 0, 0, false},
    {hm_answer_delete, HM_NAME_BYTES, HM_NAME_BYTES, true},
    {hm_answer_set_key, SET_KEY, SET_KEY, false},
    {hm_answer_verify, HM_NAME_BYTES, HM_NAME_BYTES, !HM_REPLAY},
    {hm_answer_verify_rows, 4, ANY, false},
    {hm_answer_verify_end, 0, 0, false},
#if HM_SELFTEST
    {hm_answer_layers, 4, 4, false},
    {hm_answer_profile, 4, 4, false},
#else
    {NULL, 4, 4, false}, /* known, and not here */
    {NULL, 4, 4, false},
#endif
    {hm_answer_known, HM_NAME_BYTES, HM_NAME_BYTES, false},
};

static hm_code hm_execute(hm_device *device, uint8_t type, const uint8_t *payload, uint32_t n, hm_reply *reply)
{
    if (type == 0 || type > HM_ASK_KAT) {
        return HM_CODE_UNKNOWN;
    }
    const hm_kind *const kind = &hm_kinds[type];
    const uint32_t tag = kind->authenticated ? TAG : 0;
    if (n < kind->least + tag || n > kind->most + tag) {
        return HM_CODE_WRONG_LENGTH;
    }
    if (kind->authenticated) {
        uint32_t decision;
        const hm_code code = hm_may(device, type, payload, n - tag, &decision);
        if (code != HM_CODE_OK || decision != HM_MATCH) {
            return code != HM_CODE_OK ? code : HM_CODE_NOT_ALLOWED;
        }
    }
    return kind->handle != NULL ? kind->handle(device, payload, n - tag, reply) : HM_CODE_NOT_HERE;
}

void hm_answer(hm_device *device, const uint8_t *request, uint32_t n)
{
    const uint8_t type = request[0];
    const uint32_t crc = hm_word(request + n);
    if ((type & HM_LINK_RESPONSE) != 0) {
        return; /* an echo, or another device on the line */
    }
    if (device->response_bytes == 0 || device->request != crc) {
        uint8_t *const payload = device->response + HM_LINK_FRAME - HM_LINK_PAYLOAD;
        hm_reply reply = {payload, 1};
        device->response_bytes = 0;
        const hm_code code = hm_execute(device, type, request + 2, n - 2, &reply);
        if (code != HM_CODE_OK) {
            reply.n = code == HM_CODE_WRONG_OFFSET ? reply.n : 1;
            hm_put_text(&reply, hm_code_text((unsigned)code), TEXT);
        }
        payload[0] = (uint8_t)code;
        device->response_bytes =
            hm_link_encode((uint8_t)(type | HM_LINK_RESPONSE), request[1], payload, reply.n, device->response);
        device->request = crc;
    }
    (void)hm_port_write(device->response, device->response_bytes); /* the host knows best whether it arrived: it asks again */
}
