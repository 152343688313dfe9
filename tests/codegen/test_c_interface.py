"""What a program may call in model.h: every misuse has a status, nothing but the owner is a match."""

from __future__ import annotations

import numpy as np
import pytest
from c_programs import C11, HOST, SANITIZED, compile_c, run, sanitizes
from people import OTHER, TINY, net, person

from hyper_mcu.codegen import oracle
from hyper_mcu.codegen.emit_c import emit

needs_sanitizers = pytest.mark.skipif(not sanitizes(HOST), reason="no compiler with sanitizers on PATH")

MISUSE = r"""
#include <stdio.h>
#include <string.h>
#define HYPER_MCU_IMPLEMENTATION
#include "model.h"

#define EXPECT(condition) if (!(condition)) { printf("line %d: " #condition "\n", __LINE__); return 1; }

static hm_session session;
static uint8_t image[HM_INPUT_BYTES];
static hm_weights weights;

static bool refused(const hm_verdict *v)
{
    return !v->match && v->decision == HM_NO_MATCH && v->logit < v->threshold;
}

static hm_status push(int rows)
{
    hm_status status = HM_OK;
    for (int y = 0; y < rows && status == HM_OK; y++) {
        status = hm_push_row(&session, image);
    }
    return status;
}

int main(void)
{
    hm_verdict v;
    hm_person p = HM_PERSON;

    EXPECT(hm_push_row(&session, image) == HM_NOT_BEGUN);
    memset(&v, 0xFF, sizeof v);
    EXPECT(hm_end(&session, &v) == HM_NOT_BEGUN && refused(&v));

    EXPECT(hm_begin(NULL, &p) == HM_NULL_POINTER);
    EXPECT(hm_begin(&session, NULL) == HM_NULL_POINTER);
    EXPECT(hm_push_row(&session, image) == HM_NOT_BEGUN);
    memset(&v, 0xFF, sizeof v);
    EXPECT(hm_verify(NULL, &p, image, &v) == HM_NULL_POINTER && refused(&v));
    memset(&v, 0xFF, sizeof v);
    EXPECT(hm_verify(&session, NULL, image, &v) == HM_NULL_POINTER && refused(&v));
    memset(&v, 0xFF, sizeof v);
    EXPECT(hm_verify(&session, &p, NULL, &v) == HM_NULL_POINTER && refused(&v));
    EXPECT(hm_verify(&session, &p, image, NULL) == HM_NULL_POINTER);
    EXPECT(hm_known_answer(NULL, &p) == HM_NULL_POINTER);

    EXPECT(hm_begin(&session, &p) == HM_OK);
    EXPECT(hm_push_row(NULL, image) == HM_NULL_POINTER);
    EXPECT(hm_push_row(&session, NULL) == HM_NULL_POINTER);
    EXPECT(push(HM_INPUT_ROWS - 1) == HM_OK);
    memset(&v, 0xFF, sizeof v);
    EXPECT(hm_end(&session, &v) == HM_WRONG_ROW_COUNT && refused(&v));
    EXPECT(hm_push_row(&session, image) == HM_NOT_BEGUN);

    EXPECT(hm_begin(&session, &p) == HM_OK);
    EXPECT(push(HM_INPUT_ROWS) == HM_OK);
    EXPECT(hm_push_row(&session, image) == HM_WRONG_ROW_COUNT);
    EXPECT(hm_push_row(&session, image) == HM_WRONG_ROW_COUNT);
    memset(&v, 0xFF, sizeof v);
    EXPECT(hm_end(&session, &v) == HM_WRONG_ROW_COUNT && refused(&v));

    EXPECT(hm_begin(&session, &p) == HM_OK);
    EXPECT(push(HM_INPUT_ROWS) == HM_OK);
    EXPECT(hm_end(NULL, &v) == HM_NULL_POINTER);
    EXPECT(hm_end(&session, NULL) == HM_NULL_POINTER);
    EXPECT(hm_end(&session, &v) == HM_OK);
    EXPECT(v.match == (v.logit >= v.threshold) && v.match == (v.decision == HM_MATCH));
    EXPECT(hm_end(&session, &v) == HM_NOT_BEGUN && refused(&v));
    EXPECT(hm_push_row(&session, image) == HM_NOT_BEGUN);
    for (size_t i = 0; i < sizeof session; i++) {
        EXPECT(((const uint8_t *)&session)[i] == 0); /* nothing of a face is left */
    }

    p.architecture ^= 1;
    EXPECT(hm_verify(&session, &p, image, &v) == HM_WRONG_ENGINE && refused(&v));
    p = HM_PERSON;
    p.abi++;
    EXPECT(hm_verify(&session, &p, image, &v) == HM_WRONG_ENGINE && refused(&v));
    p = HM_PERSON;
    p.threshold--;
    EXPECT(hm_verify(&session, &p, image, &v) == HM_CORRUPT_PERSON && refused(&v));
    p = HM_PERSON;
    p.threshold = INT32_MIN;
    p.crc = hm_check_sum(&p); /* no tool makes it: with it an image that CosDot cannot judge would match */
    EXPECT(hm_verify(&session, &p, image, &v) == HM_CORRUPT_PERSON && refused(&v));
    p = HM_PERSON;
    p.weights = NULL;
    EXPECT(hm_verify(&session, &p, image, &v) == HM_NULL_POINTER && refused(&v));

    EXPECT(hm_known_answer(&session, &HM_PERSON) == HM_OK);
    p = HM_PERSON;
    weights = *p.weights;
    p.weights = &weights;
    EXPECT(hm_known_answer(&session, &p) == HM_OK);
    for (size_t i = 0; i < sizeof weights; i++) {
        ((uint8_t *)&weights)[i] ^= 0x10;
        EXPECT(hm_known_answer(&session, &p) == HM_CORRUPT_PERSON);
        ((uint8_t *)&weights)[i] ^= 0x10;
    }
    weights.head[0] = (int8_t)(weights.head[0] ^ 0x10);
    p.crc = hm_check_sum(&p); /* a flip that the check sum does not see, as a broken compiler would be */
    EXPECT(hm_known_answer(&session, &p) == HM_WRONG_ANSWER);
    return 0;
}
"""


