"""A device's key: 32 random bytes and a number, in a file that its owner alone may read; and the keys derived from it.

Each use has a key of its own, so that what one of them gives away helps with no other: firmware/STORE.md, "Sealed
person".
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.files import check_place
from hyper_mcu.codegen.files import read as read_file

KEY_BYTES = 32
MOST = 2**32 - 1  # of a number
FORMAT = 1
FORM = "a key file of hyper-mcu key new"
SEAL, ENCRYPT, LINK = b"hyper-mcu seal", b"hyper-mcu encrypt", b"hyper-mcu link"  # as hm_seal.c has them
PERMUTE, FINGERPRINT = b"hyper-mcu permute", b"hyper-mcu fingerprint"  # of the host alone


@dataclass(frozen=True)
class Key:
    """A device's key of 32 bytes and its number, 1…2^32−1: a device refuses what is sealed under another number.

    Raises UserError.
    """

    number: int
    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if type(self.number) is not int or not 0 < self.number <= MOST:
            raise UserError("key", "number", "1…2^32−1", repr(self.number))
        if type(self.key) is not bytes or len(self.key) != KEY_BYTES or not any(self.key):
            raise UserError("key", "secret", f"{KEY_BYTES} bytes, not all zeros", "others")

    def derived(self, label: bytes, more: bytes = b"") -> bytes:
        """The key of one use, 32 bytes: HMAC-SHA-256 under this one of label ‖ number ‖ more."""
        return hmac.digest(self.key, label + self.number.to_bytes(4, "little") + more, "sha256")

    @property
    def fingerprint(self) -> str:
        """What tells keys apart and says nothing of them, 16 hexadecimal digits."""
        return self.derived(FINGERPRINT)[:8].hex()


def new(number: int = 1) -> Key:
    """A random key; raises UserError for a number out of range."""
    return Key(number, secrets.token_bytes(KEY_BYTES))


def save(key: Key, path: Path) -> None:
    """Writes a key to a new file, mode 600. Raises UserError where it cannot be, and where there is a file: the devices
    that have its key would be lost with it."""
    check_place(path)
    said = {"format": FORMAT, "number": key.number, "key": key.key.hex(), "fingerprint": key.fingerprint}
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        what = "there is a file, which may be a device's only key"
        raise UserError(path, what, "a new name", "one that is taken") from None
    except OSError as e:
        raise _unwritten(path, e) from e
    try:
        with os.fdopen(handle, "w", encoding="ascii") as f:
            f.write(json.dumps(said, indent=2) + "\n")
            f.flush()
            os.fsync(handle)
    except BaseException as e:
        path.unlink(missing_ok=True)
        if not isinstance(e, OSError):
            raise
        raise _unwritten(path, e) from e


def _unwritten(path: Path, e: OSError) -> UserError:
    return UserError(path, "cannot write", "space and permission", (e.strerror or str(e)).lower())


def read(path: Path) -> Key:
    """The key in a file. Raises UserError where it cannot be read, is none, is damaged, and where others than its owner
    may read it."""
    try:
        said = json.loads(read_file(path, FORM).decode("ascii"), object_pairs_hook=_once)
    except (ValueError, RecursionError) as e:
        raise UserError(path, "no key file", FORM, "bytes" if isinstance(e, UnicodeError) else "another text") from e
    key, mode = _key(path, said), stat.S_IMODE(path.stat().st_mode)
    if os.name == "posix" and mode & 0o077:
        raise UserError(path, "others may read this key", f"mode 600; chmod 600 {path}", f"{mode:o}")
    return key


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a name twice")
    return dict(pairs)


def _key(path: Path, said: Any) -> Key:
    """The key that the JSON of a key file says; raises UserError."""
    names = {"format", "number", "key", "fingerprint"}
    if not isinstance(said, dict) or said.keys() != names:
        got = ", ".join(map(str, said)) or "nothing" if isinstance(said, dict) else type(said).__name__
        raise UserError(path, "no key file", FORM, got)
    if type(said["format"]) is not int or said["format"] != FORMAT:
        raise UserError(path, "key file of another version", f"format {FORMAT}", f"format {said['format']}")
    digits = said["key"]
    if not isinstance(digits, str) or len(digits) != 2 * KEY_BYTES or set(digits) - set("0123456789abcdef"):
        raise UserError(path, "damaged key", f"{2 * KEY_BYTES} hexadecimal digits", "something else")
    try:
        key = Key(said["number"], bytes.fromhex(digits))
    except UserError as e:
        raise UserError(path, f"damaged key, {e.what}", e.expected, e.got) from e
    if said["fingerprint"] != key.fingerprint:
        raise UserError(path, "damaged key", f"the fingerprint {key.fingerprint} of its bytes", said["fingerprint"])
    return key
