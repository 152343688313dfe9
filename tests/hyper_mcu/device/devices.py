"""Devices as processes of the host port, sanitized where that is possible, people for them, and noisy lines to them."""

from __future__ import annotations

import os
import random
import socket
import struct
import threading
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from c_programs import HOST, sanitizes
from people import OTHER, TINY, known, net, person

from hyper_mcu.codegen import oracle
from hyper_mcu.codegen.emit_c import emit_engine
from hyper_mcu.codegen.person import Person
from hyper_mcu.codegen.person_bin import pack
from hyper_mcu.codegen.targets import target_named
from hyper_mcu.codegen.toolchain import find_toolchain
from hyper_mcu.device.client import Device
from hyper_mcu.device.keys import Key
from hyper_mcu.device.process import REPLAY, SELFTEST, Process, build
from hyper_mcu.device.seal import HEAD, seal, tag

KEY = Key(1, bytes(range(32)))
OTHER_KEY = Key(1, bytes(range(1, 33)))
PRODUCT: tuple[str, ...] = ()  # macros of a device that tells no layers, and verifies for its key alone
ALICE, BOB = person(net(TINY)), person(net(TINY, 2), "bob", 1 << 20)
ALICE_AGAIN = person(net(TINY, 3))  # another net under her name
STRANGER = person(net(OTHER), "stranger")  # of another architecture
CROP = oracle.known_image(TINY, 99)  # of nobody
PATIENCE = 0.2  # a factor of the client's waits: nothing here is as slow as a board
BUILT: dict[tuple[str, tuple[str, ...], str], Path] = {}  # by engine, macros and application
needs_compiler = pytest.mark.skipif(not HOST, reason="no gcc, clang or cc on PATH")
SMALL = ("--unit", 256, "--units", 40)  # flash whose units are smaller than a tiny person: resuming shows

Told = Callable[..., dict[str, Any]]  # conftest.py


def compiled(folder: Path, whose: Person, app: str = "verify", *, defines: Sequence[str] = (REPLAY, SELFTEST)) -> Path:
    """An application, for the architecture of `whose`: in `folder`, or where the same one was compiled before.

    It is not optimised, which would take ten times as long.
    """
    same = (emit_engine(whose), tuple(defines), app)
    if same not in BUILT:
        sanitise = sanitizes(find_toolchain(target_named("host")).path.name)
        BUILT[same] = build(whose, folder / "device", app, defines=defines, optimise="-O0", sanitise=sanitise)
    return BUILT[same]


def keep_key(path: Path, key: Key) -> Path:
    """A file of the host port with this key in it."""
    path.write_bytes(struct.pack("<I", key.number) + key.key)
    return path


class Board:
    """A device whose flash and key lie in a folder, so that it can be started again and again."""

    def __init__(self, program: Path, folder: Path, *options: object, key: Key | None = KEY) -> None:
        self.flash, self.key_file = folder / "flash", folder / "key"
        self._program, self._options = program, options
        if key:
            keep_key(self.key_file, key)

    def start(self, *options: object, line: Sequence[str] = ("--tcp", "0")) -> Process:
        words = ("--flash", self.flash, "--key", self.key_file, *self._options, *options)
        return Process(self._program, *words, line=line)


def client(process: Process, key: Key | None = KEY, patience: float = PATIENCE) -> Device:
    return Device(process.line, key, patience=patience)


def healthy(said: str) -> bool:
    """Whether a process had nothing to say: no light, no fault of flash, no sanitizer's report."""
    return said == ""


def on(device: Device) -> list[tuple[str, int]]:
    """Who is on a device: name and counter."""
    return [(e.name, e.counter) for e in device.people()]


def sealed(p: Person | bytes, counter: int, key: Key = KEY) -> bytes:
    return seal(p, key, counter)


def resealed(data: bytes, key: Key = KEY) -> bytes:
    """A sealed person whose bytes were changed by who has the key."""
    return data[:-32] + tag(key, data[:-32])


def changed_blob(p: Person, at: int, value: bytes) -> bytes:
    """person.bin for a device with other bytes at an offset, and check sums that hold again."""
    blob = bytearray(pack(p, for_device=True))
    blob[at : at + len(value)] = value
    weights = bytes(blob[128:-4])
    struct.pack_into("<I", blob, 44, zlib.crc32(weights, zlib.crc32(bytes(blob[24:44]))))
    struct.pack_into("<I", blob, len(blob) - 4, zlib.crc32(bytes(blob[:-4])))
    return bytes(blob)


def wrapped(blob: bytes, counter: int, name: str = "alice") -> bytes:
    """Sealed whatever the blob is."""
    whole = bytearray(seal(ALICE, KEY, counter)[: HEAD.size] + blob + bytes(32))
    struct.pack_into("<I", whole, 8, len(whole))
    struct.pack_into("<I", whole, 24, len(blob))
    whole[64:112] = struct.pack("48s", name.encode())
    return resealed(bytes(whole))


def wrong_known_answer(p: Person) -> Person:
    """A person whose self-test fails."""
    return replace(p, known=replace(known(p.qnet), logit=p.known.logit + 1))


class NoisyLine:
    """A TCP line between a client and a device that loses, repeats, flips and cuts bytes, both ways.

    rates: of the faults, a byte each. The faults depend on the seed and the place in the stream alone.
    """

    def __init__(self, device: str, seed: int, rate: float) -> None:
        self._device = ("127.0.0.1", int(device.rpartition(":")[2]))
        self._seed, self._rate = seed, rate
        self.faults = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.line = f"tcp:127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._server.close()

    def _serve(self) -> None:
        number = 0
        while True:
            try:
                here, _ = self._server.accept()
                there = socket.create_connection(self._device)
            except OSError:
                return
            for pair in ((here, there), (there, here)):
                number += 1
                noise = random.Random(self._seed * 1000 + number)
                threading.Thread(target=self._pump, args=(*pair, noise), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, noise: random.Random) -> None:
        skip = 0
        while True:
            try:
                data = source.recv(4096)
            except OSError:
                data = b""
            if not data:
                break
            spoilt = bytearray()
            for byte in data:
                spoilt.append(byte)
                if skip:
                    skip -= 1
                    spoilt.pop()
                elif noise.random() < self._rate:
                    self.faults += 1
                    how = noise.randrange(4)
                    if how == 0:
                        spoilt.pop()
                    elif how == 1:
                        spoilt.append(byte)
                    elif how == 2:
                        spoilt[-1] ^= 1 << noise.randrange(8)
                    else:
                        skip = noise.randrange(1, 40)
            try:
                sink.sendall(spoilt)
            except OSError:
                break
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                os.sched_yield()
