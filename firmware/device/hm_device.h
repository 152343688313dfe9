/* A device: what answers the link, and keeps people. The applications call hm_device_poll again and again.
 *
 * Who holds the wire does not hold the door: nothing that comes over the link opens anything, LOAD, DELETE and VERIFY need
 * an answered challenge, and what is loaded must be sealed for this device. */
#ifndef HM_DEVICE_H
#define HM_DEVICE_H

#include "hm_gate.h"
#include "hm_link.h"
#include "hm_port.h"
#include "hm_store.h"

/* -DHM_REPLAY=1: VERIFY needs no challenge (a board on a desk). -DHM_SELFTEST=1: LAYERS and PROFILE. */
#ifndef HM_REPLAY
#define HM_REPLAY 0
#endif
#ifndef HM_SELFTEST
#define HM_SELFTEST 0
#endif

typedef struct hm_device {
    hm_store store;
    hm_gate gate;
    hm_session session;
    hm_receiver receiver;
    uint8_t response[HM_LINK_FRAME]; /* of the last request, sent again when that comes again */
    uint32_t response_bytes;
    hm_upload upload;
    uint8_t challenge[HM_LINK_CHALLENGE];
    bool challenged;
    bool answered;    /* whether any request was answered since the start: `last` is then one */
    uint8_t last[2];  /* type and sequence of the last request */
    hm_person person; /* of the verification that is going on */
    uint32_t rows;
    bool verifying;
    hm_verdict verdict;
    uint32_t cycles;
#if HM_SELFTEST
    uint32_t layer_crc[HM_LAYERS];
    uint32_t layer_cycles[HM_LAYERS];
#endif
} hm_device;

HM_MUST_CHECK hm_code hm_device_begin(hm_device *device, hm_gate_policy policy);

/* Reads what the line has, answers whole requests. */
void hm_device_poll(hm_device *device);

/* The person of an entry of the store, ready for hm_begin: decrypted into the port's room where need be. */
HM_MUST_CHECK hm_code hm_device_person(hm_device *device, const hm_entry *entry, hm_person *person);

/* Who of all people stored a crop's rows or a frame show: an attempt of the gate, then every person, the furthest above
 * their threshold. Returns a decision of hm_gate.h; entry: whose, where it is HM_GATE_MATCH. */
uint32_t hm_device_look(hm_device *device, const hm_frame *frame, const hm_warp *warp, hm_entry *entry, hm_verdict *verdict);

#endif
