/* What can go wrong on a device, as one byte that goes over the wire, and as a line of text. */
#ifndef HM_CODE_H
#define HM_CODE_H

#include "hm_engine.h" /* hm_status, HM_MUST_CHECK */

typedef enum hm_code {
    HM_CODE_OK = 0,
    /* 1 to 31: an hm_status of the engine, as it is */

    /* flash and people */
    HM_CODE_FLASH = 32,   /* flash did not take what was written, or cannot be erased */
    HM_CODE_FULL,         /* no slot is free */
    HM_CODE_NO_PERSON,    /* nobody of that name */
    HM_CODE_NAME_TAKEN,   /* another person has that name: replacing was not asked for */
    HM_CODE_TOO_LARGE,    /* a blob larger than a slot */

    /* seals */
    HM_CODE_NOT_SEALED = 48, /* no sealed person, or cut short */
    HM_CODE_NO_KEY,          /* the device has no key yet */
    HM_CODE_HAS_KEY,         /* the device has a key already */
    HM_CODE_WRONG_KEY,       /* sealed under another key number */
    HM_CODE_WRONG_SEAL,      /* not sealed for this device, or changed since */
    HM_CODE_OLD,             /* its counter is not above those that were accepted before */
    HM_CODE_NO_CIPHER,       /* encrypted, and this port cannot decrypt */

    /* the link */
    HM_CODE_UNKNOWN = 64,  /* a request of no known type */
    HM_CODE_WRONG_LENGTH,  /* a request of another length than its type has */
    HM_CODE_WRONG_ORDER,   /* a request that another one has to come before */
    HM_CODE_WRONG_OFFSET,  /* a part that is not the next one; the response says which is */
    HM_CODE_NOT_ALLOWED,   /* the challenge was not answered, or not with the device's key */
    HM_CODE_WRONG_DIGEST,  /* the parts are not what was announced */
    HM_CODE_NO_RANDOM,     /* the port has no random numbers, so there is no challenge */
    HM_CODE_NOT_HERE,      /* what this build or this board does not have */
    HM_CODE_WRONG_VALUE,   /* a field out of its range: a name that is none, a key without a number */

    /* the gate and the camera */
    HM_CODE_LOCKED = 80, /* too many attempts: not before the delay is over */
    HM_CODE_NO_FRAME,    /* no image from the camera */
    HM_CODE_NO_FACE      /* landmarks that make no face */
} hm_code;

/* A line of printable ASCII for a code, 80 characters at most, without its end; "unknown error" for a number that is none. */
const char *hm_code_text(unsigned code);

#endif
