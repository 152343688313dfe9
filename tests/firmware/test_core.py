"""The C of firmware/core alone, against the Python arithmetic and the vectors; what is undefined ends the program."""

from __future__ import annotations

import csv
import shutil
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest

from hyper_mcu.codegen.emit_c import CORE
from hyper_mcu.codegen.fixedpoint import cosdot, requantise
from hyper_mcu.codegen.netspec import Conv, Head, NetSpec, cosdot_bits
from hyper_mcu.codegen.oracle import known_image
from hyper_mcu.codegen.toolchain import C_WARNINGS, WARNINGS

HOST = next((c for c in ("gcc", "clang", "cc") if shutil.which(c)), "")
FLAGS = ["-std=c11", *WARNINGS, *C_WARNINGS]
SANITIZED = ["-O1", "-fsanitize=undefined", "-fsanitize-undefined-trap-on-error"]  # needs no library
VECTORS = Path(__file__).parents[1] / "vectors"
HEADERS = sorted(p.name for p in CORE.glob("*.h"))

M55 = ("arm-none-eabi-gcc", "-mcpu=cortex-m55", "-mthumb", "-mfloat-abi=hard", "-ffreestanding")
RV32 = ("riscv64-unknown-elf-gcc", "-march=rv32imc", "-mabi=ilp32", "-ffreestanding")
COMPILERS = {  # of headers that this machine's compiler cannot know, or reads as empty
    **dict.fromkeys(("hm_helium.h", "hm_dsp.h", "hm_dsp_3x3.h", "hm_dsp_image.h", "hm_dsp_1x1.h"), M55),
    "hm_tiled_rv32.h": RV32,
}

pytestmark = pytest.mark.skipif(not HOST, reason="no gcc, clang or cc on PATH")

