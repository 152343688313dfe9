"""Key files: what is written is read again, by its owner alone, and any damage is named."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import threading
from pathlib import Path

import pytest
from enrolled import Command
from hypothesis import given, settings
from hypothesis import strategies as st

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.device.keys import ENCRYPT, LINK, PERMUTE, SEAL, Key, new, read, save

KEY = Key(7, bytes(range(32)))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "door.key"
    save(KEY, path)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as refused:
        read(path)
    assert "\n" not in str(refused.value)
    return str(refused.value).removeprefix(f"{path}: ")


def test_a_key_is_read_back(file: Path) -> None:
    assert read(file) == KEY
    assert json.loads(file.read_text())["key"] == KEY.key.hex()


def test_a_key_file_is_its_owners_alone(file: Path) -> None:
    assert file.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in file.parent.iterdir()] == [file.name]
    for mode in (0o640, 0o604, 0o644, 0o660):
        file.chmod(mode)
        assert refusal(file) == f"others may read this key; expected mode 600; chmod 600 {file}, got {mode:o}"


def test_new_keys_are_random_and_numbered_as_asked() -> None:
    keys = [new(), new(), new(2**32 - 1)]
    assert [k.number for k in keys] == [1, 1, 2**32 - 1]
    assert len({k.key for k in keys}) == 3
    assert all(len(k.key) == 32 for k in keys)


@pytest.mark.parametrize("number", [0, -1, 2**32, 1.0, True, "1", None])
def test_a_number_out_of_range_is_refused(number: object) -> None:
    with pytest.raises(UserError, match=r"key: number; expected 1…2\^32−1"):
        Key(number, bytes([1] * 32))  # type: ignore[arg-type]


@pytest.mark.parametrize("secret", [b"", bytes(31), bytes(32), b"1" * 33, "1" * 32, bytearray(b"1" * 32)])
def test_a_secret_of_another_kind_is_refused_and_not_shown(secret: object) -> None:
    with pytest.raises(UserError, match="key: secret; expected 32 bytes, not all zeros, got others"):
        Key(1, secret)  # type: ignore[arg-type]


def test_a_key_does_not_show_its_secret() -> None:
    assert repr(KEY) == "Key(number=7)"


def test_each_use_has_a_key_of_its_own() -> None:
    keys = {KEY.derived(label) for label in (SEAL, ENCRYPT, LINK, PERMUTE)} | {KEY.key}
    assert len(keys) == 5
    assert KEY.derived(SEAL) != Key(8, KEY.key).derived(SEAL)
    expected = hmac.new(KEY.key, b"hyper-mcu seal" + b"\7\0\0\0", hashlib.sha256).digest()
    assert KEY.derived(SEAL) == expected
    assert KEY.derived(PERMUTE, b"a") != KEY.derived(PERMUTE, b"b")


def test_a_file_that_is_there_is_never_written_over(file: Path) -> None:
    before = file.read_bytes()
    with pytest.raises(UserError, match="there is a file, which may be a device's only key; expected a new name"):
        save(new(), file)
    assert file.read_bytes() == before


def test_of_two_who_write_one_file_at_once_one_is_refused(tmp_path: Path) -> None:
    for n in range(50):
        path, keys, kept = tmp_path / f"{n}.key", (new(), new()), list[Key]()

        def write(key: Key, path: Path = path, kept: list[Key] = kept) -> None:
            with contextlib.suppress(UserError):
                save(key, path)
                kept.append(key)

        both = [threading.Thread(target=write, args=(key,)) for key in keys]
        for each in both:
            each.start()
        for each in both:
            each.join()
        assert kept == [read(path)]


def test_a_photo_is_no_key_whoever_may_read_it(tmp_path: Path) -> None:
    (tmp_path / "face.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    (tmp_path / "face.jpg").chmod(0o644)
    assert refusal(tmp_path / "face.jpg") == "no key file; expected a key file of hyper-mcu key new, got bytes"


def test_places_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for path in (tmp_path / "no" / "door.key", tmp_path, tmp_path / "link"):
        with pytest.raises(UserError, match="cannot write"):
            save(KEY, path)
    assert [p.name for p in tmp_path.iterdir()] == ["link"]


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    form = "cannot be read; expected a key file of hyper-mcu key new, got "
    assert refusal(tmp_path / "none") == form + "no such file or directory"
    assert refusal(tmp_path) == form + "a folder"


def test_every_truncation_is_refused(file: Path) -> None:
    data = file.read_bytes()
    for n in range(len(data) - 1):  # the last byte is the end of a line
        file.write_bytes(data[:n])
        assert refusal(file).startswith("no key file; expected a key file of hyper-mcu key new, got ")


def test_every_flipped_bit_is_refused_or_changes_no_key(file: Path) -> None:
    data = file.read_bytes()
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        file.write_bytes(flipped)
        try:
            found = read(file)
        except UserError:
            continue
        assert found == KEY
        assert chr(data[bit // 8]).isspace()


FIELDS = {"format": 1, "number": 7, "key": KEY.key.hex(), "fingerprint": KEY.fingerprint}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": 2}, "key file of another version; expected format 1, got format 2"),
        ({"format": True}, "key file of another version; expected format 1, got format True"),
        ({"number": 0}, "damaged key, number; expected 1…2^32−1, got 0"),
        ({"number": "7"}, "damaged key, number; expected 1…2^32−1, got '7'"),
        ({"number": True}, "damaged key, number; expected 1…2^32−1, got True"),
        ({"number": 8}, "damaged key; expected the fingerprint "),
        ({"key": KEY.key.hex().upper()}, "damaged key; expected 64 hexadecimal digits, got something else"),
        ({"key": KEY.key.hex()[:-2]}, "damaged key; expected 64 hexadecimal digits, got something else"),
        ({"key": " " + KEY.key.hex()[1:]}, "damaged key; expected 64 hexadecimal digits, got something else"),
        ({"key": None}, "damaged key; expected 64 hexadecimal digits, got something else"),
        ({"key": "1" * 64}, "damaged key; expected the fingerprint "),
        ({"key": "0" * 64}, "damaged key, secret; expected 32 bytes, not all zeros, got others"),
        ({"fingerprint": None}, f"damaged key; expected the fingerprint {KEY.fingerprint} of its bytes, got None"),
        (
            {"more": 1},
            "no key file; expected a key file of hyper-mcu key new, got format, number, key, fingerprint, more",
        ),
    ],
)
def test_fields_of_another_kind_are_refused(file: Path, change: dict[str, object], said: str) -> None:
    file.write_text(json.dumps(FIELDS | change))
    assert refusal(file).startswith(said)


@pytest.mark.parametrize("text", ["", "[]", "1", "null", "{}", '{"key": 1}', "[" * 5000, "\xff", '{"a": 1, "a": 1}'])
def test_other_files_are_refused(file: Path, text: str) -> None:
    file.write_text(text, encoding="latin-1")
    assert refusal(file).startswith("no key file; expected a key file of hyper-mcu key new, got ")


def test_a_field_twice_is_refused(file: Path) -> None:
    file.write_text(json.dumps(FIELDS)[:-1] + ', "number": 7}')
    assert refusal(file) == "no key file; expected a key file of hyper-mcu key new, got another text"


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_a_key_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.key"
    path.touch(mode=0o600)
    path.write_bytes(data)
    assert refusal(path)


def test_key_new_writes_what_key_show_tells(
    tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "door.key"
    assert command("key", "new", path, "--number", 5) == 0
    made = capsys.readouterr()
    key = read(path)
    assert made.out == f"{path}: key 5, fingerprint {key.fingerprint}\n"
    assert "keep a copy" in made.err
    assert command("key", "show", path) == 0
    assert capsys.readouterr().out == made.out
    assert command("key", "show", path, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said == {"schema_version": 1, "file": str(path), "number": 5, "fingerprint": key.fingerprint}


def test_nothing_that_key_prints_holds_the_key(
    tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "door.key"
    for words in (("new", path), ("show", path), ("show", path, "--json"), ("new", tmp_path / "other.key", "--json")):
        assert command("key", *words) == 0
    out, err = capsys.readouterr()
    for file in tmp_path.iterdir():
        assert read(file).key.hex()[:16] not in out + err


@pytest.mark.parametrize("number", ["0", "-1", "4294967296", "x"])
def test_key_new_refuses_a_number_out_of_range(tmp_path: Path, command: Command, number: str) -> None:
    assert command("key", "new", tmp_path / "door.key", "--number", number) == 2
    assert list(tmp_path.iterdir()) == []


def test_key_new_refuses_a_name_that_is_taken(file: Path, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("key", "new", file) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert read(file) == KEY


def test_key_show_names_what_is_no_key(tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "door.key").touch(mode=0o600)
    assert command("key", "show", tmp_path / "door.key") == 2
    assert capsys.readouterr().err.endswith("no key file; expected a key file of hyper-mcu key new, got another text\n")
