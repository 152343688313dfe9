/* Requests about an image over the link: VERIFY, its rows, its verdict, and the layers behind that. It opens nothing. */
#include "../core/hm_blob.h" /* hm_word, hm_is_name */
#include "hm_reply.h"

/* Whose turn it is: the first of those still to be asked. */
static hm_code hm_next_person(hm_device *device)
{
    hm_asking *const asking = &device->asking;
    hm_entry entry;
    uint32_t place = 0;
    while (place < HM_MOST_PEOPLE && (asking->places >> place & 1) == 0) {
        place++;
    }
    if (place == HM_MOST_PEOPLE) {
        return HM_CODE_NO_PERSON;
    }
    asking->places &= ~(UINT64_C(1) << place);
    asking->cycles = 0;
    asking->filled = 0;
    hm_code code = hm_store_at(&device->store, place, &entry);
    if (code == HM_CODE_OK) {
        hm_copy(asking->name, entry.sealed.name, HM_NAME_BYTES);
        code = hm_device_person(device, &entry, &device->person);
    }
#if HM_SELFTEST
    hm_taps_to(device->layer_crc, device->layer_cycles);
#endif
    const uint32_t begin = hm_port_cycles();
    if (code == HM_CODE_OK) {
        code = (hm_code)hm_begin(&device->session, &device->person);
    }
    asking->cycles = hm_port_cycles() - begin;
    return code;
}

/* Who is to be asked: the person of a name, or all that this key opens. */
static hm_code hm_whom(hm_device *device, const uint8_t name[HM_NAME_BYTES])
{
    hm_asking *const asking = &device->asking;
    hm_entry entry;
    asking->places = 0;
    asking->total = 0;
    if (name[0] != 0) {
        if (!hm_is_name(name, HM_NAME_BYTES)) {
            return HM_CODE_WRONG_VALUE;
        }
        const hm_code code = hm_store_find(&device->store, (const char *)name, &entry);
        if (code == HM_CODE_OK) {
            asking->places = UINT64_C(1) << entry.place;
            asking->total = HM_INPUT_BYTES;
        }
        return code;
    }
    for (uint32_t place = 0; place < device->store.places; place++) {
        hm_code code = hm_store_at(&device->store, place, &entry);
        if (code == HM_CODE_OK) {
            code = hm_device_person(device, &entry, &device->person);
            hm_device_forget(device);
        }
        if (code == HM_CODE_OK) {
            asking->places |= UINT64_C(1) << place;
            asking->total += HM_INPUT_BYTES;
        } else if (code != HM_CODE_NO_PERSON && code != HM_CODE_WRONG_KEY) {
            return code;
        }
    }
    return asking->places != 0 ? HM_CODE_OK : HM_CODE_NO_PERSON;
}

hm_code hm_answer_verify(hm_device *device, const uint8_t *payload, uint32_t n, hm_reply *reply)
{
    (void)n;
    hm_asking *const asking = &device->asking;
    hm_device_forget(device);
    hm_fill(asking, 0, sizeof *asking);
    hm_code code = hm_whom(device, payload);
    if (code == HM_CODE_OK) {
        code = hm_next_person(device);
    }
    if (code != HM_CODE_OK) {
        hm_device_forget(device);
        return code;
    }
    asking->open = true;
    hm_put_word(reply, asking->total / HM_INPUT_BYTES);
    hm_put_word(reply, HM_INPUT_BYTES);
    return HM_CODE_OK;
}

/* A person's image is whole: the verdict, and on to the next person. */
static hm_code hm_finish(hm_device *device)
{
    hm_asking *const asking = &device->asking;
    hm_verdict one;
    const uint32_t begin = hm_port_cycles();
    const hm_status status = hm_end(&device->session, &one);
    asking->cycles += hm_port_cycles() - begin;
    if (status != HM_OK) {
        return (hm_code)status;
    }
#if HM_SELFTEST
    asking->cycles -= hm_taps_cost();
    hm_taps_to(NULL, NULL);
#endif
    const int64_t above = (int64_t)one.logit - one.threshold;
    if (asking->best_name[0] == 0 || above > (int64_t)asking->best.logit - asking->best.threshold) {
        asking->best = one;
        asking->best_cycles = asking->cycles;
        hm_copy(asking->best_name, asking->name, HM_NAME_BYTES);
    }
    if (asking->places == 0) {
        return HM_CODE_OK;
    }
    hm_device_forget(device);
    asking->open = true;
    return hm_next_person(device);
}

