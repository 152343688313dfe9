"""Sealing on the host. tests/firmware/test_seal.py holds it against the device's C."""

from __future__ import annotations

import hashlib
import hmac
import json
import struct
import sys
from pathlib import Path

import pytest
from enrolled import PORTRAIT, STRANGER, Command
from people import TINY, net, person

from hyper_mcu.codegen.errors import MissingToolError, UserError
from hyper_mcu.codegen.oracle import run
from hyper_mcu.codegen.parse_header import parse
from hyper_mcu.codegen.person_bin import pack
from hyper_mcu.device.keys import Key, new, save
from hyper_mcu.device.seal import open_, read, seal
from hyper_mcu.faces import face_crops

KEY = Key(3, bytes(range(32)))
P = person(net(TINY))
BLOB = pack(P, for_device=True)


def refusal(*given: object, **more: object) -> str:
    with pytest.raises(UserError) as refused:
        seal(*given, **more)  # type: ignore[arg-type]
    return str(refused.value)


def test_bytes_are_where_the_specification_has_them() -> None:
    data = seal(P, KEY, 9, id=b"i" * 16)
    assert data[:4] == b"HMsp"
    assert struct.unpack_from("<7I", data, 4) == (1, len(data), 0, 3, 9, len(BLOB), 0)
    assert data[32:48] == b"i" * 16
    assert data[48:64] == bytes(16)
    assert data[64:112] == b"alice".ljust(48, b"\0")
    assert data[112:128] == bytes(16)
    assert data[128:-32] == BLOB
    secret = hmac.new(KEY.key, b"hyper-mcu seal" + struct.pack("<I", 3), hashlib.sha256).digest()
    assert data[-32:] == hmac.new(secret, data[:-32], hashlib.sha256).digest()


def test_a_person_and_the_blob_for_a_device_are_sealed_alike() -> None:
    assert seal(P, KEY, 1, id=bytes(16)) == seal(BLOB, KEY, 1, id=bytes(16))


def test_ids_are_random_unless_given() -> None:
    ids = {read(seal(P, KEY, 1)).id for _ in range(5)}
    assert len(ids) == 5
    assert read(seal(P, KEY, 1, id=b"x" * 16)).id == b"x" * 16


def test_what_was_sealed_is_opened() -> None:
    found = open_(seal(P, KEY, 2**32 - 1, id=b"x" * 16), KEY, 2**32 - 2)
    assert (found.id, found.name, found.number, found.counter) == (b"x" * 16, "alice", 3, 2**32 - 1)
    assert (found.encrypted, found.payload) == (False, BLOB)


def test_an_encrypted_person_is_read_by_who_has_the_key_alone() -> None:
    pytest.importorskip("cryptography", reason="needs hyper-mcu[device]: cryptography")
    first, second = (seal(P, KEY, 1, id=bytes(16), encrypt=True) for _ in range(2))
    assert first[48:64] != second[48:64]
    assert first[128:-32] != second[128:-32]
    for data in (first, second):
        assert open_(data, KEY).payload == BLOB
        assert read(data).payload != BLOB
        assert b"alice" not in data[128:]
        assert all(data[128:-32].find(BLOB[i : i + 8]) < 0 for i in range(0, len(BLOB), 8))


