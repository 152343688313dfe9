"""hm_person_from_blob: what it takes works where it lies, and it takes nothing that is cut, damaged, foreign or out of
bounds. Every blob lies in memory of exactly its size, under sanitizers where they are."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import numpy as np
import pytest
from c_programs import C11, CXX14, HOST, HOST_COMPILERS, SANITIZED, compile_c, run, sanitizes
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from people import OTHER, TINY, net, person
from strategies import qnets

from hyper_mcu.codegen.emit_c import emit
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.layout import members, unpacked, weights_bytes
from hyper_mcu.codegen.oracle import known_image
from hyper_mcu.codegen.oracle import run as ask_oracle
from hyper_mcu.codegen.person_bin import HEAD, pack
from hyper_mcu.codegen.presets import preset

OK, NULL_POINTER, WRONG_ENGINE, CORRUPT_PERSON = 0, 1, 4, 5
NOT_A_PERSON, WRONG_FORMAT, WRONG_SIZE, MISALIGNED = 7, 8, 9, 10
BUILD = SANITIZED if HOST and sanitizes(HOST) else ("-O2",)

pytestmark = pytest.mark.skipif(not HOST, reason="no gcc, clang or cc on PATH")

PROGRAM = r"""
#define HYPER_MCU_IMPLEMENTATION
#include "model.h"
#include <stdio.h>
#include <stdlib.h>

/* Of each blob on stdin (offset to a multiple of 8, size, bytes): the status, whether the person is empty, whether it
 * points into the blob; then the self-test and, of the image of seed 7, status, logit and match. */
int main(void)
{
    static hm_session session;
    static uint8_t image[HM_INPUT_BYTES];
    uint32_t given[2];
    (void)hm_random_bytes(7, image, HM_INPUT_BYTES);
    while (fread(given, sizeof given, 1, stdin) == 1) {
        uint8_t *const memory = (uint8_t *)malloc(given[0] + given[1]);
        uint8_t *const blob = memory + given[0];
        if (memory == NULL || fread(blob, 1, given[1], stdin) != given[1]) {
            return 1;
        }
        hm_person person;
        hm_fill(&person, 0xAA, sizeof person);
        const hm_status status = hm_person_from_blob(blob, given[1], &person);
        static hm_person nobody; /* zeros */
        const bool empty = hm_equal((const uint8_t *)&person, (const uint8_t *)&nobody, sizeof person);
        const bool inside = (const uint8_t *)person.weights == blob + 128 && (const uint8_t *)person.name == blob + 80;
        hm_verdict verdict;
        const hm_status test = hm_known_answer(&session, &person);
        const hm_status verified = hm_verify(&session, &person, image, &verdict);
        const int32_t out[7] = {(int32_t)status, empty, inside, (int32_t)test, (int32_t)verified, verdict.logit,
                                verdict.match};
        fwrite(out, sizeof out, 1, stdout);
        free(memory);
    }
    return hm_person_from_blob(NULL, 0, NULL) != HM_NULL_POINTER;
}
"""


@dataclass(frozen=True)
class Said:
    """What the program says of one blob."""

    status: int
    empty: int
    inside: int
    known_answer: int
    verified: int
    logit: int
    match: int


def ask(program, blobs, offset=0):
    given = b"".join(struct.pack("<2I", offset, len(b)) + b for b in blobs)
    out = np.frombuffer(run(program, given), "<i4").reshape(-1, 7)
    assert len(out) == len(blobs)
    said = [Said(*(int(v) for v in row)) for row in out]
    for s in said:
        assert s.empty == (s.status != OK)
        assert s.inside == (s.status == OK)
        if s.status != OK:
            assert (s.known_answer, s.verified, s.match) == (NULL_POINTER, NULL_POINTER, 0)
    return said


def built(folder, p, *options, compiler=(HOST,)):
    return compile_c(folder, {"model.h": emit(p), "main.c": PROGRAM}, *options, compiler=compiler)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return built(tmp_path_factory.mktemp("blob"), person(net(TINY)), *C11, *BUILD)


@pytest.fixture(scope="module")
def blob():
    return pack(person(net(TINY)))


def signed(data):
    """The blob under check sums that fit it: hm_person's, if its weights are all there, and that of the whole."""
    weights = struct.unpack_from("<I", data, 16)[0]
    crc = zlib.crc32(data[24:44] + data[128 : 128 + weights])
    whole = data[:44] + struct.pack("<I", crc) + data[48:-4]
    return whole + struct.pack("<I", zlib.crc32(whole))


def with_bytes(data, offset, new):
    return signed(data[:offset] + new + data[offset + len(new) :])


def with_word(data, offset, value):
    return with_bytes(data, offset, struct.pack("<I", value & 0xFFFFFFFF))


@pytest.mark.parametrize("spec", [TINY, OTHER, preset("nano")], ids=lambda s: s.id)
@pytest.mark.parametrize("language", [C11, CXX14], ids=["C11", "C++14"])
@pytest.mark.parametrize("compiler", HOST_COMPILERS)
def test_a_blob_works_where_it_lies(tmp_path, spec, language, compiler):
    """The program was made with another person."""
    p = person(net(spec, seed=5), "bob")
    expected = ask_oracle(p.qnet, known_image(spec, 7))
    options = SANITIZED if language is C11 and sanitizes(compiler) else ("-O2",)  # in C++ they want its library
    program = built(tmp_path, person(net(spec)), *language, *options, compiler=(compiler,))
    said = ask(program, [pack(p), pack(p, for_device=True)])
    assert said == [Said(OK, 0, 1, OK, OK, expected.logit, int(expected.logit >= 0))] * 2


