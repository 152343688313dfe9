"""The firmware's SHA-256 and HMAC: the published vectors, Python's hashlib and hmac, and the comparison of secrets."""

from __future__ import annotations

import csv
import hashlib
import hmac
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from c_programs import C11, CXX14, HOST, HOST_COMPILERS, SANITIZED, compile_c, run, sanitizes
from objects import compiled

from hyper_mcu.device.client import MATCH, NO_MATCH

DEVICE = Path(__file__).parents[2] / "firmware" / "device"
VECTORS = Path(__file__).parents[1] / "vectors" / "sha256.csv"
SOURCE = DEVICE / "hm_sha256.c"

pytestmark = pytest.mark.skipif(not HOST, reason="no gcc, clang or cc on PATH")

PROGRAM = r"""
#include "hm_sha256.h"
#include <stdio.h>
#include <stdlib.h>

/* n bytes of stdin in memory of exactly that size. */
static uint8_t *taken(size_t n)
{
    uint8_t *bytes = (uint8_t *)malloc(n > 0 ? n : 1);
    if (bytes == NULL || fread(bytes, 1, n, stdin) != n) {
        exit(1);
    }
    return bytes;
}

/* Of each record (kind, bytes of a key, bytes of a message, bytes added at once) the digest, or the decision. */
int main(void)
{
    uint32_t in[4];
    while (fread(in, sizeof in, 1, stdin) == 1) {
        uint8_t *const key = taken(in[1]);
        uint8_t *const message = taken(in[2]);
        uint8_t digest[HM_SHA256_BYTES];
        hm_sha256 hash;
        hm_hmac mac;
        const size_t step = in[3];
        hm_sha256_begin(&hash);
        hm_hmac_begin(&mac, key, in[1]);
        for (size_t at = 0; at < in[2]; at += step) {
            const size_t left = in[2] - at;
            hm_sha256_add(&hash, message + at, left < step ? left : step);
            hm_hmac_add(&mac, message + at, left < step ? left : step);
        }
        if (in[0] == 2) {
            const uint32_t decision = hm_equal_secret(key, message, in[2]);
            fwrite(&decision, sizeof decision, 1, stdout);
        } else {
            if (in[0] == 0) {
                hm_sha256_end(&hash, digest);
            } else {
                hm_hmac_end(&mac, digest);
            }
            const uint8_t *const left[2] = {(const uint8_t *)&hash, (const uint8_t *)&mac};
            const size_t sizes[2] = {sizeof hash, sizeof mac};
            for (size_t i = 0; i < sizes[in[0]]; i++) {
                if (left[in[0]][i] != 0) {
                    return 2; /* not wiped */
                }
            }
            fwrite(digest, sizeof digest, 1, stdout);
        }
        free(key);
        free(message);
    }
    return 0;
}
"""
Record = tuple[int, bytes, bytes, int]
HASH, MAC, COMPARE = range(3)


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Sequence[Record]], bytes]:
    """The program above, under sanitizers where they are: records in, answers out."""
    options = SANITIZED if sanitizes(HOST) else ()
    program = built(tmp_path_factory.mktemp("sha256"), *C11, *options)

    def answers(records: Sequence[Record]) -> bytes:
        said = b"".join(struct.pack("<4I", kind, len(k), len(m), step) + k + m for kind, k, m, step in records)
        return run(program, said)

    return answers


def built(folder: Path, *options: str, compiler: str = HOST) -> Path:
    return compile_c(folder, {"main.c": PROGRAM}, *options, f"-I{DEVICE}", str(SOURCE), compiler=(compiler,))


def parts(data: bytes, size: int = 32) -> list[bytes]:
    return [data[i : i + size] for i in range(0, len(data), size)]


def test_published_vectors(ask) -> None:
    with VECTORS.open(encoding="ascii") as f:
        rows = list(csv.DictReader(f))
    assert {row["kind"] for row in rows} == {"sha256", "hmac"}
    for row in rows:
        message = bytes.fromhex(row["message"]) * int(row["repeat"])
        kind = HASH if row["kind"] == "sha256" else MAC
        digest = ask([(kind, bytes.fromhex(row["key"]), message, 1000)])
        assert digest.hex()[: len(row["digest"])] == row["digest"], row["source"]


def test_every_length_up_to_four_blocks_is_hashed_as_hashlib_does(ask) -> None:
    rng = np.random.default_rng(1)
    records = [(HASH, b"", rng.bytes(n), int(rng.integers(1, 300))) for n in range(260)]
    assert parts(ask(records)) == [hashlib.sha256(m).digest() for _, _, m, _ in records]


def test_every_cut_of_a_message_gives_one_digest(ask) -> None:
    message = np.random.default_rng(2).bytes(333)
    said = ask([(HASH, b"", message, step) for step in range(1, 334)])
    assert set(parts(said)) == {hashlib.sha256(message).digest()}


def test_keys_of_every_length_up_to_three_blocks_are_used_as_hmac_does(ask) -> None:
    rng = np.random.default_rng(3)
    records = [(MAC, rng.bytes(n), rng.bytes(int(rng.integers(0, 200))), 50) for n in range(193)]
    assert parts(ask(records)) == [hmac.digest(k, m, "sha256") for _, k, m, _ in records]


def decisions(said: bytes) -> list[int]:
    return [v for (v,) in struct.iter_unpack("<I", said)]


def test_equal_secrets_match_and_any_flipped_bit_does_not(ask) -> None:
    secret = np.random.default_rng(4).bytes(32)
    flipped = []
    for bit in range(8 * len(secret)):
        other = bytearray(secret)
        other[bit // 8] ^= 1 << bit % 8
        flipped.append((COMPARE, secret, bytes(other), 32))
    said = decisions(ask([(COMPARE, secret, secret, 32), *flipped]))
    assert said[0] == MATCH
    assert set(said[1:]) == {NO_MATCH}


def test_secrets_that_differ_everywhere_do_not_match_and_nothing_does(ask) -> None:
    rng = np.random.default_rng(5)
    pairs = [(rng.bytes(n), rng.bytes(n)) for n in (1, 2, 31, 32, 64) for _ in range(40)]
    pairs = [(a, b) for a, b in pairs if a != b] + [(bytes(32), b"\xff" * 32), (b"\x80" * 32, bytes(32))]
    assert set(decisions(ask([(COMPARE, a, b, 64) for a, b in pairs]))) == {NO_MATCH}
    assert decisions(ask([(COMPARE, a, a, 64) for a, _ in pairs])) == [MATCH] * len(pairs)
    assert decisions(ask([(COMPARE, b"", b"", 1)])) == [NO_MATCH]


@pytest.mark.parametrize("compiler", HOST_COMPILERS)
@pytest.mark.parametrize("options", [C11, CXX14], ids=["C11", "C++14"])
def test_every_compiler_takes_it_without_a_word(tmp_path: Path, compiler: str, options: tuple[str, ...]) -> None:
    assert compiled(SOURCE, tmp_path, compiler, *options, "-O2") == (0, "")
