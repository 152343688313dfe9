"""The link's frames and tags: hm_link.c, hyper_mcu.device.frames and the vectors of LINK.md agree to the byte."""

from __future__ import annotations

import csv
import re
import shutil
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from c_programs import C11, CXX14, HOST, HOST_COMPILERS, SANITIZED, compile_c, run, sanitizes
from hypothesis import given, settings
from hypothesis import strategies as st
from objects import compiled
from people import TINY, net, person
from test_cppcheck import findings

from hyper_mcu import __version__
from hyper_mcu.codegen.emit_c import emit_engine
from hyper_mcu.device.client import answered
from hyper_mcu.device.codes import SAID, Code
from hyper_mcu.device.frames import PAYLOAD, Frame, Receiver, Request, cobs, encode, uncobs
from hyper_mcu.device.keys import Key

FIRMWARE = Path(__file__).parents[2] / "firmware"
DEVICE = FIRMWARE / "device"
VECTORS = list(csv.DictReader((Path(__file__).parents[1] / "vectors" / "link.csv").open(encoding="ascii")))
GOOD = [v for v in VECTORS if v["type"]]
BROKEN = [v for v in VECTORS if not v["type"]]

SOURCES = (
    "hm_link", "hm_device", "hm_answer", "hm_answer_people", "hm_answer_verify", "hm_engine", "hm_factory", "hm_door",
)  # fmt: skip
PROGRAM = r"""
#include "hm_link.h"
#include <stdio.h>
#include <string.h>

static void say(const uint8_t *bytes, uint32_t n)
{
    fwrite(&n, sizeof n, 1, stdout);
    fwrite(bytes, 1, n, stdout);
}

/* With an argument: encodes records of type, sequence, length and payload. Without: finds the frames of stdin. */
int main(int argc, char **argv)
{
    static hm_receiver receiver;
    uint32_t in[3];
    (void)argv;
    if (argc > 1) {
        while (fread(in, sizeof in, 1, stdin) == 1) {
            static uint8_t payload[HM_LINK_PAYLOAD];
            static uint8_t frame[HM_LINK_FRAME];
            static uint8_t again[HM_LINK_FRAME];
            uint8_t *const inside = again + HM_LINK_FRAME - HM_LINK_PAYLOAD;
            if (in[2] > HM_LINK_PAYLOAD || fread(payload, 1, in[2], stdin) != in[2]) {
                return 1;
            }
            memcpy(inside, payload, in[2]);
            const uint32_t n = hm_link_encode((uint8_t)in[0], (uint8_t)in[1], payload, in[2], frame);
            const uint32_t m = hm_link_encode((uint8_t)in[0], (uint8_t)in[1], inside, in[2], again);
            if (m != n || memcmp(frame, again, n) != 0) {
                return 2;
            }
            say(frame, n);
        }
        return 0;
    }
    hm_receiver_reset(&receiver);
    for (int byte = getchar(); byte != EOF; byte = getchar()) {
        const uint8_t *frame;
        uint32_t n;
        if (hm_receive(&receiver, (uint8_t)byte, &frame, &n)) {
            say(frame, n);
        }
    }
    return 0;
}
"""

pytestmark = pytest.mark.skipif(not HOST, reason="no gcc, clang or cc on PATH")

Encoded = Callable[[Sequence[Frame]], list[bytes]]
Received = Callable[[bytes], list[Frame]]


def built(folder: Path, *options: str, compiler: str = HOST) -> Path:
    sources = {"hm_engine.h": emit_engine(person(net(TINY))), "main.c": PROGRAM}
    own = (str(DEVICE / "hm_link.c"), str(DEVICE / "hm_flash.c"))
    return compile_c(folder, sources, *options, f"-I{folder}", f"-I{DEVICE}", *own, compiler=(compiler,))


def parts(said: bytes) -> list[bytes]:
    found = []
    while said:
        (n,) = struct.unpack_from("<I", said)
        found.append(said[4 : 4 + n])
        said = said[4 + n :]
    return found


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("link"), *C11, *(SANITIZED if sanitizes(HOST) else ()))


@pytest.fixture(scope="module")
def received(program: Path) -> Received:
    """The frames that hm_receive finds."""
    return lambda data: [Frame(f[0], f[1], f[2:]) for f in parts(run(program, data))]


