/* In the place of a generated hm_engine.h, for what a device says in tests/vectors/conversation.csv: a network of two
 * layers whose numbers anybody can follow. Layer 0 is the image's rows; layer 1 the sum of all bytes so far, a byte a row.
 * A person is a threshold, 4 bytes, in a payload of 8. The clock of cycles goes on where it is written here. */
#ifndef VECTOR_ENGINE_H
#define VECTOR_ENGINE_H

#include "../../firmware/core/hm_types.h"

#define HM_ABI 77
#define HM_ARCHITECTURE 0xA1B2C3D4U
#define HM_INPUT_ROWS 2
#define HM_ROW_BYTES 6
#define HM_INPUT_BYTES 12
#define HM_LAYERS 2
#define HM_SESSION_BYTES 16
#define HM_WEIGHTS_BYTES 8

typedef struct hm_person {
    int32_t threshold;
} hm_person;

typedef struct hm_session {
    const hm_person *person;
    int32_t sum;
    int rows;
} hm_session;

HM_MUST_CHECK hm_status hm_person_from_blob(const uint8_t *blob, size_t size, hm_person *person);
HM_MUST_CHECK hm_status hm_known_answer(hm_session *session, const hm_person *person);
HM_MUST_CHECK hm_status hm_begin(hm_session *session, const hm_person *person);
HM_MUST_CHECK hm_status hm_push_row(hm_session *session, const uint8_t *rgb);
HM_MUST_CHECK hm_status hm_end(hm_session *session, hm_verdict *verdict);

#endif

#if defined(HYPER_MCU_IMPLEMENTATION) && !defined(VECTOR_ENGINE_IS_HERE)
#define VECTOR_ENGINE_IS_HERE
#include "../../firmware/core/hm_check.h"
#include "../../firmware/core/hm_memory.h"

extern uint32_t bare_cycles;

hm_status hm_person_from_blob(const uint8_t *blob, size_t size, hm_person *person)
{
    hm_copy(&person->threshold, blob, sizeof person->threshold);
    return size == 8 ? HM_OK : HM_WRONG_SIZE;
}

hm_status hm_known_answer(hm_session *session, const hm_person *person)
{
    bare_cycles += 333;
    return hm_begin(session, person);
}

hm_status hm_begin(hm_session *session, const hm_person *person)
{
    bare_cycles += 1000;
    session->person = person;
    session->sum = 0;
    session->rows = 0;
    return HM_OK;
}

hm_status hm_push_row(hm_session *session, const uint8_t *rgb)
{
    int8_t low;
    for (int x = 0; x < HM_ROW_BYTES; x++) {
        session->sum += rgb[x];
    }
    bare_cycles += 100;
    HM_TAP(0, session->rows, (const int8_t *)rgb, HM_ROW_BYTES);
    hm_copy(&low, &session->sum, sizeof low);
    bare_cycles += 7;
    HM_TAP(1, session->rows, &low, 1);
    session->rows++;
    return HM_OK;
}

hm_status hm_end(hm_session *session, hm_verdict *verdict)
{
    bare_cycles += 5;
    verdict->logit = session->sum - 3000;
    verdict->threshold = session->person->threshold;
    verdict->match = verdict->logit >= verdict->threshold;
    verdict->decision = verdict->match ? HM_MATCH : HM_NO_MATCH;
    return session->rows == HM_INPUT_ROWS ? HM_OK : HM_WRONG_ROW_COUNT;
}
#endif
