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
#include "hm_taps.h" /* HM_SELFTEST */

/* -DHM_REPLAY=1: VERIFY needs no challenge (a board on a desk). */
#ifndef HM_REPLAY
#define HM_REPLAY 0
#endif
/* Failures before the first delay, that delay and the longest one, in seconds: of applications that have no other policy. */
#ifndef HM_GATE_POLICY
#define HM_GATE_POLICY 5, 30, 3600
#endif
#ifndef HM_FIRMWARE_VERSION
#define HM_FIRMWARE_VERSION "0.1.0"
#endif

/* A verification over the link: its image comes once for each person that is asked. */
typedef struct hm_asking {
    bool open;
    bool done;       /* the last verification came to its end: there are layers to tell of */
    uint64_t places; /* bit p: the person of place p is still to be asked; HM_MOST_PEOPLE is 64 */
    uint32_t total;  /* bytes of all images */
    uint32_t offset; /* those that came */
    uint32_t filled; /* those of a row that is not whole yet */
    uint32_t cycles;
    char name[HM_NAME_BYTES]; /* of the person who is asked now */
    hm_verdict best;
    char best_name[HM_NAME_BYTES];
    uint32_t best_cycles;
} hm_asking;

typedef struct hm_device {
    hm_store store;
    hm_gate gate;
    hm_session session;
    hm_person person; /* whom the session is about */
    uint8_t row[HM_ROW_BYTES];
    uint8_t *room; /* a decrypted person, wiped as soon as nobody needs it; NULL: none */
    uint32_t room_bytes;
    hm_receiver receiver;
    uint8_t response[HM_LINK_FRAME]; /* of the last request, sent again when that comes again */
    uint32_t response_bytes;         /* 0: no request was answered since the start */
    uint32_t request;                /* CRC-32 of the last one */
    hm_upload upload;
    char upload_name[HM_NAME_BYTES];
    bool uploaded; /* what was announced is here already, to the byte */
    uint8_t challenge[HM_LINK_CHALLENGE];
    bool challenged;
    hm_asking asking;
#if HM_SELFTEST
    uint32_t layer_crc[HM_LAYERS];
    uint32_t layer_cycles[HM_LAYERS];
#endif
} hm_device;

/* Mounts store and gate. Where it fails the device may be polled all the same: it answers, and opens nothing. */
HM_MUST_CHECK hm_code hm_device_begin(hm_device *device, hm_gate_policy policy);

/* Reads what the line has, until one request is answered. Who is flooded with them has its turn between any two. */
void hm_device_poll(hm_device *device);

/* Opens a sealed person of n bytes, with a counter above `counter`, under the device's key; decrypts it into the port's
 * room where need be. Go on only where the code is HM_CODE_OK and *decision is HM_MATCH. */
HM_MUST_CHECK hm_code hm_device_open(hm_device *device, const uint8_t *bytes, uint32_t n, uint32_t counter,
                                     hm_sealed *sealed, hm_person *person, uint32_t *decision);

/* The person of an entry of the store, ready for hm_begin until hm_device_forget. The seal is looked at again: flash may
 * lie on a chip of its own, and the key may be another by now. */
HM_MUST_CHECK hm_code hm_device_person(hm_device *device, const hm_entry *entry, hm_person *person);

/* Ends a verification that is going on, and wipes what is left of faces and decrypted people. */
void hm_device_forget(hm_device *device);

/* Who of all people stored a frame shows: an attempt of the gate, then every person, the furthest above their threshold.
 * search: around the warp, or NULL for the warp alone. Returns a decision of hm_gate.h; HM_GATE_ERROR where nobody is
 * stored, the gate is shut, or anybody could not be asked. entry: whose, where it is HM_GATE_MATCH. People sealed under
 * another key are passed over. */
uint32_t hm_device_look(hm_device *device, const hm_frame *frame, const hm_warp *warp, const hm_search *search,
                        hm_entry *entry, hm_verdict *verdict);

#endif
