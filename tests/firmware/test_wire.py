"""Who holds the wire: how long it keeps a device from its door, and what a memory that is read out afterwards tells."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import pytest
from c_programs import C11, HOST, SANITIZED, run, sanitizes
from people import TINY, net, person

from hyper_mcu.codegen.emit_c import emit_engine
from hyper_mcu.device.frames import Frame, Request, encode

pytestmark = pytest.mark.skipif(not HOST, reason="no gcc, clang or cc on PATH")

HERE = Path(__file__).parent
DEVICE = HERE.parents[1] / "firmware" / "device"
SECRET = bytes(range(0x80, 0xA0))


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wire")
    (folder / "hm_engine.h").write_text(emit_engine(person(net(TINY))), encoding="ascii")
    out = folder / "wire"
    sources = [HERE / "wire.c", *sorted(DEVICE.glob("*.c"))]
    options = [*C11, *(SANITIZED if sanitizes(HOST) else ()), f"-I{folder}", f"-I{DEVICE}"]
    done = subprocess.run(
        [HOST, *options, *map(str, sources), "-o", str(out)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return out


def sent(program: Path, *frames: Frame) -> tuple[int, int, int, bytes]:
    """Calls of hm_device_poll, answers, most answers in one call; and the device's memory afterwards."""
    said = run(program, b"".join(map(encode, frames)))
    turns, answers, most, n = struct.unpack_from("<4I", said)
    return turns, answers, most, said[16 + n :]


def test_a_flood_of_requests_is_answered_one_a_turn(program: Path) -> None:
    """So that whoever opens a door and shuts it between two turns is kept from it by one request, not by hundreds."""
    flood = [Frame(Request.INFO, n % 256, b"") for n in range(200)]
    _, answers, most, _ = sent(program, *flood)
    assert (answers, most) == (200, 1)


def test_noise_without_an_end_does_not_keep_a_turn_from_ending(program: Path) -> None:
    said = run(program, b"\x55" * 50_000 + encode(Frame(Request.PING, 1)))
    turns, answers, _ = struct.unpack_from("<3I", said)
    assert answers == 1
    assert turns > 20


@pytest.mark.parametrize("request_", [Request.SET_KEY, Request.LOAD_PART, Request.VERIFY_ROWS])
def test_nothing_of_a_key_a_person_or_a_face_is_left_where_it_was_received(program: Path, request_: Request) -> None:
    _, answers, _, memory = sent(program, Frame(request_, 1, struct.pack("<I", 1) + SECRET))
    assert answers == 1
    assert SECRET[:8] not in memory
    assert SECRET[8:] not in memory
