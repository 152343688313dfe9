"""hm_seal.c against hyper_mcu.device.seal: what the host seals a device opens, and both refuse for the same reason."""

from __future__ import annotations

import hmac
import struct
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from c_programs import C11, CXX14, HOST, HOST_COMPILERS, SANITIZED, compile_c, run, sanitizes
from people import OTHER, TINY, net, person

from hyper_mcu.codegen.emit_c import emit_engine
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.person_bin import pack
from hyper_mcu.codegen.presets import preset
from hyper_mcu.device.client import MATCH, NO_MATCH
from hyper_mcu.device.codes import SAID, Code
from hyper_mcu.device.keys import ENCRYPT, LINK, SEAL, Key
from hyper_mcu.device.seal import HEAD, TAG, open_, read, seal, tag

DEVICE = Path(__file__).parents[2] / "firmware" / "device"
SOURCES = [str(DEVICE / name) for name in ("hm_seal.c", "hm_sha256.c", "hm_code.c")]
SOURCES += [str(Path(__file__).with_name("seal_program.c"))]
KEY = Key(3, bytes(range(32)))
ID = bytes(range(100, 116))
COUNTER = 7

pytestmark = pytest.mark.skipif(not HOST, reason="no gcc, clang or cc on PATH")


@dataclass(frozen=True)
class Answer:
    """read: of hm_seal_read; code and decision of hm_seal_open; what it then says of the sealed person."""

    read: int
    code: int
    decision: int
    flags: int
    key: int
    counter: int
    payload_bytes: int
    payload: int
    id: int
    name: int
    nonce: int


Case = tuple[bytes, Key, int]
Ask = Callable[[Sequence[Case]], list[Answer]]
NOTHING = (0,) * 8


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    options = SANITIZED if sanitizes(HOST) else ()
    return built(tmp_path_factory.mktemp("seal"), *C11, *options)


@pytest.fixture(scope="module")
def ask(program: Path) -> Ask:
    """seal_program.c, under sanitizers where they are."""

    def answers(cases: Sequence[Case]) -> list[Answer]:
        records = [struct.pack("<4I", len(b), k.number, c, i % 3) + k.key + b for i, (b, k, c) in enumerate(cases)]
        return [Answer(*words) for words in struct.iter_unpack("<11I", run(program, b"".join(records)))]

    return answers


def built(folder: Path, *options: str, compiler: str = HOST) -> Path:
    sources = {"hm_engine.h": emit_engine(person(net(TINY)))}
    return compile_c(folder, sources, *options, f"-I{folder}", f"-I{DEVICE}", *SOURCES, compiler=(compiler,))


def said(data: bytes, key: Key, counter: int) -> Code:
    """What the host's twin says, as a code."""
    try:
        open_(data, key, counter)
    except UserError as e:
        return next(code for code, (what, _) in SAID.items() if what == e.what)
    return Code.OK


def differing(ask: Ask, cases: Sequence[Case], expected: Code | None = None) -> list[tuple[Code, Answer]]:
    """What host and device say where the device decides otherwise than the host, or both otherwise than `expected`,
    where that is given; and where the device keeps anything of what it refuses."""
    found = []
    for case, a in zip(cases, ask(cases), strict=True):
        code = said(*case)
        opened = code is Code.OK
        wanted = (code, MATCH if opened else NO_MATCH, readable(case[0]))
        told = (a.flags, a.key, a.counter, a.payload_bytes, a.payload, a.id, a.name, a.nonce)
        if expected not in (None, code) or (a.code, a.decision, a.read) != wanted or not (opened or told == NOTHING):
            found.append((code, a))
    return found


def readable(data: bytes) -> Code:
    """Whether the host takes it for a sealed person at all, whatever its tag."""
    try:
        read(data)
    except UserError:
        return Code.NOT_SEALED
    return Code.OK


@pytest.fixture(scope="module")
def sealed() -> bytes:
    return seal(person(net(TINY)), KEY, COUNTER, id=ID)


def resealed(data: bytes, at: int, new: bytes, key: Key = KEY) -> bytes:
    """With other bytes at an offset and a tag that fits."""
    changed = data[:at] + new + data[at + len(new) : -TAG]
    return changed + tag(key, changed)