def test_a_blob_cut_anywhere_or_grown_is_refused(program, blob):
    said = ask(program, [blob[:n] for n in range(len(blob))] + [blob + b"\0", blob + bytes(4)])
    assert {s.status for s in said[:132]} == {NOT_A_PERSON}
    assert {s.status for s in said[132:]} == {WRONG_SIZE}
    resized = [b[:8] + struct.pack("<I", len(b)) + b[12:] for b in (blob[:-4], blob + bytes(4))]
    assert [s.status for s in ask(program, [signed(b) for b in resized])] == [WRONG_SIZE] * 2


def test_any_flipped_bit_is_refused(program, blob):
    flipped = []
    for bit in range(8 * len(blob)):
        one = bytearray(blob)
        one[bit // 8] ^= 1 << bit % 8
        flipped.append(bytes(one))
    assert OK not in {s.status for s in ask(program, flipped)}


@pytest.mark.parametrize("offset", [1, 2, 3])
def test_a_blob_that_is_not_aligned_is_refused(program, blob, offset):
    assert ask(program, [blob], offset)[0].status == MISALIGNED


def test_a_blob_at_any_multiple_of_four_is_taken(program, blob):
    assert ask(program, [blob], offset=4)[0].status == OK


@pytest.mark.parametrize(
    ("offset", "value", "status"),
    [
        (0, 0, NOT_A_PERSON),
        (4, 2, WRONG_FORMAT),
        (8, 0, WRONG_SIZE),
        (12, 2, WRONG_FORMAT),
        (16, 2**32 - 1, WRONG_SIZE),
        (16, 0, WRONG_SIZE),
        (20, 0, WRONG_SIZE),
        (20, 2**32 - 1, WRONG_SIZE),
        (24, 1, WRONG_ENGINE),
        (28, 0, WRONG_ENGINE),
        (32, -(2**31), CORRUPT_PERSON),
        (36, 0, CORRUPT_PERSON),
        (48, 0, WRONG_ENGINE),
        (76, 0, WRONG_ENGINE),
        (80, 0, CORRUPT_PERSON),
        (80, int.from_bytes(b"1ice", "little"), CORRUPT_PERSON),
        (80, int.from_bytes(b"al-c", "little"), CORRUPT_PERSON),
        (88, 0x61, CORRUPT_PERSON),
        (124, 0x61000000, CORRUPT_PERSON),
    ],
)
def test_a_field_that_breaks_a_rule_is_refused_though_the_blob_is_signed(program, blob, offset, value, status):
    assert ask(program, [with_word(blob, offset, value)])[0].status == status


def test_a_name_that_fills_its_field_is_refused(program, blob):
    taken, full = (with_bytes(blob, 80, b"n" * n) for n in (47, 48))
    assert [s.status for s in ask(program, [taken, full])] == [OK, CORRUPT_PERSON]


def test_moved_sizes_are_refused(program, blob):
    """Weights and facts that fill the blob together, but with another boundary."""
    weights, said = struct.unpack_from("<2I", blob, 16)
    moved = signed(blob[:16] + struct.pack("<2I", weights + 4, said - 4) + blob[24:])
    assert ask(program, [moved])[0].status == WRONG_SIZE


def test_a_check_sum_of_the_person_that_does_not_fit_is_refused(program, blob):
    whole = blob[:44] + bytes(4) + blob[48:-4]
    assert ask(program, [whole + struct.pack("<I", zlib.crc32(whole))])[0].status == CORRUPT_PERSON


def test_another_architecture_is_refused(program):
    assert ask(program, [pack(person(net(OTHER)))])[0].status == WRONG_ENGINE


def legal(qnet, weights):
    """Whether Python makes a QNet of these bytes of hm_weights."""
    scales = np.concatenate([c.weight_scale for _, c in qnet.convs])
    out_scales = [float(c.out_scale) for _, c in qnet.convs]
    try:
        unpacked(qnet.spec, members(qnet.spec, weights), scales, out_scales, float(qnet.head.weight_scale))
    except UserError:
        return False
    return True


@settings(
    max_examples=6, derandomize=True, deadline=None, database=None, phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
@given(qnet=qnets(), seed=st.integers(0, 2**32 - 1))
def test_integers_are_taken_where_python_takes_them(tmp_path_factory, qnet, seed):
    """Bytes and words at random and at the ends of what is allowed; the fill of the last word is free."""
    p, rng = person(qnet), np.random.default_rng(seed)
    blob, size = pack(p, for_device=True), weights_bytes(qnet.spec)
    words = sum(2 * len(c.bias) for _, c in qnet.convs) + (qnet.spec.head.kind == "dot")
    ends = (0, 1, -1, 2**30 - 1, 2**30, -(2**30), 2**31 - 1, -(2**31))
    blobs = [blob]
    for _ in range(300):
        at = 4 * int(rng.integers(words))
        blobs.append(
            with_word(blob, HEAD.size + at, int(rng.choice(ends) if rng.random() < 0.7 else rng.integers(2**32)))
        )
        at = int(rng.integers(4 * words, size))
        blobs.append(with_bytes(blob, HEAD.size + at, bytes([int(rng.choice([0, 29, 30, 31, 127, 128, 129, 255]))])))
    program = built(tmp_path_factory.mktemp("net"), p, *C11, *BUILD)
    said = ask(program, blobs)
    assert [s.status == OK for s in said] == [legal(qnet, b[HEAD.size : HEAD.size + size]) for b in blobs]
    assert said[0].known_answer == OK
    assert CORRUPT_PERSON in {s.status for s in said}
