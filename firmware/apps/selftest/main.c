/* A self-test of a board: at its start published vectors of its hashes and check sum; the known answer of everybody on it,
 * with check sum and cycles of each layer; and the stack. Then the link, which answers LAYERS and PROFILE too. */
#include "../../core/hm_blob.h" /* HM_BLOB_NAME, hm_crc32 */
#include "../say.h"

#if !HM_SELFTEST
#error "apps/selftest: build it with -DHM_SELFTEST=1"
#endif

static hm_device device;
static hm_code factory = HM_CODE_NO_KEY; /* hm_store_factory */

static void say_vector(const char *what, bool right)
{
    hm_say(what);
    hm_say(right ? ": right\r\n" : ": WRONG\r\n");
}

static void test_vectors(void)
{
    static const uint8_t abc[3] = {'a', 'b', 'c'};
    static const uint8_t of_abc[HM_SHA256_BYTES] = {
        0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23,
        0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};
    static const uint8_t key[4] = {'J', 'e', 'f', 'e'};
    static const char data[] = "what do ya want for nothing?";
    static const uint8_t of_data[HM_SHA256_BYTES] = {
        0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24, 0x26, 0x08, 0x95, 0x75, 0xc7,
        0x5a, 0x00, 0x3f, 0x08, 0x9d, 0x27, 0x39, 0x83, 0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43};
    static const uint8_t digits[9] = {'1', '2', '3', '4', '5', '6', '7', '8', '9'};
    uint8_t got[HM_SHA256_BYTES];
    hm_sha256 hash;
    hm_hmac mac;
    hm_sha256_begin(&hash);
    hm_sha256_add(&hash, abc, sizeof abc);
    hm_sha256_end(&hash, got);
    say_vector("SHA-256, FIPS 180-4", hm_equal_secret(got, of_abc, sizeof got) == HM_MATCH);
    hm_hmac_begin(&mac, key, sizeof key);
    hm_hmac_add(&mac, data, sizeof data - 1);
    hm_hmac_end(&mac, got);
    say_vector("HMAC-SHA-256, RFC 4231", hm_equal_secret(got, of_data, sizeof got) == HM_MATCH);
    say_vector("CRC-32", hm_crc32(0, digits, sizeof digits) == 0xCBF43926U);
}

static void say_layers(uint32_t cycles)
{
    for (uint32_t layer = 0; layer < HM_LAYERS; layer++) {
        hm_say("  layer ");
        hm_say_number(layer, 10);
        hm_say(": CRC-32 ");
        hm_say_number(device.layer_crc[layer], 16);
        hm_say(", cycles ");
        hm_say_number(device.layer_cycles[layer], 10);
        hm_say("\r\n");
    }
    hm_say("  all: cycles ");
    hm_say_number(cycles, 10);
    hm_say(" at ");
    hm_say_number(hm_port_cycles_hz() / 1000000U, 10);
    hm_say(" MHz\r\n");
}

/* The known answer of device.person, where the code of fetching them is HM_CODE_OK. */
static void test_person(const char *name, hm_code code)
{
    uint32_t cycles = 0;
    if (code == HM_CODE_OK) {
        hm_taps_to(device.layer_crc, device.layer_cycles);
        const uint32_t begin = hm_port_cycles();
        code = (hm_code)hm_known_answer(&device.session, &device.person);
        cycles = hm_port_cycles() - begin - hm_taps_cost();
        hm_taps_to(NULL, NULL);
    }
    hm_say(name);
    hm_say(": known answer: ");
    hm_say(hm_code_text((unsigned)code));
    hm_say("\r\n");
    if (code == HM_CODE_OK) {
        say_layers(cycles);
    }
    hm_device_forget(&device);
}

static void test_stored(void)
{
    for (uint32_t place = 0; place < device.store.places; place++) {
        hm_entry entry;
        if (hm_store_at(&device.store, place, &entry) == HM_CODE_OK) {
            test_person(entry.sealed.name, hm_device_person(&device, &entry, &device.person));
        }
    }
}

/* People that came with the program: stored where there is a key, else tested where they lie. */
static void test_factory(void)
{
#if HM_FACTORY
    hm_store_factory(&device, &factory);
    for (uint32_t i = 0; i < hm_people_count && factory == HM_CODE_NO_KEY; i++) {
        const hm_status status = hm_person_from_blob(hm_people[i].blob, hm_people[i].size, &device.person);
        test_person((const char *)hm_people[i].blob + HM_BLOB_NAME, (hm_code)status);
    }
#endif
}

void hm_main(void)
{
    hm_start_device(&device);
    test_vectors();
    test_factory();
    test_stored();
    hm_say("stack: ");
    hm_say_number(hm_port_stack_used(), 10);
    hm_say(" bytes, session: ");
    hm_say_number(HM_SESSION_BYTES, 10);
    hm_say(" bytes\r\n");
    for (;;) {
        hm_serve(&device, &factory);
        hm_port_idle();
    }
}