def flipped(data: bytes, bit: int) -> bytes:
    other = bytearray(data)
    other[bit // 8] ^= 1 << bit % 8
    return bytes(other)


@pytest.mark.parametrize("encrypt", [False, True])
@pytest.mark.parametrize("spec", [TINY, OTHER, preset("paper")], ids=lambda s: s.id)
def test_what_the_host_seals_the_device_opens(ask: Ask, spec, encrypt: bool) -> None:
    if encrypt:
        pytest.importorskip("cryptography", reason="needs hyper-mcu[device]: cryptography")
    p = person(net(spec))
    data = seal(p, KEY, COUNTER, id=ID, encrypt=encrypt)
    (a,) = ask([(data, KEY, COUNTER - 1)])
    blob = pack(p, for_device=True)
    assert (a.read, a.code, a.decision) == (0, 0, MATCH)
    assert (a.flags, a.key, a.counter, a.payload_bytes) == (int(encrypt), KEY.number, COUNTER, len(blob))
    assert (a.id, a.nonce, a.name, a.payload) == (32, 48, 64, 128)
    assert data[32:48] == ID
    assert data[64:112] == b"alice".ljust(48, b"\0")
    assert (data[128:-32] == blob) is not encrypt
    assert open_(data, KEY, COUNTER - 1).payload == blob


def test_every_truncation_is_refused(ask: Ask, sealed: bytes) -> None:
    assert differing(ask, [(sealed[:n], KEY, 0) for n in range(len(sealed))], Code.NOT_SEALED) == []


def test_every_truncation_under_a_tag_that_fits_is_refused(ask: Ask, sealed: bytes) -> None:
    cut = [sealed[:n] + tag(KEY, sealed[:n]) for n in range(0, len(sealed) - TAG, 3)]
    assert differing(ask, [(data, KEY, 0) for data in cut], Code.NOT_SEALED) == []


@pytest.mark.parametrize("more", [1, 2, 3, 4, 32, 1000])
def test_what_stands_behind_a_sealed_person_is_refused(ask: Ask, sealed: bytes, more: int) -> None:
    assert differing(ask, [(sealed + bytes(more), KEY, 0), (sealed + sealed[-more:], KEY, 0)], Code.NOT_SEALED) == []


def test_every_flipped_bit_is_refused(ask: Ask, sealed: bytes) -> None:
    cases = [(flipped(sealed, bit), KEY, 0) for bit in range(8 * len(sealed))]
    assert all(said(*case) is not Code.OK for case in cases)
    assert differing(ask, cases) == []


def test_flipped_bits_of_a_large_person_are_refused(ask: Ask) -> None:
    data = seal(person(net(preset("paper"))), KEY, COUNTER)
    cases = [(flipped(data, bit), KEY, 0) for bit in range(8 * HEAD.size, 8 * len(data), 2311)]
    assert differing(ask, cases, Code.WRONG_SEAL) == []


@pytest.mark.parametrize(
    ("at", "new"),
    [
        (0, b"HMpb"),
        (4, b"\2\0\0\0"),
        (4, b"\1\0\0\1"),
        (8, b"\0\0\0\0"),
        (8, b"\xff\xff\xff\xff"),
        (12, b"\2\0\0\0"),
        (12, b"\1\0\0\x80"),
        (16, b"\0\0\0\0"),
        (20, b"\0\0\0\0"),
        (24, b"\0\0\0\0"),
        (24, b"\xff\xff\xff\xff"),
        (28, b"\1"),
        (31, b"\x80"),
        (48, b"\1"),
        (63, b"\x80"),
        (64, b"\0"),
        (64, b"1"),
        (66, b" "),
        (66, b"\xe9"),
        (70, b"x"),
        (111, b"\1"),
        (112, b"\1"),
        (127, b"\1"),
    ],
)
def test_a_head_that_breaks_a_rule_is_refused_though_it_is_sealed(ask: Ask, sealed: bytes, at: int, new: bytes) -> None:
    assert differing(ask, [(resealed(sealed, at, new), KEY, 0)], Code.NOT_SEALED) == []


def test_each_field_that_may_differ_may(ask: Ask, sealed: bytes) -> None:
    fields = [
        (12, b"\1"),
        (20, b"\xff\xff\xff\xff"),
        (32, bytes(16)),
        (48, bytes(16)),
        (64, b"_" * 47),
        (64, b"x" + bytes(9)),
    ]
    assert differing(ask, [(resealed(sealed, at, new), KEY, 0) for at, new in fields], Code.OK) == []


def test_a_wrong_key_is_refused(ask: Ask, sealed: bytes) -> None:
    cases = [(sealed, Key(KEY.number, flipped(KEY.key, bit)), 0) for bit in range(256)]
    assert differing(ask, [*cases, (sealed, Key(KEY.number, bytes([1] * 32)), 0)], Code.WRONG_SEAL) == []


@pytest.mark.parametrize("number", [1, 2, 4, 2**31 + 3, 2**32 - 1])
def test_another_key_number_revokes(ask: Ask, sealed: bytes, number: int) -> None:
    renumbered = Key(number, KEY.key)
    assert differing(ask, [(sealed, renumbered, 0)], Code.WRONG_KEY) == []
    head = resealed(sealed, 16, struct.pack("<I", number))  # says the new number, sealed by the old one
    assert differing(ask, [(head, renumbered, 0)], Code.WRONG_SEAL) == []
    assert differing(ask, [(seal(person(net(TINY)), renumbered, COUNTER), renumbered, 0)], Code.OK) == []


def test_a_counter_that_is_not_above_is_refused(ask: Ask, sealed: bytes) -> None:
    assert differing(ask, [(sealed, KEY, c) for c in range(COUNTER)], Code.OK) == []
    assert differing(ask, [(sealed, KEY, c) for c in (COUNTER, COUNTER + 1, 2**31, 2**32 - 1)], Code.OLD) == []
    last = seal(person(net(TINY)), KEY, 2**32 - 1)
    assert differing(ask, [(last, KEY, c) for c in (0, 2**31, 2**32 - 2)], Code.OK) == []
    assert differing(ask, [(last, KEY, 2**32 - 1)], Code.OLD) == []


def test_a_tag_of_another_use_or_of_the_bare_key_is_refused(ask: Ask, sealed: bytes) -> None:
    body = sealed[:-TAG]
    secrets = [KEY.key, KEY.derived(ENCRYPT), KEY.derived(LINK), KEY.derived(b"hyper-mcu sea"), bytes(32)]
    assert differing(ask, [(body + hmac.digest(s, body, "sha256"), KEY, 0) for s in secrets], Code.WRONG_SEAL) == []


def test_random_bytes_are_refused(ask: Ask) -> None:
    rng = np.random.default_rng(6)
    cases = [(rng.bytes(int(n)), KEY, 0) for n in rng.integers(0, 600, 300)]
    assert differing(ask, cases, Code.NOT_SEALED) == []


def test_keys_of_each_use_are_the_hosts(program: Path) -> None:
    keys = [KEY, Key(2**32 - 1, b"\xff" * 32)]
    records = [struct.pack("<4I", 0, key.number, 0, 9) + key.key for key in keys]
    expected = b"".join(key.derived(label) for key in keys for label in (SEAL, ENCRYPT, LINK))
    assert run(program, b"".join(records)) == expected


def test_every_code_has_a_text_of_its_own(program: Path) -> None:
    done = subprocess.run([program, "texts"], capture_output=True, text=True, check=True)
    texts = done.stdout.splitlines()
    known = [texts[code] for code in Code]
    assert len(set(known)) == len(known)
    assert {text for number, text in enumerate(texts) if number not in set(Code)} == {"unknown error"}
    assert "unknown error" not in known


@pytest.mark.parametrize("compiler", HOST_COMPILERS)
@pytest.mark.parametrize("options", [C11, CXX14], ids=["C11", "C++14"])
def test_every_compiler_takes_it_without_a_word(tmp_path: Path, compiler: str, options: tuple[str, ...]) -> None:
    assert built(tmp_path, *options, "-O2", compiler=compiler).is_file()
