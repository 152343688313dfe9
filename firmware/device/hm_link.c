/* The link's frames: COBS (Cheshire and Baker 1999) around a request or a response and its CRC-32. LINK.md has the bytes. */
#include "hm_link.h"

#include "../core/hm_blob.h"   /* hm_word */
#include "../core/hm_memory.h" /* hm_wipe */
#include "hm_flash.h"          /* hm_flash_crc */

enum { CRC = 4, LEAST = 2 + CRC, RUN = 254, FULL = RUN + 1 };

HM_STATIC_ASSERT(HM_LINK_FRAME - HM_LINK_PAYLOAD >= 4 + (HM_LINK_PAYLOAD + 1) / RUN,
                 "hyper-mcu: a payload at the end of its own frame is read before it is written over");

void hm_receiver_reset(hm_receiver *receiver)
{
    receiver->n = 0;
    receiver->lost = false;
}

/* Takes COBS off n bytes, in place. Returns how many are left, 0 where they are none of COBS. */
static uint32_t decode(uint8_t *bytes, uint32_t n)
{
    uint32_t from = 0;
    uint32_t to = 0;
    while (from < n) {
        const uint32_t code = bytes[from];
        const uint32_t end = from + code;
        if (end > n) {
            return 0;
        }
        for (from++; from < end; from++) {
            bytes[to] = bytes[from];
            to++;
        }
        if (code < FULL && from < n) {
            bytes[to] = 0;
            to++;
        }
    }
    return to;
}

bool hm_receive(hm_receiver *receiver, uint8_t byte, const uint8_t **frame, uint32_t *n)
{
    if (byte != 0) {
        if (receiver->n < sizeof receiver->bytes) {
            receiver->bytes[receiver->n] = byte;
            receiver->n++;
        } else {
            receiver->lost = true;
        }
        return false;
    }
    const uint32_t came = receiver->n;
    const uint32_t size = receiver->lost ? 0 : decode(receiver->bytes, came);
    hm_receiver_reset(receiver);
    if (size < LEAST || size > HM_LINK_RAW ||
        hm_flash_crc(0, receiver->bytes, size - CRC) != hm_word(receiver->bytes + size - CRC)) {
        hm_wipe(receiver->bytes, came); /* it may have been half a key */
        return false;
    }
    *frame = receiver->bytes;
    *n = size - CRC;
    return true;
}

/* COBS as bytes come: `code` is the place of the byte that says how far the next zero is. */
typedef struct encoder {
    uint8_t *bytes;
    uint32_t code;
    uint32_t n;
} encoder;

static void open_run(encoder *to)
{
    to->code = to->n;
    to->n++;
}

static void close_run(encoder *to)
{
    to->bytes[to->code] = (uint8_t)(to->n - to->code);
}

static void put(encoder *to, uint8_t byte)
{
    if (to->n - to->code == FULL) {
        close_run(to);
        open_run(to);
    }
    if (byte == 0) {
        close_run(to);
        open_run(to);
    } else {
        to->bytes[to->n] = byte;
        to->n++;
    }
}

uint32_t hm_link_encode(uint8_t type, uint8_t sequence, const uint8_t *payload, uint32_t n, uint8_t frame[HM_LINK_FRAME])
{
    const uint8_t head[2] = {type, sequence};
    const uint32_t crc = hm_flash_crc(hm_flash_crc(0, head, sizeof head), payload, n);
    encoder to = {frame, 0, 1};
    frame[0] = 0;
    open_run(&to);
    put(&to, type);
    put(&to, sequence);
    for (uint32_t i = 0; i < n; i++) {
        put(&to, payload[i]);
    }
    for (uint32_t i = 0; i < CRC; i++) {
        put(&to, (uint8_t)(crc >> 8 * i & 0xFF));
    }
    close_run(&to);
    to.bytes[to.n] = 0;
    return to.n + 1;
}
