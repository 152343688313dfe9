"""Fuzzes hm_person_from_blob by libFuzzer under ASan and UBSan, two architectures in one program:

    python tests/fuzz/blob.py --seconds 60 [--corpus FOLDER]

Every input is read as it is, and once more with sizes and check sums put right, so that what stands behind them is
reached; what is taken is asked about images. Exit code 1 on a fault, whose input then lies in the corpus' folder.
"""

from __future__ import annotations

import argparse
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "codegen"))
from people import OTHER, TINY, net, person

from hyper_mcu.codegen.emit_c import emit
from hyper_mcu.codegen.netspec import NetSpec
from hyper_mcu.codegen.person import Person
from hyper_mcu.codegen.person_bin import HEAD, pack

PREFIXES: dict[str, NetSpec] = {"one": TINY, "two": OTHER}
OPTIONS = ("-std=c11", "-O1", "-g", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all")

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


@cache
def missing() -> str:
    """Why nothing can be fuzzed here, or ""."""
    if not shutil.which("clang"):
        return "no clang on PATH"
    program = b"int LLVMFuzzerTestOneInput(const char *d, unsigned long n); "
    program += b"int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { return !d && n; }"
    words = ["clang", *OPTIONS, "-x", "c", "-", "-o", "/dev/null"]
    done = subprocess.run(words, input=program, capture_output=True, check=False)
    return "clang without its fuzzer's and sanitizers' libraries (Debian: libclang-rt-dev)" if done.returncode else ""


def people() -> dict[str, Person]:
    """A person of each prefix."""
    return {prefix: person(net(spec)) for prefix, spec in PREFIXES.items()}


def build(folder: Path, *changes: tuple[str, str]) -> Path:
    """The fuzzer of the emitted C; changes: pieces of the C replaced, to plant a fault."""
    for prefix, p in people().items():
        text = emit(p, prefix)
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (folder / f"{prefix}.h").write_text(text, encoding="ascii")
    (folder / "target.c").write_text(TARGET, encoding="ascii")
    subprocess.run(["clang", *OPTIONS, "target.c", "-o", "fuzzer"], cwd=folder, check=True)
    return folder / "fuzzer"


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


def fuzz(program: Path, corpus: Path, seconds: int) -> tuple[int, str]:
    """How many inputs were tried, and what the fuzzer says of a fault, or ""."""
    for i, data in enumerate(seeds()):
        (corpus / f"seed-{i:03}").write_bytes(data)
    words = [program, corpus, f"-max_total_time={seconds}", "-max_len=4096", "-print_final_stats=1", "-timeout=10"]
    # the peak of memory that the kernel tells a process begins with its parent's: it is no measure of this one
    words += ["-rss_limit_mb=0", "-malloc_limit_mb=64", f"-artifact_prefix={corpus}/fault-"]
    done = subprocess.run(words, stderr=subprocess.PIPE, text=True, errors="replace", check=False)
    tried = re.search(r"number_of_executed_units: (\d+)", done.stderr)
    return int(tried[1]) if tried else 0, done.stderr if done.returncode else ""


def main() -> int:
    parser = argparse.ArgumentParser(description="Fuzzes the reader of person.bin.")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--corpus", type=Path, help="folder of inputs to go on with; new ones are added")
    options = parser.parse_args()
    if why := missing():
        print(why, file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        corpus = options.corpus or Path(tempfile.mkdtemp(prefix="corpus-"))
        corpus.mkdir(parents=True, exist_ok=True)
        tried, fault = fuzz(build(Path(folder)), corpus, options.seconds)
    print(fault or f"{tried:,} inputs, no fault", file=sys.stderr if fault else sys.stdout)
    return 1 if fault else 0


if __name__ == "__main__":
    sys.exit(main())