@needs_sanitizers
@pytest.mark.parametrize("spec", [TINY, OTHER], ids=lambda s: s.id)
def test_misuse_has_a_status_and_never_matches(tmp_path, spec):
    """Threshold at its lowest: whatever is answered without HM_OK would be a match if anything were."""
    p = person(net(spec), threshold=-(2**31) + 1)
    program = compile_c(tmp_path, {"model.h": emit(p), "main.c": MISUSE}, *C11, *SANITIZED)
    assert run(program) == b""


IDENTIFY = r"""
#include <stdio.h>
#define HYPER_MCU_IMPLEMENTATION
#include "a.h"
#include "b.h"
#include "c.h"

int main(void)
{
    static hm_session session;
    static uint8_t image[HM_INPUT_BYTES];
    hm_person broken = hm_person_b;
    const hm_person *const people[] = {&hm_person_a, &hm_person_b, &hm_person_c};
    const hm_person *const one_broken[] = {&hm_person_a, &broken, &hm_person_c};
    hm_verdict v;
    size_t owner;
    broken.threshold ^= 1;
    while (fread(image, sizeof image, 1, stdin) == 1) {
        const hm_status status = hm_identify(&session, people, 3, image, &v, &owner);
        printf("%d %u %ld %d\n", (int)status, (unsigned)owner, (long)v.logit, v.match);
    }
    const hm_status nobody = hm_identify(&session, people, 0, image, &v, &owner);
    printf("%d %u %d\n", (int)nobody, (unsigned)owner, v.match);
    const hm_status bad = hm_identify(&session, one_broken, 3, image, &v, &owner);
    printf("%d %u %d %d\n", bad == HM_CORRUPT_PERSON, (unsigned)owner, v.match, v.logit == INT32_MIN);
    printf("%d\n", hm_identify(&session, people, 3, image, &v, NULL) == HM_NULL_POINTER && !v.match);
    return 0;
}
"""


@needs_sanitizers
def test_the_owner_is_who_is_furthest_above_their_threshold(tmp_path):
    nets = [net(TINY, seed) for seed in (1, 2, 3)]
    images = [oracle.known_image(TINY, seed) for seed in range(1, 9)]
    logits = np.array([[oracle.run(q, x).logit for q in nets] for x in images])
    people = [person(q, name, int(np.median(x))) for q, name, x in zip(nets, "abc", logits.T, strict=True)]
    sources = {f"{p.name}.h": emit(p) for p in people}
    program = compile_c(tmp_path, {**sources, "main.c": IDENTIFY}, *C11, *SANITIZED)
    *said, nobody, bad, null = run(program, b"".join(x.tobytes() for x in images)).decode().splitlines()
    margins = logits - [p.threshold for p in people]
    best = margins.argmax(axis=1)
    expected = [f"0 {b} {x[b]} {int(m[b] >= 0)}" for b, x, m in zip(best, logits, margins, strict=True)]
    assert said == expected
    assert len(set(best)) > 1
    assert {e[-1] for e in expected} == {"0", "1"}
    assert (nobody, bad, null) == ("0 0 0", "1 3 0 1", "1")
