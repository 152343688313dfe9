/* What the applications share: their start, and lines of text on the serial line for people who look at it. The link takes
 * such lines for noise, so that both may use one line. */
#ifndef HM_SAY_H
#define HM_SAY_H

#include "../device/hm_factory.h"

static inline void hm_say(const char *text)
{
    size_t n = 0;
    while (text[n] != 0) {
        n++;
    }
    (void)hm_port_write((const uint8_t *)text, n);
}

/* A number in base 10 or 16; in the latter all eight digits. */
static inline void hm_say_number(uint32_t number, uint32_t base)
{
    char digits[11];
    uint32_t at = sizeof digits - 1;
    digits[at] = 0;
    do {
        digits[--at] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number != 0 || (base == 16 && at > 2));
    hm_say(digits + at);
}

static inline void hm_say_signed(int32_t number)
{
    if (number < 0) {
        hm_say("-");
    }
    hm_say_number(number < 0 ? 0U - (uint32_t)number : (uint32_t)number, 10);
}

/* Starts the device and says how that went. It goes on either way: a device that cannot mount its flash still answers the
 * link, and opens nothing. */
static inline void hm_start_device(hm_device *device)
{
    const hm_gate_policy policy = {HM_GATE_POLICY};
    const hm_code code = hm_device_begin(device, policy);
    hm_say("hyper-mcu on ");
    hm_say(hm_port_board());
    hm_say(": ");
    hm_say(code == HM_CODE_OK ? "ready" : hm_code_text((unsigned)code));
    hm_say("\r\n");
}

/* Stores the people that came with the program as soon as the device has a key. *factory: HM_CODE_NO_KEY until then. */
static inline void hm_store_factory(hm_device *device, hm_code *factory)
{
#if HM_FACTORY
    if (*factory == HM_CODE_NO_KEY) {
        *factory = hm_factory_people(device, hm_people, hm_people_count);
        if (*factory != HM_CODE_OK && *factory != HM_CODE_NO_KEY) {
            hm_say("people that came with the program: ");
            hm_say(hm_code_text((unsigned)*factory));
            hm_say("\r\n");
        }
    }
#else
    (void)device;
    (void)factory;
#endif
}

/* What an application does again and again: the people that came with it, and the link. */
static inline void hm_serve(hm_device *device, hm_code *factory)
{
    hm_store_factory(device, factory);
    hm_device_poll(device);
}

#endif
