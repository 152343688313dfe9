/* What the files that answer requests share: a response that grows, and who answers what. Not for applications. */
#ifndef HM_REPLY_H
#define HM_REPLY_H

#include "../core/hm_memory.h"
#include "hm_bytes.h"
#include "hm_device.h"

/* The payload of a response; its first byte, the code, comes last. It lies where hm_link_encode wants it. */
typedef struct hm_reply {
    uint8_t *bytes;
    uint32_t n;
} hm_reply;

static inline void hm_put(hm_reply *reply, const void *bytes, uint32_t n)
{
    hm_copy(reply->bytes + reply->n, bytes, n);
    reply->n += n;
}

static inline void hm_put_word(hm_reply *reply, uint32_t word)
{
    uint8_t bytes[4];
    hm_set_word(bytes, word);
    hm_put(reply, bytes, sizeof bytes);
}

static inline uint32_t hm_reply_room(const hm_reply *reply)
{
    return HM_LINK_PAYLOAD - reply->n;
}

/* Answers a request of n bytes, type and sequence included, with its CRC-32 behind it: encodes the response and sends it. */
void hm_answer(hm_device *device, const uint8_t *request, uint32_t n);

/* A request's payload of n bytes, of a length that hm_answer has looked at. */
hm_code hm_answer_list(hm_device *device, const uint8_t *payload, uint32_t n, hm_reply *reply);
hm_code hm_answer_load(hm_device *device, const uint8_t *payload, uint32_t n, hm_reply *reply);
hm_code hm_answer_load_part(hm_device *device, const uint8_t *payload, uint32_t n, hm_reply *reply);
hm_code hm_answer_load_end(hm_device *device, const uint8_t *payload, uint32_t n, hm_reply *reply);
hm_code hm_answer_delete(hm_device *device, const uint8_t *payload, uint32_t n, hm_reply *reply);
hm_code hm_answer_known(hm_device *device, const uint8_t *payload, uint32_t n, hm_reply *reply);
hm_code hm_answer_verify(hm_device *device, const uint8_t *payload, uint32_t n, hm_reply *reply);
hm_code hm_answer_verify_rows(hm_device *device, const uint8_t *payload, uint32_t n, hm_reply *reply);
hm_code hm_answer_verify_end(hm_device *device, const uint8_t *payload, uint32_t n, hm_reply *reply);
#if HM_SELFTEST
hm_code hm_answer_layers(hm_device *device, const uint8_t *payload, uint32_t n, hm_reply *reply);
hm_code hm_answer_profile(hm_device *device, const uint8_t *payload, uint32_t n, hm_reply *reply);
#endif

#endif
