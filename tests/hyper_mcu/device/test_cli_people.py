"""Sending, listing and deleting people and giving a key by command, against the real device as a process."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from devices import ALICE, KEY, Board, Told, client, needs_compiler
from enrolled import Command, Refused

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.device.process import SELFTEST, Process
from hyper_mcu.device.sending import sealed_for

pytestmark = needs_compiler

DEFINES = (SELFTEST,)  # of the device that conftest.py compiles


@pytest.mark.parametrize("form", ["alice.bin", "alice.h"])
def test_a_person_is_sent_listed_and_taken_off(
    process: Process, at: tuple[object, ...], files: Path, told: Told, form: str
) -> None:
    assert told("people", "list", "--port", process.line)["people"] == []
    sent = told("send", files / form, *at)
    size = sent.pop("bytes")
    assert sent == {
        "port": process.line, "target": "host", "model": str(files / form), "name": "alice", "key": 1, "counter": 1,
        "encrypted": False, "replaced": False,
    }  # fmt: skip
    there = told("people", "list", "--port", process.line)
    (entry,) = there.pop("people")
    assert len(entry.pop("id")) == 32
    assert entry == {"place": 0, "name": "alice", "key": 1, "counter": 1, "bytes": size}
    assert (there["key"], there["counter"], there["target"]) == (1, 1, "host")
    assert told("people", "rm", "alice", *at) == {
        "port": process.line, "target": "host", "removed": "alice", "people": 0,
    }  # fmt: skip
    assert told("people", "list", "--port", process.line)["people"] == []


def test_what_people_read_of_sending_and_listing(
    process: Process, at: tuple[object, ...], files: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, said in (
        (("people", "list", "--port", process.line), r"host on .*: 0 of \d+ places, key number 1, counter 0\n"),
        (("send", files / "alice.bin", *at), r"host on .*: alice is there, [\d,]+ B, counter 1\n"),
        (("send", files / "alice.bin", *at, "--replace"), r"host on .*: alice replaced, [\d,]+ B, counter 2\n"),
        (("people", "list", "--port", process.line), r"(?s).*│ alice │.*host on .*: 1 of \d+ places.*"),
        (("people", "rm", "alice", *at), r"host on .*: alice is gone, 0 left\n"),
    ):
        capsys.readouterr()
        assert command(*words) == 0
        assert re.fullmatch(said, capsys.readouterr().out)


def test_a_name_that_is_taken_needs_replace(
    process: Process, at: tuple[object, ...], files: Path, told: Told, refused: Refused
) -> None:
    told("send", files / "alice.bin", *at)
    said = refused("send", files / "alice.bin", *at)
    assert "another person has that name; expected another name, or --replace" in said
    assert told("send", files / "alice.bin", *at, "--replace")["replaced"] is True
    assert told("people", "list", "--port", process.line)["people"][0]["counter"] == 2


def test_a_full_device_refuses_and_keeps_who_is_there(
    program: Path, tmp_path: Path, files: Path, told: Told, refused: Refused
) -> None:
    with Board(program, tmp_path, "--units", 2).start() as device:
        at = ("--port", device.line, "--key", files / "key.json")
        told("send", files / "alice.bin", *at)
        said = refused("send", files / "bob.bin", *at)
        assert "no place is free; expected a free place; hyper-mcu people rm NAME" in said
        assert [e["name"] for e in told("people", "list", "--port", device.line)["people"]] == ["alice"]


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("other.json", "refused; expected this device's key, got NOT_ALLOWED"),
        ("seven.json", "another key; expected a key file with number 1, got 7"),
    ],
)
def test_a_wrong_key_sends_and_deletes_nothing(
    process: Process, at: tuple[object, ...], files: Path, told: Told, refused: Refused, key: str, said: str
) -> None:
    assert said in refused("send", files / "bob.bin", "--port", process.line, "--key", files / key)
    told("send", files / "alice.bin", *at)
    assert "NOT_ALLOWED" in refused("people", "rm", "alice", "--port", process.line, "--key", files / key)
    assert [e["name"] for e in told("people", "list", "--port", process.line)["people"]] == ["alice"]


def test_nobody_of_a_name_cannot_be_taken_off(at: tuple[object, ...], refused: Refused) -> None:
    said = refused("people", "rm", "carol", *at)
    assert "nobody of that name is there, or nobody at all; expected a name of hyper-mcu people list" in said


def test_people_that_the_device_would_not_take_are_not_sent(
    process: Process, at: tuple[object, ...], files: Path, tmp_path: Path, refused: Refused
) -> None:
    assert "stranger: of another network than the firmware of host" in refused("send", files / "stranger.bin", *at)
    damaged = bytearray((files / "alice.bin").read_bytes())
    damaged[300] ^= 1
    (tmp_path / "damaged.bin").write_bytes(damaged)
    assert f"{tmp_path}/damaged.bin: damaged" in refused("send", tmp_path / "damaged.bin", *at)
    (tmp_path / "cut.bin").write_bytes(damaged[:200])
    assert f"{tmp_path}/cut.bin: cut short" in refused("send", tmp_path / "cut.bin", *at)


def test_an_encrypted_person_is_taken_by_a_board_that_decrypts_and_not_sent_to_others(
    process: Process, at: tuple[object, ...], files: Path, told: Told
) -> None:
    pytest.importorskip("cryptography", reason="needs hyper-mcu[device]: cryptography")
    assert told("send", files / "alice.bin", *at, "--encrypt")["encrypted"] is True
    assert told("validate", files / "alice.bin", *at, "--images", 1)["identical"] is True
    with client(process) as d, pytest.raises(UserError, match="host cannot decrypt; expected no --encrypt"):
        sealed_for(ALICE, d, replace(d.info(), cipher=False), encrypt=True)


def test_nobody_is_sealed_above_a_counter_that_was_made_up_on_the_way(process: Process) -> None:
    """Else who holds the wire, and no key, could have the key's owner leave a device without a number for anybody."""
    with client(process) as d:
        for counter in (2**31, 2**32 - 2, 2**32 - 1):
            with pytest.raises(UserError, match=f"a counter that no device comes to .*, got {counter}$"):
                sealed_for(ALICE, d, replace(d.info(), counter=counter))
        d.load(sealed_for(ALICE, d, replace(d.info(), counter=2**31 - 1)))
        assert [e.counter for e in d.people()] == [2**31]


def test_a_key_is_given_once(program: Path, tmp_path: Path, files: Path, told: Told, refused: Refused) -> None:
    with Board(program, tmp_path, key=None).start() as device:
        at = ("--port", device.line, "--key", files / "key.json")
        assert "host has no key yet; expected hyper-mcu key set FILE, once" in refused("send", files / "alice.bin", *at)
        said = told("key", "set", files / "key.json", "--port", device.line)
        assert (said["number"], said["fingerprint"], said["target"]) == (1, KEY.fingerprint, "host")
        assert KEY.key.hex() not in json.dumps(said)
        again = refused("key", "set", files / "other.json", "--port", device.line)
        assert "has a key, which cannot be set again" in again
        assert told("send", files / "alice.bin", *at)["counter"] == 1