static hm_code hm_push(hm_device *device, const uint8_t *bytes, uint32_t n)
{
    hm_asking *const asking = &device->asking;
    hm_code code = HM_CODE_OK;
    while (n > 0 && code == HM_CODE_OK) {
        const uint32_t room = HM_ROW_BYTES - asking->filled;
        const uint32_t more = n < room ? n : room;
        hm_copy(device->row + asking->filled, bytes, more);
        bytes += more;
        n -= more;
        asking->filled += more;
        asking->offset += more;
        if (asking->filled == HM_ROW_BYTES) {
#if HM_SELFTEST
            hm_taps_mark();
#endif
            const uint32_t begin = hm_port_cycles();
            code = (hm_code)hm_push_row(&device->session, device->row);
            asking->cycles += hm_port_cycles() - begin;
            asking->filled = 0;
            if (code == HM_CODE_OK && asking->offset % HM_INPUT_BYTES == 0) {
                code = hm_finish(device);
            }
        }
    }
    return code;
}

hm_code hm_answer_verify_rows(hm_device *device, const uint8_t *payload, uint32_t n, hm_reply *reply)
{
    hm_asking *const asking = &device->asking;
    if (!asking->open) {
        return HM_CODE_WRONG_ORDER;
    }
    if (hm_word(payload) != asking->offset) {
        hm_put_word(reply, asking->offset);
        return HM_CODE_WRONG_OFFSET;
    }
    const hm_code code =
        n - 4 > asking->total - asking->offset ? (hm_code)HM_WRONG_ROW_COUNT : hm_push(device, payload + 4, n - 4);
    if (code != HM_CODE_OK) {
        hm_device_forget(device);
    }
    hm_put_word(reply, asking->offset);
    return code;
}

hm_code hm_answer_verify_end(hm_device *device, const uint8_t *payload, uint32_t n, hm_reply *reply)
{
    (void)payload;
    (void)n;
    hm_asking *const asking = &device->asking;
    if (!asking->open) {
        return HM_CODE_WRONG_ORDER;
    }
    hm_device_forget(device);
    if (asking->offset != asking->total) {
        return (hm_code)HM_WRONG_ROW_COUNT;
    }
    asking->done = true;
    hm_put_word(reply, asking->best.decision);
    hm_put_word(reply, (uint32_t)asking->best.logit);
    hm_put_word(reply, (uint32_t)asking->best.threshold);
    hm_put_word(reply, asking->best_cycles);
    hm_put_word(reply, hm_port_cycles_hz());
    hm_put(reply, asking->best_name, HM_NAME_BYTES);
    return HM_CODE_OK;
}

#if HM_SELFTEST
/* Numbers of the layers from the one that is asked for on, as many as a response holds. */
static hm_code hm_put_layers(const hm_device *device, const uint8_t *payload, const uint32_t *words, hm_reply *reply)
{
    if (!device->asking.done) {
        return HM_CODE_WRONG_ORDER;
    }
    hm_put_word(reply, HM_LAYERS);
    for (uint32_t layer = hm_word(payload); layer < HM_LAYERS && hm_reply_room(reply) >= 4; layer++) {
        hm_put_word(reply, words[layer]);
    }
    return HM_CODE_OK;
}

hm_code hm_answer_layers(hm_device *device, const uint8_t *payload, uint32_t n, hm_reply *reply)
{
    (void)n;
    return hm_put_layers(device, payload, device->layer_crc, reply);
}

hm_code hm_answer_profile(hm_device *device, const uint8_t *payload, uint32_t n, hm_reply *reply)
{
    (void)n;
    return hm_put_layers(device, payload, device->layer_cycles, reply);
}
#endif