def test_the_cipher_is_aes_256_in_counter_mode() -> None:
    ciphers = pytest.importorskip(
        "cryptography.hazmat.primitives.ciphers", reason="needs hyper-mcu[device]: cryptography"
    )
    data = seal(P, KEY, 1, encrypt=True)
    secret = hmac.new(KEY.key, b"hyper-mcu encrypt" + struct.pack("<I", 3), hashlib.sha256).digest()
    block = int.from_bytes(data[48:64], "big")
    ecb = ciphers.Cipher(ciphers.algorithms.AES(secret), ciphers.modes.ECB()).encryptor()
    count = -(-len(BLOB) // 16)
    stream = b"".join(ecb.update(((block + i) % 2**128).to_bytes(16, "big")) for i in range(count))
    assert bytes(a ^ b for a, b in zip(data[128:-32], stream, strict=False)) == BLOB


def test_without_the_cipher_the_line_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers", None)
    with pytest.raises(MissingToolError, match=r"encryption: needs cryptography; expected .*pip install .*device"):
        seal(P, KEY, 1, encrypt=True)


@pytest.mark.parametrize("counter", [0, -1, 2**32, 1.0, True, None])
def test_a_counter_out_of_range_is_refused(counter: object) -> None:
    assert refusal(P, KEY, counter) == f"seal: rollback counter; expected 1…2^32−1, got {counter}"


@pytest.mark.parametrize("size", [0, 15, 17])
def test_an_id_of_another_size_is_refused(size: int) -> None:
    assert refusal(P, KEY, 1, id=bytes(size)) == f"seal: id; expected 16 bytes, got {size}"


def test_blobs_that_a_device_would_not_take_are_not_sealed() -> None:
    assert refusal(pack(P), KEY, 1).startswith("seal: with what the host alone reads; expected a person.bin made for")
    assert refusal(b"", KEY, 1).startswith("seal: not a person.bin; ")
    assert refusal(BLOB[:-1], KEY, 1).startswith("seal: cut short or grown; ")
    assert refusal(BLOB[:-5] + b"!" + BLOB[-4:], KEY, 1).startswith("seal: damaged; ")
    assert refusal(seal(P, KEY, 1), KEY, 2).startswith("seal: not a person.bin; ")


def test_the_reason_of_a_refusal_is_told_with_what_was_found() -> None:
    data = seal(P, KEY, 5)
    cases = [
        (
            b"",
            KEY,
            0,
            "what came is no sealed person; expected a person sealed by this version",
        ),
        (data[:-4], KEY, 0, "what came is no sealed person; "),
        (
            data,
            Key(4, KEY.key),
            0,
            "sealed under another key number; expected a seal by ",
        ),
        (data, Key(3, bytes([1] * 32)), 0, "not sealed for this device, or changed since; "),
        (
            data,
            KEY,
            5,
            "older than what the device accepted before; expected a higher rollback counter",
        ),
    ]
    for given, key, counter, said in cases:
        with pytest.raises(UserError) as refused:
            open_(given, key, counter, "alice.sealed")
        assert str(refused.value).startswith(f"alice.sealed: {said}")


def test_enrolment_permuted_by_a_key_gives_the_same_answers(
    tmp_path: Path, model: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    save(new(4), tmp_path / "door.key")
    words = ("enroll", PORTRAIT, "--permute", tmp_path / "door.key", "--out")
    for name in ("one.h", "two.h"):
        assert command(*words, tmp_path / name, "--name", "yaoming", "--json") == 0
        assert json.loads(capsys.readouterr().out)["people"][0]["permuted"] == 4
    assert (tmp_path / "one.h").read_bytes() == (tmp_path / "two.h").read_bytes()
    plain, other = parse(model).person, parse(tmp_path / "one.h").person
    assert other.qnet.sha256() != plain.qnet.sha256()
    assert (other.threshold, other.known.logit) == (plain.threshold, plain.known.logit)
    assert other.known.layers_sha256 != plain.known.layers_sha256
    (crop,) = face_crops(STRANGER, "largest", "probe")
    assert run(other.qnet, crop.pixels).logit == run(plain.qnet, crop.pixels).logit
    assert command("verify", PORTRAIT, "--model", tmp_path / "one.h") == 0
    capsys.readouterr()
    for file in (model, tmp_path / "one.h"):
        assert command("inspect", file, "--json") == 0
        assert json.loads(capsys.readouterr().out)["permutation_bits"] == 1167.4
    assert command("inspect", model) == 0
    assert "leave every logit as it is: 2^1,167.4;" in capsys.readouterr().out


def test_enrolment_refuses_a_key_that_is_none_and_writes_nothing(
    tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "door.key").touch(mode=0o600)
    assert command("enroll", PORTRAIT, "--permute", tmp_path / "door.key", "--out", tmp_path / "model.h") == 2
    assert "no key file" in capsys.readouterr().err
    assert not (tmp_path / "model.h").exists()
