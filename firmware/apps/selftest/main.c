/* A self-test of a board: at its start the known answer of everybody stored, check sum and cycles of each layer, and the
 * stack; then the link, which answers LAYERS and PROFILE too. */
#include "../say.h"

#if !HM_SELFTEST
#error "apps/selftest: build it with -DHM_SELFTEST=1"
#endif

static hm_device device;
static hm_code factory = HM_CODE_NO_KEY; /* hm_device_serve */

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

static void test(const hm_entry *entry)
{
    uint32_t cycles = 0;
    hm_code code = hm_device_person(&device, entry, &device.person);
    if (code == HM_CODE_OK) {
        hm_taps_to(device.layer_crc, device.layer_cycles);
        const uint32_t begin = hm_port_cycles();
        code = (hm_code)hm_known_answer(&device.session, &device.person);
        cycles = hm_port_cycles() - begin - hm_taps_cost();
        hm_taps_to(NULL, NULL);
    }
    hm_say(entry->sealed.name);
    hm_say(": known answer: ");
    hm_say(hm_code_text((unsigned)code));
    hm_say("\r\n");
    if (code == HM_CODE_OK) {
        say_layers(cycles);
    }
    hm_device_forget(&device);
}

int main(void)
{
    hm_start_device(&device);
    for (uint32_t place = 0; place < device.store.places; place++) {
        hm_entry entry;
        if (hm_store_at(&device.store, place, &entry) == HM_CODE_OK) {
            test(&entry);
        }
    }
    hm_say("stack: ");
    hm_say_number(hm_port_stack_used(), 10);
    hm_say(" bytes, session: ");
    hm_say_number(HM_SESSION_BYTES, 10);
    hm_say(" bytes\r\n");
    for (;;) {
        hm_device_serve(&device, &factory);
        hm_port_idle();
    }
}
