/* A stand-in for a model.h: the same interface, an engine of a few lines that a test can follow.
 * Layer 0: each row of the image with the top bit flipped. Layer 1: one byte a row. The logit sums a weighted image. */
#ifndef FAKE_MODEL_H
#define FAKE_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HM_INPUT_ROWS 4
#define HM_ROW_BYTES 24
#define HM_INPUT_BYTES 96
#define HM_LAYERS 2
#define HM_SESSION_BYTES 40

typedef enum hm_status { HM_OK = 0, HM_CORRUPT_PERSON = 5 } hm_status;

typedef struct hm_verdict {
    int32_t logit;
    int32_t threshold;
    uint32_t decision;
    bool match;
} hm_verdict;

typedef struct hm_weights {
    int8_t weight[8];
} hm_weights;

typedef struct hm_person {
    int32_t threshold;
    const char *name;
    const hm_weights *weights;
} hm_person;

typedef struct hm_session {
    uint8_t row[HM_SESSION_BYTES];
} hm_session;

hm_status hm_verify(hm_session *session, const hm_person *person, const uint8_t *rgb, hm_verdict *verdict);
hm_status hm_never_called(hm_session *session);

extern const hm_person hm_person_fake;
#define HM_PERSON hm_person_fake

#endif

#ifdef HYPER_MCU_IMPLEMENTATION
#ifndef HM_TAP
#define HM_TAP(layer, row, bytes, n) ((void)0)
#endif

static const hm_weights hm_weights_fake = {{1, -2, 3, -4, 5, -6, 7, 8}};
const hm_person hm_person_fake = {100, "fake", &hm_weights_fake};

hm_status hm_verify(hm_session *session, const hm_person *person, const uint8_t *rgb, hm_verdict *verdict)
{
    int32_t logit = 0;
    /* BEFORE */
    verdict->match = false;
    verdict->threshold = person->threshold;
    for (int y = 0; y < HM_INPUT_ROWS; y++) {
        int32_t sum = y;
        for (int x = 0; x < HM_ROW_BYTES; x++) {
            const int32_t pixel = rgb[y * HM_ROW_BYTES + x];
            sum += (pixel - 128) * person->weights->weight[x % 8];
            session->row[x] = (uint8_t)(pixel ^ 128);
        }
        HM_TAP(0, y, (const int8_t *)session->row, HM_ROW_BYTES);
        session->row[0] = (uint8_t)((uint32_t)sum & 255U);
        HM_TAP(1, y, (const int8_t *)session->row, 1);
        logit += sum;
    }
    verdict->logit = logit;
    verdict->match = logit >= person->threshold;
    return HM_OK;
}

hm_status hm_never_called(hm_session *session)
{
    session->row[0]++;
    return HM_OK;
}
#endif
