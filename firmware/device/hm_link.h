/* The link: frames over a serial line. The whole protocol: firmware/LINK.md.
 *
 * A frame is COBS(type, sequence, payload, CRC-32 of these, little-endian), with a zero before and behind it. What is no
 * frame (noise, a console's text) is dropped without an answer; the host asks again. */
#ifndef HM_LINK_H
#define HM_LINK_H

#include "hm_code.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HM_LINK_VERSION = 1,
    HM_LINK_PAYLOAD = 1024, /* most bytes of a payload */
    HM_LINK_RAW = 2 + HM_LINK_PAYLOAD + 4,
    HM_LINK_FRAME = HM_LINK_RAW + HM_LINK_RAW / 254 + 1 + 2, /* encoded, with both zeros */
    HM_LINK_CHALLENGE = 16,
    HM_LINK_RESPONSE = 0x80 /* added to the type of the request */
};

/* Types of requests; what they carry and what comes back is in LINK.md. */
typedef enum hm_request {
    HM_ASK_PING = 1,
    HM_ASK_INFO = 2,
    HM_ASK_LIST = 3,
    HM_ASK_CHALLENGE = 4,
    HM_ASK_LOAD = 5, /* authenticated: begins or resumes an upload */
    HM_ASK_LOAD_PART = 6,
    HM_ASK_LOAD_END = 7,
    HM_ASK_DELETE = 8,  /* authenticated */
    HM_ASK_SET_KEY = 9, /* once, while the device has no key */
    HM_ASK_VERIFY = 10, /* begins one; authenticated but in a replay build. Never opens anything */
    HM_ASK_VERIFY_ROWS = 11,
    HM_ASK_VERIFY_END = 12,
    HM_ASK_LAYERS = 13,  /* CRC-32 of each layer of the last verification; a self-test build has them */
    HM_ASK_PROFILE = 14, /* cycles of each layer of the last verification; a self-test build has them */
    HM_ASK_KAT = 15      /* known answer of a person */
} hm_request;

/* Takes bytes one by one; *frame and *n are a whole frame's type, sequence and payload when it returns true, valid until
 * the next call. Behind these n bytes lies their CRC-32. */
typedef struct hm_receiver {
    uint8_t bytes[HM_LINK_FRAME];
    uint32_t n;
    bool lost; /* longer than any frame: until the next zero nothing counts */
} hm_receiver;

void hm_receiver_reset(hm_receiver *receiver);
bool hm_receive(hm_receiver *receiver, uint8_t byte, const uint8_t **frame, uint32_t *n);

/* Encodes type, sequence and a payload of HM_LINK_PAYLOAD bytes at most; returns how many bytes of `frame` are to be sent.
 * The payload may lie in `frame` itself, from HM_LINK_FRAME - HM_LINK_PAYLOAD on. */
uint32_t hm_link_encode(uint8_t type, uint8_t sequence, const uint8_t *payload, uint32_t n, uint8_t frame[HM_LINK_FRAME]);

#endif
