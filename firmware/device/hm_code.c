/* The texts of the codes: what a device answers beside the number. */
#include "hm_code.h"

const char *hm_code_text(unsigned code)
{
    switch (code) {
    case HM_CODE_OK:
        return "done";

    case HM_NULL_POINTER:
        return "a missing argument";
    case HM_NOT_BEGUN:
        return "no verification was begun";
    case HM_WRONG_ROW_COUNT:
        return "not as many rows as the image has";
    case HM_WRONG_ENGINE:
        return "a person of another network than this firmware's";
    case HM_CORRUPT_PERSON:
        return "a damaged person";
    case HM_WRONG_ANSWER:
        return "not the known answer";
    case HM_NOT_A_PERSON:
        return "no person";
    case HM_WRONG_FORMAT:
        return "a person of another format";
    case HM_WRONG_SIZE:
        return "a person cut short or grown";
    case HM_MISALIGNED:
        return "a person at no multiple of 4 bytes";

    case HM_CODE_FLASH:
        return "flash does not take what is written";
    case HM_CODE_FULL:
        return "no room for another person";
    case HM_CODE_NO_PERSON:
        return "nobody of that name";
    case HM_CODE_NAME_TAKEN:
        return "somebody has that name, and replacing was not asked for";
    case HM_CODE_TOO_LARGE:
        return "larger than a person's place";

    case HM_CODE_NOT_SEALED:
        return "no sealed person, or cut short";
    case HM_CODE_NO_KEY:
        return "the device has no key yet";
    case HM_CODE_HAS_KEY:
        return "the device has a key already";
    case HM_CODE_WRONG_KEY:
        return "sealed under another key number";
    case HM_CODE_WRONG_SEAL:
        return "not sealed with the device's key, or changed since";
    case HM_CODE_OLD:
        return "older than what the device has accepted";
    case HM_CODE_NO_CIPHER:
        return "encrypted, and this device cannot decrypt";

    case HM_CODE_UNKNOWN:
        return "an unknown request";
    case HM_CODE_WRONG_LENGTH:
        return "a request of the wrong length";
    case HM_CODE_WRONG_ORDER:
        return "a request before the one that it needs";
    case HM_CODE_WRONG_OFFSET:
        return "not the next part";
    case HM_CODE_NOT_ALLOWED:
        return "the challenge was not answered with the device's key";
    case HM_CODE_WRONG_DIGEST:
        return "not what was announced";
    case HM_CODE_NO_RANDOM:
        return "no random numbers for a challenge";
    case HM_CODE_NOT_HERE:
        return "not in this build or not on this board";
    case HM_CODE_WRONG_VALUE:
        return "a field out of its range";

    case HM_CODE_LOCKED:
        return "locked after failed attempts";
    case HM_CODE_NO_FRAME:
        return "no image from the camera";
    case HM_CODE_NO_FACE:
        return "landmarks that make no face";

    default:
        return "unknown error";
    }
}
