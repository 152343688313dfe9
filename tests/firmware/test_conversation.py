"""What is asked and answered, byte by byte (tests/vectors/conversation.csv): of the device in C, and of the client."""

from __future__ import annotations

import csv
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from c_programs import C11, HOST, SANITIZED, run, sanitizes

from hyper_mcu.device import client
from hyper_mcu.device.codes import Code, DeviceError
from hyper_mcu.device.frames import RESPONSE, Frame, Receiver, Request, encode
from hyper_mcu.device.keys import Key
from hyper_mcu.device.said import Entry, Info, Verdict

HERE = Path(__file__).parent
DEVICE = HERE.parents[1] / "firmware" / "device"
SAID, FRAMES = (
    list(csv.DictReader((HERE.parent / "vectors" / name).open(encoding="ascii")))
    for name in ("conversation.csv", "link.csv")
)
TAGGED = [v for v in FRAMES if v["key"]]
KEY = Key(7, bytes(range(32, 64)))
SET_KEY = encode(Frame(Request.SET_KEY, 100, struct.pack("<I", KEY.number) + KEY.key))


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """wire.c with the network of the vectors."""
    if not HOST:
        pytest.skip("no gcc, clang or cc on PATH")
    folder = tmp_path_factory.mktemp("conversation")
    (folder / "hm_engine.h").write_text(f'#include "{HERE / "vector_engine.h"}"\n', encoding="ascii")
    sources = [HERE / "wire.c", *sorted(DEVICE.glob("*.c"))]
    options = [*C11, *(SANITIZED if sanitizes(HOST) else ()), f"-I{folder}", f"-I{DEVICE}", "-DHM_SELFTEST=1"]
    options += ['-DHM_FIRMWARE_VERSION="9.8.7"']
    words = [HOST, *options, *map(str, sources), "-o", str(folder / "wire")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return folder / "wire"


def answers(program: Path, line: bytes) -> bytes:
    """What the device says of all that comes over its line."""
    said = run(program, line)
    (n,) = struct.unpack_from("<12xI", said)
    return said[16 : 16 + n]


def test_the_device_answers_to_the_byte(program: Path) -> None:
    assert {int(v["type"]) for v in SAID} == set(Request) - {Request.PING}
    for n in range(1, len(SAID) + 1):
        said = answers(program, b"".join(bytes.fromhex(v["request"]) for v in SAID[:n]))
        assert said.hex() == "".join(v["response"] for v in SAID[:n]), SAID[n - 1]["what"]


@pytest.mark.parametrize("vector", TAGGED, ids=lambda v: v["what"])
def test_the_device_takes_the_tags_of_the_vectors_and_no_others(program: Path, vector: dict[str, str]) -> None:
    right = Frame(int(vector["type"]), 1, bytes.fromhex(vector["payload"]))
    before = SET_KEY + encode(Frame(Request.CHALLENGE, 0))
    for bit, allowed in ((None, True), (0, False), (255, False)):
        payload = bytearray(right.payload)
        if bit is not None:
            payload[len(payload) - 32 + bit // 8] ^= 1 << bit % 8
        last = Receiver().feed(answers(program, before + encode(Frame(right.type, 1, bytes(payload)))))[-1]
        assert last.type == right.type + RESPONSE
        assert (last.payload[0] != Code.NOT_ALLOWED) == allowed


class Played:
    """In the place of a line: what the vectors ask, in their order, is answered as they have it."""

    def __init__(self) -> None:
        self.left = list(SAID)

    def ask(self, request: int, payload: bytes, seconds: float) -> bytes:
        v = self.left.pop(0)
        asked, said = Frame(request, int(v["sequence"]), payload), bytes.fromhex(v["answered"])
        assert encode(asked).hex() == v["request"], v["what"]
        assert encode(Frame(request + RESPONSE, asked.sequence, said)).hex() == v["response"]
        return said


def test_the_client_asks_and_understands_to_the_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    played = Played()
    monkeypatch.setattr(client, "connect", lambda *_: played)
    device, person = client.Device("vectors"), bytes.fromhex(SAID[3]["asked"])[4:]
    device.set_key(KEY)
    device.load(person)
    assert device.info() == Info(
        1, False, True, False, 77, 0xA1B2C3D4, 2, 2, 6, 16, 8, 1, 4096, 3936, 65536, 5, 7, 0, 0, 0, 1, "wire", "9.8.7"
    )
    assert device.people() == (Entry(0, "alice", bytes(range(160, 176)).hex(), 7, 5, len(person)),)
    assert device.known_answer("alice") == (1333, 1)
    image = np.frombuffer(bytes.fromhex(SAID[11]["asked"])[4:], np.uint8)
    layers = struct.unpack("<2I", bytes.fromhex(SAID[13]["answered"])[5:])
    verdict = Verdict("alice", True, client.MATCH, 144 - 3000, -2950, 1219, 1, layers, (200, 14))
    assert device.verify(image, "alice", layers=True) == verdict
    device.delete("alice")
    assert played.left.pop(0)["what"] == "delete, replayed"  # which no client does
    with pytest.raises(DeviceError) as e:
        device.delete("alice")
    assert e.value.code == Code.NO_PERSON
    assert played.left == []