@pytest.fixture(scope="module")
def encoded(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Encoded:
    """What hm_link_encode makes of frames, its payload elsewhere or in the frame itself."""
    script = tmp_path_factory.mktemp("encode") / "encode"
    script.write_text(f'#!/bin/sh\nexec "{program}" encode\n')
    script.chmod(0o700)

    def encode_all(frames: Sequence[Frame]) -> list[bytes]:
        heads = [struct.pack("<3I", f.type, f.sequence, len(f.payload)) + f.payload for f in frames]
        return parts(run(script, b"".join(heads)))

    return encode_all


def frame_of(vector: dict[str, str]) -> Frame:
    return Frame(int(vector["type"]), int(vector["sequence"]), bytes.fromhex(vector["payload"]))


def test_vectors_are_encoded_and_received_to_the_byte(encoded: Encoded, received: Received) -> None:
    frames, lines = [frame_of(v) for v in GOOD], [bytes.fromhex(v["line"]) for v in GOOD]
    assert len(frames) > 20
    assert [encode(f) for f in frames] == lines
    assert encoded(frames) == lines
    assert Receiver().feed(b"".join(lines)) == frames
    assert received(b"".join(lines)) == frames


@pytest.mark.parametrize("vector", BROKEN, ids=lambda v: v["what"])
def test_what_is_no_frame_is_dropped_and_the_next_one_found(vector: dict[str, str], received: Received) -> None:
    data = bytes.fromhex(vector["line"])
    after = Frame(1, 2, b"after")
    for line, found in ((data, []), (data + encode(after), [after])):
        assert Receiver().feed(line) == found
        assert received(line) == found


def test_tags_of_the_vectors() -> None:
    tagged = [v for v in GOOD if v["key"]]
    assert len(tagged) == 4
    for v in tagged:
        frame, key = frame_of(v), Key(int(v["number"]), bytes.fromhex(v["key"]))
        request = Request(frame.type)
        assert answered(key, bytes.fromhex(v["challenge"]), request, frame.payload[:-32]) == frame.payload


FRAMES = st.builds(
    Frame,
    st.integers(0, 255),
    st.integers(0, 255),
    st.one_of(
        st.binary(max_size=PAYLOAD),
        st.integers(0, PAYLOAD).map(lambda n: b"\xaa" * n),
        st.integers(0, PAYLOAD).map(bytes),
        st.integers(1, PAYLOAD).map(lambda n: b"\1" * (n - 1) + b"\0"),
    ),
)


@given(st.lists(FRAMES, max_size=6), st.integers(1, 64))
@settings(max_examples=15, deadline=None)
def test_any_frames_come_back_in_any_pieces(
    encoded: Encoded, received: Received, frames: list[Frame], piece: int
) -> None:
    lines = encoded(frames)
    assert lines == [encode(f) for f in frames]
    assert all(0 not in line[1:-1] for line in lines)
    data, receiver = b"".join(lines), Receiver()
    assert [f for i in range(0, len(data), piece) for f in receiver.feed(data[i : i + piece])] == frames
    assert received(data) == frames


@given(st.lists(FRAMES, min_size=1, max_size=3), st.data())
@settings(max_examples=25, deadline=None)
def test_both_receivers_find_the_same_in_noise(received: Received, frames: list[Frame], data: st.DataObject) -> None:
    line = bytearray(b"".join(encode(f) for f in frames))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(line) - 1))
        how = data.draw(st.sampled_from(["flip", "lose", "repeat", "insert"]))
        if how == "flip":
            line[at] ^= 1 << data.draw(st.integers(0, 7))
        elif how == "lose" and len(line) > 1:
            del line[at]
        elif how == "repeat":
            line[at:at] = line[at : at + data.draw(st.integers(1, 300))]
        else:
            line[at:at] = data.draw(st.binary(max_size=20))
    found = Receiver().feed(bytes(line))
    assert received(bytes(line)) == found
    assert all(f in frames for f in found)


@given(st.binary(max_size=1500))
@settings(deadline=None)
def test_cobs_comes_back_and_has_no_zero(data: bytes) -> None:
    assert 0 not in cobs(data)
    assert uncobs(cobs(data)) == data
    assert len(cobs(data)) <= len(data) + len(data) // 254 + 1


@pytest.mark.parametrize("compiler", HOST_COMPILERS)
@pytest.mark.parametrize("options", [C11, CXX14], ids=["c11", "c++14"])
@pytest.mark.parametrize("selftest", [0, 1])
def test_the_device_compiles_without_a_warning(
    tmp_path: Path, compiler: str, options: tuple[str, ...], selftest: int
) -> None:
    flags = [*options, "-ffreestanding", f"-DHM_SELFTEST={selftest}", f"-DHM_REPLAY={selftest}"]
    for name in SOURCES:
        assert compiled(DEVICE / f"{name}.c", tmp_path, compiler, *flags) == (0, ""), name
    assert {path.stem for path in tmp_path.glob("*.o")} == set(SOURCES)


@pytest.mark.skipif(shutil.which("cppcheck") is None, reason="no cppcheck on PATH (Debian: cppcheck)")
@pytest.mark.parametrize("selftest", [0, 1])
def test_a_static_checker_has_nothing_to_say(tmp_path: Path, selftest: int) -> None:
    (tmp_path / "hm_engine.h").write_text(emit_engine(person(net(TINY))), encoding="ascii")
    sources = [*(DEVICE / f"{name}.c" for name in SOURCES), *sorted((FIRMWARE / "ports" / "host").glob("*.c"))]
    options = [f"-I{DEVICE}", f"-DHM_SELFTEST={selftest}", f"-DHM_REPLAY={selftest}"]
    options += ["--suppress=knownConditionTrueFalse:*hm_engine.h", "--suppress=unreadVariable:*hm_engine.h"]
    assert findings(*sources, includes=tmp_path, options=options) == ""


def test_numbers_and_version_are_those_of_the_headers() -> None:
    link, device = ((DEVICE / f"{n}.h").read_text(encoding="ascii") for n in ("hm_link", "hm_device"))
    assert {k: int(v) for k, v in re.findall(r"HM_ASK_(\w+) = (\d+)", link)} == {r.name: r.value for r in Request}
    assert f'#define HM_FIRMWARE_VERSION "{__version__}"' in device
    assert set(SAID) == set(Code) - {Code.OK}


def test_the_document_names_every_request() -> None:
    text = (FIRMWARE / "LINK.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| ([A-Z_]+) \|", text, re.MULTILINE)
    assert [(int(n), name) for n, name in rows] == [(r.value, r.name) for r in Request]
