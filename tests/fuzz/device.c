/* The target of device.py: a port in memory, and steps of an input as what a host sends. */
#include "hm_device.h"
#include "../core/hm_blob.h"
#include <stdlib.h>
#include <string.h>

enum { UNIT = 512, UNITS = 24, LOG = 2, RAW = 0, PLAIN, TAGGED, PERSON };

static _Alignas(16) uint8_t flash[(UNITS + LOG) * UNIT];
static hm_device device;
static const uint8_t *to_read;
static size_t left;
static uint8_t said[HM_LINK_FRAME];
static size_t said_bytes;
static uint32_t clock_ms;
static const uint8_t secret[HM_KEY_BYTES] = {1}; /* zeros are no key */
static bool has_key;

static void require(bool so)
{
    if (!so) {
        abort();
    }
}

static bool erase(void *context, uint32_t offset)
{
    memset(flash + *(const uint32_t *)context + offset, 0xFF, UNIT);
    return true;
}

static bool program(void *context, uint32_t offset, const uint8_t *bytes, uint32_t n)
{
    uint8_t *const at = flash + *(const uint32_t *)context + offset;
    for (uint32_t i = 0; i < n; i++) {
        require(at[i] == 0xFF); /* no word twice */
        at[i] = bytes[i];
    }
    return true;
}

static uint32_t people_at = 0;
static uint32_t log_at = UNITS * UNIT;
static const hm_flash people = {flash, UNITS * UNIT, UNIT, 8, &people_at, erase, program};
static const hm_flash attempts = {flash + UNITS * UNIT, LOG * UNIT, UNIT, 8, &log_at, erase, program};

const char *hm_port_board(void) { return "fuzzed"; }
size_t hm_port_read(uint8_t *bytes, size_t n)
{
    const size_t more = n < left ? n : left;
    memcpy(bytes, to_read, more);
    to_read += more;
    left -= more;
    return more;
}
bool hm_port_write(const uint8_t *bytes, size_t n)
{
    require(n <= sizeof said);
    memcpy(said, bytes, n);
    said_bytes = n;
    return true;
}
void hm_port_idle(void) { }
uint32_t hm_port_ms(void) { return clock_ms++; }
uint32_t hm_port_cycles(void) { return clock_ms; }
uint32_t hm_port_cycles_hz(void) { return 1000; }
uint32_t hm_port_stack_used(void) { return 0; }
const hm_flash *hm_port_people(void) { return &people; }
const hm_flash *hm_port_log(void) { return &attempts; }
bool hm_port_key(uint8_t key[HM_KEY_BYTES], uint32_t *number)
{
    memcpy(key, secret, sizeof secret);
    *number = 1;
    return has_key;
}
bool hm_port_set_key(const uint8_t key[HM_KEY_BYTES], uint32_t number)
{
    require(!has_key);
    (void)key;
    (void)number;
    return false;
}
bool hm_port_random(uint8_t *bytes, size_t n)
{
    memset(bytes, (int)(clock_ms++ & 0xFF), n);
    return true;
}
bool hm_port_decrypt(const uint8_t key[HM_KEY_BYTES], const uint8_t counter[16], uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bytes[i] ^= (uint8_t)(key[i % HM_KEY_BYTES] + counter[i % 16]); /* as good as any for a fuzzer */
    }
    return true;
}
uint8_t *hm_port_room(size_t n)
{
    static _Alignas(16) uint8_t room[2048];
    return n <= sizeof room ? room : NULL;
}
bool hm_port_frame(hm_frame *frame)
{
    (void)frame;
    return false;
}
void hm_port_light(bool on)
{
    require(!on); /* whatever comes over the line */
}

/* Gives the device bytes, in memory of exactly that size. */
static void feed(const uint8_t *bytes, size_t n)
{
    uint8_t *const copy = (uint8_t *)malloc(n + 1);
    require(copy != NULL);
    memcpy(copy, bytes, n);
    said_bytes = 0;
    to_read = copy;
    left = n;
    while (left > 0) {
        hm_device_poll(&device);
    }
    free(copy);
}

/* A request whose frame is right: its response is a frame too, with its type and sequence. Returns its code. */
static unsigned ask(uint8_t type, const uint8_t *payload, uint32_t n, uint8_t answer[HM_LINK_RAW])
{
    static uint8_t sequence;
    static uint8_t frame[HM_LINK_FRAME];
    static hm_receiver receiver;
    const uint8_t *found = NULL;
    uint32_t bytes = 0;
    sequence++;
    feed(frame, hm_link_encode(type, sequence, payload, n, frame));
    if ((type & HM_LINK_RESPONSE) != 0) {
        require(said_bytes == 0);
        return 0;
    }
    hm_receiver_reset(&receiver);
    for (size_t i = 0; i < said_bytes; i++) {
        if (hm_receive(&receiver, said[i], &found, &bytes)) {
            require(i == said_bytes - 1);
        }
    }
    require(found != NULL && bytes >= 3 && found[0] == (type | HM_LINK_RESPONSE) && found[1] == sequence);
    memcpy(answer, found, bytes);
    return found[2];
}

static uint32_t tag(uint8_t type, uint8_t *payload, uint32_t n)
{
    uint8_t answer[HM_LINK_RAW];
    uint8_t key[HM_KEY_BYTES];
    hm_hmac mac;
    require(ask(HM_ASK_CHALLENGE, payload, 0, answer) == HM_CODE_OK);
    hm_key_for(secret, 1, HM_USE_LINK, key);
    hm_hmac_begin(&mac, key, sizeof key);
    hm_hmac_add(&mac, answer + 3, HM_LINK_CHALLENGE);
    hm_hmac_add(&mac, &type, 1);
    hm_hmac_add(&mac, payload, n);
    hm_hmac_end(&mac, payload + n);
    return n + HM_SHA256_BYTES;
}

