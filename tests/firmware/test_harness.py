"""The harness's C: clean under every compiler and sanitizer, and its records cannot be mistaken for a verdict."""

from __future__ import annotations

import ctypes
import random
import struct
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "codegen"))
from fake_model import HEADER, PROBES, expected, missing, variant

from hyper_mcu.codegen.emulate import run_elf
from hyper_mcu.codegen.errors import MissingToolError, UserError
from hyper_mcu.codegen.records import parse_runs
from hyper_mcu.codegen.run import HARNESS, MEMORY, build, run_program
from hyper_mcu.codegen.targets import TARGETS
from hyper_mcu.codegen.toolchain import compile_library, find_toolchain

HOST = TARGETS["host"]


def records(header: Path = HEADER, *, taps: bool = True) -> bytes:
    """What the harness around `header` writes about PROBES on this machine."""
    return run_elf(build(header, HOST, taps=taps).elf, HOST, b"".join(PROBES)).stdout


def record(tag: bytes, *words: int, more: bytes = b"") -> bytes:
    """A record with 32-bit words in it."""
    body = struct.pack(f"<{len(words)}I", *(w & 0xFFFFFFFF for w in words)) + more
    return tag + struct.pack("<I", len(body)) + body


def refusal(data: bytes, probes: int = 3, *, taps: bool = True) -> str:
    """The error of an output that must not be believed."""
    with pytest.raises(UserError) as e:
        parse_runs(data, probes, "it", taps=taps)
    return str(e.value)


def test_records_are_byte_for_byte_as_documented() -> None:
    data = record(b"HMhi", 2, 2, 40, 96)
    tapped = records()
    assert tapped.startswith(data)
    logit, (flipped, sums), _ = expected(PROBES[0])
    for y in range(4):
        data += record(b"HMro", y << 16 | 0, more=flipped[24 * y : 24 * y + 24])
        data += record(b"HMro", y << 16 | 1, more=sums[y : y + 1])
    assert tapped.startswith(data)
    assert tapped[len(data) :].startswith(record(b"HMve", 0, int(logit >= 100), logit, 100, 8, 0)[:28])
    assert tapped.endswith(record(b"HMok", 3))
    assert len(records(taps=False)) == 24 + 3 * 32 + 12


def test_layers_without_end_are_refused() -> None:
    """Before room is made for them."""
    assert refusal(record(b"HMhi", 2, 2**32 - 1, 40, 96)) == (
        "it: the program's output is broken; expected at most 65536 layers, got 4294967295"
    )


def test_output_cut_off_anywhere_is_refused() -> None:
    data = records()
    parse_runs(data, 3, "it", taps=True)
    for n in range(0, len(data)):
        assert refusal(data[:n]).startswith("it: the program's output is broken; expected ")
    refusal(data + b"\0")
    refusal(data + record(b"HMok", 3))


def test_output_for_another_number_of_probes_is_refused() -> None:
    assert refusal(records(), 2) == "it: the program's output is broken; expected 2 verdicts and HMok, got 3 and HMok"


def test_match_that_contradicts_the_rest_is_refused() -> None:
    start, end = record(b"HMhi", 2, 1, 40, 96), record(b"HMok", 1)
    for status, match, logit, threshold in ((0, 1, 99, 100), (0, 0, 100, 100), (5, 1, 200, 100), (0, 2, 200, 100)):
        data = start + record(b"HMve", status, match, logit, threshold, 0, 0) + end
        assert refusal(data, 1, taps=False) == (
            f"it: the program's output is broken; expected match {int(status == 0 and logit >= threshold)} at "
            f"status {status}, logit {logit}, threshold {threshold}, got {match}"
        )


