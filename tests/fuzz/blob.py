"""Fuzzes hm_person_from_blob by libFuzzer under ASan and UBSan, two architectures in one program:

    python tests/fuzz/blob.py --seconds 60 [--corpus FOLDER]

Every input is read as it is, and once more with sizes and check sums put right, so that what stands behind them is
reached; what is taken is asked about images. Exit code 1 on a fault, whose input then lies in the corpus' folder.
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "codegen"))
from fuzzing import Fuzzer, Planted, changed, link, main
from people import OTHER, TINY, net, person

from hyper_mcu.codegen.emit_c import emit
from hyper_mcu.codegen.netspec import NetSpec
from hyper_mcu.codegen.person import Person
from hyper_mcu.codegen.person_bin import HEAD, pack

PREFIXES: dict[str, NetSpec] = {"one": TINY, "two": OTHER}

TARGET = r"""
#define HYPER_MCU_IMPLEMENTATION
#include "one.h"
#include "two.h"
#include <stdlib.h>

static void put(uint8_t *to, uint32_t word)
{
    for (int i = 0; i < 4; i++) {
        to[i] = (uint8_t)(word >> 8 * i);
    }
}

/* Sizes and check sums that fit the bytes, for weights of that size. */
static void repair(uint8_t *blob, size_t size, uint32_t weights)
{
    if (size < HM_BLOB_HEAD + HM_BLOB_CRC + weights) {
        return;
    }
    put(blob + HM_BLOB_TOTAL, (uint32_t)size);
    put(blob + HM_BLOB_WEIGHTS_BYTES, weights);
    put(blob + HM_BLOB_FACTS_BYTES, (uint32_t)size - HM_BLOB_HEAD - HM_BLOB_CRC - weights);
    put(blob + 44, hm_crc32(hm_crc32(0, blob + HM_BLOB_PERSON, 20), blob + HM_BLOB_HEAD, weights));
    put(blob + size - HM_BLOB_CRC, hm_crc32(0, blob, size - HM_BLOB_CRC));
}

static void require(bool so)
{
    if (!so) {
        abort();
    }
}

#define ASK(p, P)                                                                                                      \
    static void p##_ask(const uint8_t *blob, size_t size)                                                              \
    {                                                                                                                  \
        static p##_session session;                                                                                    \
        static const p##_person nobody;                                                                                \
        static uint8_t image[P##_INPUT_BYTES];                                                                         \
        p##_person person;                                                                                             \
        hm_verdict v;                                                                                                  \
        hm_fill(&person, 0xAA, sizeof person);                                                                         \
        if (p##_person_from_blob(blob, size, &person) != HM_OK) {                                                      \
            require(hm_equal((const uint8_t *)&person, (const uint8_t *)&nobody, sizeof person));                      \
            require(p##_verify(&session, &person, image, &v) != HM_OK && !v.match && v.decision == HM_NO_MATCH);       \
            return;                                                                                                    \
        }                                                                                                              \
        for (int i = 0; i < 3; i++) {                                                                                  \
            hm_fill(image, i * 127 + (i > 1), sizeof image);                                                           \
            require(p##_verify(&session, &person, image, &v) == HM_OK && v.match == (v.logit >= person.threshold));    \
        }                                                                                                              \
        const hm_status answer = p##_known_answer(&session, &person);                                                  \
        require(answer == HM_OK || answer == HM_WRONG_ANSWER);                                                         \
    }
ASK(one, ONE)
ASK(two, TWO)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *const blob = (uint8_t *)malloc(size); /* of exactly this size, and aligned */
    require(blob != NULL || size == 0);
    if (size > 0) {
        hm_copy(blob, data, size);
    }
    one_ask(blob, size);
    two_ask(blob, size);
    repair(blob, size, ONE_WEIGHTS_BYTES);
    one_ask(blob, size);
    repair(blob, size, TWO_WEIGHTS_BYTES);
    two_ask(blob, size);
    free(blob);
    return 0;
}
"""


def people() -> dict[str, Person]:
    """A person of each prefix."""
    return {prefix: person(net(spec)) for prefix, spec in PREFIXES.items()}


def build(folder: Path, *changes: tuple[str, str]) -> Path:
    """The fuzzer of the emitted C; changes: pieces of the C replaced, to plant a fault."""
    for prefix, p in people().items():
        (folder / f"{prefix}.h").write_text(changed(emit(p, prefix), changes), encoding="ascii")
    (folder / "target.c").write_text(TARGET, encoding="ascii")
    return link(folder, ["target.c"])


def seeds() -> list[bytes]:
    """Good blobs, whole and for a device, and such with a field or an integer that no check sum tells."""
    made = []
    for p in people().values():
        whole, bare = pack(p), pack(p, for_device=True)
        made += [whole, bare, whole[:-1], whole[: HEAD.size], bare + b"\0"]
        weights = struct.unpack_from("<I", bare, 16)[0]
        first = p.qnet.convs[0][1]
        shift = HEAD.size + 4 * sum(2 * len(q.bias) for _, q in p.qnet.convs) + first.weight.size
        shift += 4 * (p.qnet.spec.head.kind == "dot")
        ends = (bytes(4), b"\xff" * 4, b"\xff\xff\xff\x7f", b"\0\0\0\x80")
        words = [*range(4, HEAD.size, 4), HEAD.size, HEAD.size + 4 * len(first.bias), HEAD.size + weights - 4]
        made += [bare[:at] + w + bare[at + 4 :] for at in words for w in ends]
        made += [bare[:shift] + bytes([s]) + bare[shift + 1 :] for s in (30, 31, 32, 255)]
    return made


FUZZER = Fuzzer(
    "Fuzzes the reader of person.bin.",
    build,
    seeds,
    runs=150_000,
    planted={
        "size": Planted("size < HM_BLOB_HEAD + HM_BLOB_CRC ||", "", "heap-buffer-overflow"),
        "shift": Planted("conv.shift[c] > 30", "false", "shift exponent"),
        "sum": Planted("INT64_C(1) << bits", "INT64_MAX", "signed integer overflow"),
        "refused person": Planted("hm_fill(person, 0, sizeof *person);", "", "deadly signal"),
    },
)

if __name__ == "__main__":
    sys.exit(main(FUZZER))
