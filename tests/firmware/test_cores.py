"""The verify application on an emulated RISC-V, Cortex-M4 and Xtensa core: every byte that it says is the host's."""

from __future__ import annotations

import hashlib
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent / "idf"))
from board import DEVICE, KEY, frame, owner, scene, seen

from hyper_mcu.codegen import oracle
from hyper_mcu.codegen.emit_c import emit_engine
from hyper_mcu.codegen.emulate import run_elf
from hyper_mcu.codegen.errors import MissingToolError
from hyper_mcu.codegen.run import CORE_SOURCES, HARNESS, HOST_SOURCES
from hyper_mcu.codegen.targets import target_named
from hyper_mcu.codegen.toolchain import compile_program
from hyper_mcu.device.build import main_of
from hyper_mcu.device.client import PART, answered
from hyper_mcu.device.frames import RESPONSE, Frame, Receiver, Request, encode
from hyper_mcu.device.seal import seal

CHALLENGE = bytes([0x5C]) * 16
NAME = b"ada".ljust(48, b"\0")


def tagged(request: Request, payload: bytes) -> bytes:
    """An authenticated request's payload."""
    return answered(KEY, CHALLENGE, request, payload)


def requests() -> list[Frame]:
    """A session: a key, a person in parts, verdicts about the owner's crop, the known answer, and what is refused."""
    sealed = seal(owner(), KEY, 1, id=bytes(16))
    load = struct.pack("<BI", 0, len(sealed)) + hashlib.sha256(sealed).digest() + NAME
    image = seen(scene(0)).tobytes()

    def parts(kind: Request, data: bytes) -> list[tuple[int, bytes]]:
        return [(kind, struct.pack("<I", at) + data[at : at + PART]) for at in range(0, len(data), PART)]

    said: list[tuple[int, bytes]] = [
        (Request.PING, b"\0 and zeros \0"),
        (Request.SET_KEY, struct.pack("<I", KEY.number) + KEY.key),
        (Request.LOAD, tagged(Request.LOAD, load)),  # nobody has asked for a challenge
        (Request.CHALLENGE, b""),
        (Request.LOAD, tagged(Request.LOAD, load)),
        *parts(Request.LOAD_PART, sealed),
        (Request.LOAD_END, b""),
        (Request.INFO, b""),
        (Request.LIST, struct.pack("<I", 0)),
        (Request.KAT, NAME),
        (Request.CHALLENGE, b""),
        (Request.VERIFY, tagged(Request.VERIFY, NAME)),
        *parts(Request.VERIFY_ROWS, image),
        (Request.VERIFY_END, b""),
        (99, b"no such request"),
    ]
    return [Frame(kind, number % 256, payload) for number, (kind, payload) in enumerate(said)]


def transcript() -> bytes:
    """The program's whole input."""
    line = b"".join(encode(f) for f in requests())
    return struct.pack("<I", len(line)) + line + frame(0)


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory):
    """The program for a target, as an ELF file."""

    def make(name: str) -> Path:
        target = target_named(name)
        folder = tmp_path_factory.mktemp(name)
        (folder / "hm_engine.h").write_text(emit_engine(owner()), "ascii")
        harness = (*CORE_SOURCES, f"core_{target.isa.name}.c") if target.isa else HOST_SOURCES
        own = [HARNESS / n for n in harness if n not in ("main.c", "engine.c")]
        here = Path(__file__).parent
        sources = [here / "transcript.c", here / "divisions.c", main_of("verify"), *sorted(DEVICE.glob("*.c")), *own]
        try:
            made = compile_program(sources, target, out=folder / "device", include_dirs=[folder, DEVICE])
        except MissingToolError as e:
            pytest.skip(str(e))
        return made.elf

    return make


@pytest.fixture(scope="module")
def here(build) -> bytes:
    """What this machine answers."""
    done = run_elf(build("host"), target_named("host"), transcript())
    assert (done.code, done.detail) == (0, "")
    return done.stdout


def test_this_machine_answers_what_python_expects(here: bytes) -> None:
    crop = seen(scene(0))
    head = b"light off\nhyper-mcu on transcript: ready\r\nlight off\n"
    said = f"light on\nada: match, logit {owner().threshold} of {owner().threshold}\r\nlight off\n"
    tail = crop.tobytes() + said.encode()
    assert here.startswith(head)
    assert here.endswith(tail)
    receiver = Receiver()
    answers = list(receiver.feed(here[len(head) : -len(tail)]))
    asked = requests()
    assert [(a.type, a.sequence) for a in answers] == [(f.type | RESPONSE, f.sequence) for f in asked]
    refused = [i for i, a in enumerate(answers) if a.payload[0] != 0]
    assert refused == [2, len(asked) - 1]  # the LOAD without a challenge, and the request that is none
    decision, logit, threshold, *_ = struct.unpack_from("<Iii", answers[-2].payload, 1)
    assert (decision, logit, threshold) == (0x5AC369A5, owner().threshold, owner().threshold)
    assert logit == oracle.run(owner().qnet, crop).logit


@pytest.mark.parametrize(
    ("target", "emulator"), [("rv32imc", "qemu"), ("rv32imc", "unicorn"), ("m4", "unicorn"), ("lx106", "qemu")]
)
def test_an_emulated_core_answers_the_same_bytes(build, here: bytes, target: str, emulator: str) -> None:
    where = target_named(target)
    elf = build(target)
    try:
        done = run_elf(elf, where, transcript(), emulator=emulator, limit_s=300)
    except MissingToolError as e:
        pytest.skip(str(e))
    assert (done.code, done.detail) == (0, "")
    differing = np.flatnonzero(np.frombuffer(done.stdout[: len(here)], "u1") != np.frombuffer(here, "u1"))
    assert (len(done.stdout), differing[:1].tolist()) == (len(here), [])