def test_rows_that_are_missing_or_out_of_order_are_refused() -> None:
    start, end = record(b"HMhi", 2, 2, 40, 96), record(b"HMok", 1)
    first, second, other = (record(b"HMro", word, more=b"ab") for word in (0, 1 << 16, 1))

    def tell(rows: bytes, count: int) -> str:
        return refusal(start + rows + record(b"HMve", 0, 0, 5, 100, count, 0) + end, 1).partition("expected ")[2]

    assert tell(second, 1) == "row 0 of layer 0, got 1"
    assert tell(first + first, 2) == "row 1 of layer 0, got 0"
    assert tell(first, 1) == "rows of 2 layers, got none of layer 1"
    assert tell(first + other, 3) == "3 rows, got 2"
    assert tell(record(b"HMro", 2, more=b"ab"), 1) == "a layer below 2, got 2"
    assert tell(first + record(b"HMro", 1 << 16, more=b"abc"), 2) == "2 bytes in a row of layer 0, got 3"


def test_engine_that_leaves_the_verdict_alone_is_refused(tmp_path: Path) -> None:
    header = variant(tmp_path, ("/* BEFORE */", "if (logit == 0) { return HM_OK; }"))
    with pytest.raises(UserError) as e:
        run_program(build(header, HOST, taps=False), header, PROBES, HOST, taps=False)
    assert str(e.value) == (
        f"{header} on host: the program's output is broken; expected match 0 at status 0, logit -2147483648, "
        "threshold 2147483647, got 1"
    )


@pytest.mark.parametrize("kind", ["gcc", "clang"])
def test_harness_is_clean_under_sanitizers(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    if why := missing((kind, "host")):
        pytest.skip(why)
    monkeypatch.setenv("HYPER_MCU_TOOLCHAIN", kind)
    try:
        program = build(HEADER, HOST, taps=True, sanitise=True)
    except MissingToolError as e:
        pytest.skip(str(e))
    runs, _ = run_program(program, HEADER, PROBES, HOST, taps=True)
    assert [(r.logit, r.layers_sha256) for r in runs] == [expected(p)[::2] for p in PROBES]


def test_sanitizer_names_what_it_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if why := missing(("gcc", "host")):
        pytest.skip(why)
    monkeypatch.setenv("HYPER_MCU_TOOLCHAIN", "gcc")
    header = variant(tmp_path, ("/* BEFORE */", "logit = INT32_MAX; logit += person->threshold;"))
    with pytest.raises(UserError) as e:
        run_program(build(header, HOST, taps=True, sanitise=True), header, PROBES, HOST, taps=True)
    assert str(e.value).startswith(
        f"{header} on host: the program failed; expected exit code 0, got exit code 1 (model.h:58:30: runtime error: "
        "signed integer overflow: "
    )


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """memory.c under names that do not meet the C library's."""
    if why := missing("host"):
        pytest.skip(why)
    folder = tmp_path_factory.mktemp("memory")
    wrapper = folder / "wrapper.c"
    wrapper.write_text(f'#define memcpy our_copy\n#define memset our_set\n#include "{HARNESS / MEMORY}"\n')
    compile_library(wrapper, folder / "memory.so", find_toolchain(HOST))
    return ctypes.CDLL(str(folder / "memory.so"))


def test_memcpy_and_memset_touch_exactly_their_bytes(memory: ctypes.CDLL) -> None:
    draw = random.Random(1)
    for _ in range(2000):
        n, to, at = draw.randrange(40), draw.randrange(12), draw.randrange(12)
        value, start, given = draw.randrange(-300, 300), draw.randbytes(64), draw.randbytes(64)
        out, source = ctypes.create_string_buffer(start, 64), ctypes.create_string_buffer(given, 64)
        memory.our_copy(ctypes.byref(out, to), ctypes.byref(source, at), ctypes.c_size_t(n))
        assert out.raw == start[:to] + given[at : at + n] + start[to + n :]
        memory.our_set(ctypes.byref(out, at), value, ctypes.c_size_t(n))
        copied = start[:to] + given[at : at + n] + start[to + n :]
        assert out.raw == copied[:at] + bytes([value & 255]) * n + copied[at + n :]