PROGRAM = r"""
#include "hm_check.h"
#include "hm_conv.h"
#include "hm_dot.h"
#include "hm_cosdot.h"
#include "hm_sum.h"
#include <stdio.h>
#include <string.h>

/* Of each record on stdin, what the function that argv[1] names makes of it, as int32. */
int main(int argc, char **argv)
{
    struct { int32_t a, b, c, d; } in;
    int32_t out[2];
    if (argc != 2) {
        return 1;
    }
    while (fread(&in, sizeof in, 1, stdin) == 1) {
        if (strcmp(argv[1], "requantise") == 0) {
            out[0] = hm_requantise_relu(in.a, in.b, (uint8_t)in.c);
            out[1] = hm_requantise_linear(in.a, in.b, (uint8_t)in.c);
        } else if (strcmp(argv[1], "sum") == 0) {
            out[0] = (int32_t)hm_sum4((uint32_t)in.a, (uint32_t)in.b);
            out[1] = hm_sum((uint8_t)in.a, (uint8_t)in.b);
        } else {
            const uint64_t norm = (uint64_t)(uint32_t)in.b | (uint64_t)(uint32_t)in.c << 32;
            out[0] = hm_cosdot(in.a, norm, in.d);
            out[1] = 0;
        }
        fwrite(out, sizeof out, 1, stdout);
    }
    return 0;
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The program above, as a function of columns of integers (n,), each one int32, to int64 (n, 2)."""
    folder = tmp_path_factory.mktemp("core")
    (folder / "main.c").write_text(PROGRAM, encoding="ascii")
    assert build(folder / "main.c", folder / "main", *SANITIZED) == (0, "")

    def run(name, *columns):
        records = np.zeros((len(columns[0]), 4), "<i4")
        records[:, : len(columns)] = np.stack([np.asarray(c, np.int64).astype("<i4") for c in columns], 1)
        done = subprocess.run([folder / "main", name], input=records.tobytes(), capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return np.frombuffer(done.stdout, "<i4").reshape(-1, 2).astype(np.int64)

    return run


def build(source, program, *options, compiler=(HOST,)):
    done = subprocess.run(
        [*compiler, *FLAGS, f"-I{CORE}", *options, source, "-o", program],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("header", HEADERS)
def test_each_header_includes_what_it_needs(tmp_path, header):
    compiler = COMPILERS.get(header, (HOST,))
    if not shutil.which(compiler[0]):
        pytest.skip(f"{compiler[0]} not installed")
    source = tmp_path / "one.c"
    source.write_text(f'#include "{header}"\n#include "{header}"\nextern int nothing;\n', encoding="ascii")
    assert build(source, tmp_path / "one.o", "-c", compiler=compiler) == (0, "")


@pytest.mark.parametrize("lane", range(4))
def test_all_pairs_of_bytes_are_summed_beside_any_others(program, lane):
    rng = np.random.default_rng(lane)
    ends = rng.choice([0, 1, 127, 128, 254, 255], (2, 65536, 4)).astype(np.uint8)
    words = np.where(rng.random((2, 65536, 4)) < 0.5, ends, rng.integers(0, 256, (2, 65536, 4), np.uint8))
    words[..., lane] = np.indices((256, 256)).reshape(2, -1)
    sums = words.astype(np.int64).sum(0).clip(max=255)
    said = program("sum", *np.ascontiguousarray(words).view("<u4")[..., 0])
    np.testing.assert_array_equal(said[:, 0].astype("<i4").view(np.uint8).reshape(-1, 4), sums)
    np.testing.assert_array_equal(said[:, 1], sums[:, 0])


def test_requantisation_is_that_of_the_oracle(program):
    rng = np.random.default_rng(0)
    n, top = 300_000, 2**30 - 1
    m = rng.integers(2**30, 2**31, n)
    s = rng.integers(0, 31, n)
    exact = rng.integers(-300, 300, n)  # sums whose value falls on or beside a half, where the roundings tell
    half = ((2 * exact + 1) * 2.0 ** (s + 30) / m).astype(np.int64) + rng.integers(-1, 2, n)
    acc = np.where(rng.random(n) < 0.5, half, rng.integers(-top, top + 1, n) >> rng.integers(0, 28, n))
    ends = np.array(np.meshgrid([-top, -1, 0, 1, top], [2**30, 2**31 - 1], [0, 1, 30])).reshape(3, -1)
    acc, m, s = (np.concatenate(c) for c in zip((acc.clip(-top, top), m, s), ends, strict=True))
    said = program("requantise", acc, m, s)
    expected = requantise(acc, m, s)
    np.testing.assert_array_equal(said[:, 0], expected.clip(0, 255))
    np.testing.assert_array_equal(said[:, 1], expected.clip(-128, 127))


def rows(name):
    with (VECTORS / name).open(encoding="ascii") as f:
        return [[int(v) for v in row.values()] for row in csv.DictReader(f)]


def test_requantisation_gives_the_vectors(program):
    acc, m, s, _, _, relu, linear = zip(*rows("requantise.csv"), strict=True)
    said = program("requantise", acc, m, s)
    assert said[:, 0].tolist() == list(relu)
    assert said[:, 1].tolist() == list(linear)


def test_cosdot_gives_the_vectors(program):
    num, norm, n, logit = zip(*rows("cosdot.csv"), strict=True)
    low, high = [x & 0xFFFFFFFF for x in norm], [x >> 32 for x in norm]
    said = program("cosdot", num, low, high, [cosdot_bits(x) for x in n])
    assert said[:, 0].tolist() == list(logit)


@pytest.mark.parametrize("n", [1, 128, 129, 1024])
def test_cosdot_is_that_of_the_oracle(program, n):
    rng = np.random.default_rng(n)
    nums, norms = [0, 5, 127 * 255 * n, -127 * 255 * n], [0, 0, 255**2 * n, 255**2 * n]
    for _ in range(200):
        u = rng.integers(0, 256, n) * rng.integers(0, 2, n)
        w = rng.integers(-127, 128, n) if rng.random() < 0.5 else (u * 127 // 255) * rng.choice([-1, 1])
        nums.append(int(u @ w))
        norms.append(int(u @ u))
    parts = np.array([[x & 0xFFFFFFFF, x >> 32] for x in norms])
    said = program("cosdot", nums, parts[:, 0], parts[:, 1], [cosdot_bits(n)] * len(nums))
    assert said[:, 0].tolist() == [cosdot(a, b, n) for a, b in zip(nums, norms, strict=True)]


SUMS = r"""
#include "hm_check.h"
#include "hm_conv.h"
#include "hm_dot.h"
#include <stdio.h>

/* The data and its length as bytes come in on stdin: check sum, parts of it, dot products of all alignments. */
int main(void)
{
    static uint8_t data[5000];
    const size_t n = fread(data, 1, sizeof data, stdin);
    printf("%lu\n", (unsigned long)hm_crc32(0, data, n));
    printf("%lu\n", (unsigned long)hm_crc32(hm_crc32(0, data, n / 3), data + n / 3, n - n / 3));
    for (int start = 0; start < 8; start++) {
        for (int taps = 0; taps < 40; taps++) {
            int32_t sum[4];
            hm_dot4(data + start, (const int8_t *)data + 100 + start, taps, sum);
            for (int i = 0; i < 4; i++) {
                if (sum[i] != hm_dot(data + start, (const int8_t *)data + 100 + start + i * taps, taps)) {
                    return 1;
                }
            }
            printf("%ld\n", (long)sum[3]);
        }
    }
    uint8_t image[60];
    uint32_t state = hm_random_bytes(4000000000U, image, 17);
    state = hm_random_bytes(state, image + 17, 43);
    for (int i = 0; i < 60; i++) {
        printf("%d\n", image[i]);
    }
    return state == 0;
}
"""


def test_check_sums_dot_products_and_the_image_of_the_self_test(tmp_path):
    (tmp_path / "main.c").write_text(SUMS, encoding="ascii")
    assert build(tmp_path / "main.c", tmp_path / "main", *SANITIZED) == (0, "")
    data = np.random.default_rng(3).integers(0, 256, 4001).astype(np.uint8)
    done = subprocess.run([tmp_path / "main"], input=data.tobytes(), capture_output=True, check=True)
    u, w = data.astype(np.int64), data.astype(np.int8).astype(np.int64)
    sums = [
        u[start : start + taps] @ w[100 + start + 3 * taps : 100 + start + 4 * taps]
        for start in range(8)
        for taps in range(40)
    ]
    image = known_image(NetSpec("x", (Conv(1, 1, "same", 3, 1),), Head("dot"), height=4, width=5), 4_000_000_000)
    crc = zlib.crc32(data.tobytes())
    assert [int(x) for x in done.stdout.split()] == [crc, crc, *sums, *image.ravel().tolist()]


def test_without_string_h_the_core_declares_memcpy_and_memset(tmp_path):
    """Only the compiler's own headers, as on a target without a C library."""
    source = tmp_path / "copy.c"
    source.write_text(
        '#include "hm_memory.h"\n#ifdef HM_HAS_STRING_H\n#error "string.h is there"\n#endif\n'
        "void *copy(void *a, const void *b);\n"
        "void *copy(void *a, const void *b) { return memset(memcpy(a, b, 4), 0, 2); }\n",
        encoding="ascii",
    )
    own = subprocess.run([HOST, "-print-file-name=include"], capture_output=True, text=True, check=True).stdout.strip()
    assert build(source, tmp_path / "copy.o", "-c", "-ffreestanding", "-nostdinc", "-isystem", own) == (0, "")