static void put(uint8_t *to, uint32_t word)
{
    for (int i = 0; i < 4; i++) {
        to[i] = (uint8_t)(word >> 8 * i);
    }
}

/* An upload of what would be a person.bin, sealed as who has the key would. flags: encrypted, replace. */
static void upload(const uint8_t *blob, uint32_t n, uint8_t flags)
{
    static uint8_t sealed[HM_SEAL_HEAD + 1024 + HM_SEAL_TAG];
    uint8_t request[1 + 4 + HM_SHA256_BYTES + HM_NAME_BYTES + HM_SHA256_BYTES];
    uint8_t answer[HM_LINK_RAW];
    uint8_t key[HM_KEY_BYTES];
    hm_hmac mac;
    hm_sha256 hash;
    n = n / 4 * 4;
    if (n < HM_BLOB_HEAD || n > 1024) {
        return;
    }
    memset(sealed, 0, sizeof sealed);
    memcpy(sealed, "HMsp", 4);
    put(sealed + HM_SEAL_VERSION, HM_SEAL_FORMAT);
    put(sealed + HM_SEAL_TOTAL, HM_SEAL_HEAD + n + HM_SEAL_TAG);
    put(sealed + HM_SEAL_FLAGS, flags & HM_SEAL_ENCRYPTED);
    put(sealed + HM_SEAL_KEY, 1);
    put(sealed + HM_SEAL_COUNTER, device.store.counter + 1);
    put(sealed + HM_SEAL_PAYLOAD, n);
    memcpy(sealed + HM_SEAL_NAME, blob + HM_BLOB_NAME, HM_NAME_BYTES);
    memcpy(sealed + HM_SEAL_HEAD, blob, n);
    if ((flags & HM_SEAL_ENCRYPTED) != 0) {
        hm_key_for(secret, 1, HM_USE_ENCRYPT, key);
        (void)hm_port_decrypt(key, sealed + HM_SEAL_NONCE, sealed + HM_SEAL_HEAD, n);
    }
    n += HM_SEAL_HEAD;
    hm_key_for(secret, 1, HM_USE_SEAL, key);
    hm_hmac_begin(&mac, key, sizeof key);
    hm_hmac_add(&mac, sealed, n);
    hm_hmac_end(&mac, sealed + n);
    n += HM_SEAL_TAG;
    request[0] = flags >> 1 & 1;
    put(request + 1, n);
    hm_sha256_begin(&hash);
    hm_sha256_add(&hash, sealed, n);
    hm_sha256_end(&hash, request + 5);
    memcpy(request + 5 + HM_SHA256_BYTES, sealed + HM_SEAL_NAME, HM_NAME_BYTES);
    if (ask(HM_ASK_LOAD, request, tag(HM_ASK_LOAD, request, sizeof request - HM_SHA256_BYTES), answer) != HM_CODE_OK) {
        return;
    }
    uint32_t at = hm_word(answer + 3);
    while (at < n) {
        uint8_t part[4 + 400];
        const uint32_t more = n - at < 400 ? n - at : 400;
        put(part, at);
        memcpy(part + 4, sealed + at, more);
        require(ask(HM_ASK_LOAD_PART, part, 4 + more, answer) == HM_CODE_OK);
        at += more;
    }
    (void)ask(HM_ASK_LOAD_END, request, 0, answer);
}

/* Whoever is stored can be asked: nobody is kept who was not sealed, or does not work. */
static void check(void)
{
    for (uint32_t place = 0; place < device.store.places; place++) {
        hm_entry entry;
        hm_person person;
        const hm_code code = hm_store_at(&device.store, place, &entry);
        require(code == HM_CODE_OK || code == HM_CODE_NO_PERSON);
        if (code == HM_CODE_OK && has_key) {
            require(hm_device_person(&device, &entry, &person) == HM_CODE_OK);
            require(hm_known_answer(&device.session, &person) == HM_OK);
            hm_device_forget(&device);
        }
    }
    require(device.gate.failures == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const hm_gate_policy policy = {3, 1, 60};
    uint8_t payload[HM_LINK_PAYLOAD];
    uint8_t answer[HM_LINK_RAW];
    memset(flash, 0xFF, sizeof flash);
    has_key = size == 0 || (data[0] & 1) == 0;
    require(hm_device_begin(&device, policy) == HM_CODE_OK);
    while (size >= 4) {
        const uint32_t length = data[2] | (uint32_t)data[3] << 8;
        const uint32_t n = length < size - 4 ? length : (uint32_t)(size - 4);
        const uint8_t type = data[1];
        const uint8_t kind = (uint8_t)(data[0] >> 1 & 3);
        data += 4;
        size -= 4;
        if (kind == RAW || n > HM_LINK_PAYLOAD) {
            feed(data, n);
        } else if (kind == PERSON) {
            upload(data, n, type);
        } else {
            const bool tagged = kind == TAGGED && n + HM_SHA256_BYTES <= HM_LINK_PAYLOAD;
            const bool needed = type == HM_ASK_LOAD || type == HM_ASK_DELETE || type == HM_ASK_VERIFY;
            memcpy(payload, data, n);
            const unsigned code = ask(type, payload, tagged ? tag(type, payload, n) : n, answer);
            require(tagged || !needed || code != HM_CODE_OK);
        }
        data += n;
        size -= n;
    }
    check();
    return 0;
}
