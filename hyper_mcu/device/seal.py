"""Sealed people: a person.bin in an envelope that one device alone accepts. Their bytes: firmware/STORE.md, "Sealed
person"; firmware/device/hm_seal.c opens them on a device, and `open_` is its twin.
"""

from __future__ import annotations

import hmac
import re
import secrets
import struct
from dataclasses import dataclass
from typing import NoReturn

from hyper_mcu.codegen import install
from hyper_mcu.codegen.errors import MissingToolError, UserError
from hyper_mcu.codegen.person import NAME_LENGTH, Person
from hyper_mcu.codegen.person_bin import device_name, pack
from hyper_mcu.device.codes import SAID, Code
from hyper_mcu.device.keys import ENCRYPT, MOST, SEAL, Key

MAGIC, FORMAT, ENCRYPTED = b"HMsp", 1, 1
HEAD = struct.Struct("<4s 6I 4x 16s 16s 48s 16x")
TAG, ID, NONCE = 32, 16, 16


@dataclass(frozen=True)
class Sealed:
    """What a sealed person says of itself. payload: person.bin as a device takes it, or what the cipher made of it;
    number: of the key; nonce: zeros where nothing is encrypted."""

    id: bytes
    name: str
    number: int
    counter: int
    encrypted: bool
    nonce: bytes
    payload: bytes


def seal(person: Person | bytes, key: Key, counter: int, *, id: bytes | None = None, encrypt: bool = False) -> bytes:
    """A person, or what `person_bin.pack(…, for_device=True)` makes of one, sealed for the devices that have this key.

    counter: 1…2^32−1, above those that the device accepted before. id: 16 bytes that are this person's on all devices,
    random where there are none yet. Raises UserError for another counter, id or blob, MissingToolError where it is to
    be encrypted and there is no cipher.
    """
    if type(counter) is not int or not 0 < counter <= MOST:
        raise UserError("seal", "rollback counter", "1…2^32−1", counter)
    blob = pack(person, for_device=True) if isinstance(person, Person) else bytes(person)
    name = device_name(blob, "seal")
    own = secrets.token_bytes(ID) if id is None else id
    if len(own) != ID:
        raise UserError("seal", "id", f"{ID} bytes", len(own))
    nonce = secrets.token_bytes(NONCE) if encrypt else bytes(NONCE)
    payload = _crypt(key, nonce, blob) if encrypt else blob
    total = HEAD.size + len(payload) + TAG
    head = HEAD.pack(
        MAGIC, FORMAT, total, ENCRYPTED if encrypt else 0, key.number, counter, len(payload),
        own, nonce, name.encode("ascii"),
    )  # fmt: skip
    return head + payload + tag(key, head + payload)


def read(data: bytes, where: str = "sealed person") -> Sealed:
    """Takes a sealed person apart, as hm_seal_read does: no key is asked. Raises UserError."""
    if len(data) <= HEAD.size + TAG or len(data) % 4:
        _refuse(where, Code.NOT_SEALED, f"{len(data)} bytes")
    magic, form, total, flags, number, counter, size, own, nonce, name = HEAD.unpack_from(data)
    words = name.rstrip(b"\0")
    checks = {
        "its beginning": magic == MAGIC,
        "its format": form == FORMAT,
        "its size": total == len(data) and size == len(data) - HEAD.size - TAG,
        "its flags": flags in (0, ENCRYPTED),
        "its nonce": flags == ENCRYPTED or nonce == bytes(NONCE),
        "its key number": number > 0,
        "its counter": counter > 0,
        "its reserved bytes": data[28:32] == bytes(4) and data[112:128] == bytes(16),
        "its name": re.fullmatch(rb"[A-Za-z_][A-Za-z0-9_]*", words) is not None and len(words) <= NAME_LENGTH,
    }
    if wrong := [what for what, right in checks.items() if not right]:
        _refuse(where, Code.NOT_SEALED, f"one with another {wrong[0].removeprefix('its ')}")
    payload = data[HEAD.size : -TAG]
    return Sealed(own, words.decode("ascii"), number, counter, flags == ENCRYPTED, nonce, payload)


def open_(data: bytes, key: Key, counter: int = 0, where: str = "sealed person") -> Sealed:
    """Opens a sealed person as a device does that has this key and accepted `counter` last; the payload is decrypted.

    Raises UserError with the device's reason, in the device's order, MissingToolError as `seal` does.
    """
    if len(data) <= HEAD.size + TAG:
        _refuse(where, Code.NOT_SEALED, f"{len(data)} bytes")
    right = hmac.compare_digest(tag(key, data[:-TAG]), data[-TAG:])
    found = read(data, where)
    if found.number != key.number:
        _refuse(where, Code.WRONG_KEY, f"key {found.number} for key {key.number}")
    if not right:
        _refuse(where, Code.WRONG_SEAL, "another tag")
    if found.counter <= counter:
        _refuse(where, Code.OLD, f"{found.counter} after {counter}")
    if not found.encrypted:
        return found
    return Sealed(**{**vars(found), "payload": _crypt(key, found.nonce, found.payload)})


def tag(key: Key, data: bytes) -> bytes:
    """The tag of all that stands before it, 32 bytes."""
    return hmac.digest(key.derived(SEAL), data, "sha256")


def _crypt(key: Key, nonce: bytes, data: bytes) -> bytes:
    """AES-256-CTR, which is its own inverse; nonce: the first counter block."""
    try:
        from cryptography.hazmat.primitives.ciphers import Cipher
        from cryptography.hazmat.primitives.ciphers.algorithms import AES
        from cryptography.hazmat.primitives.ciphers.modes import CTR
    except ImportError as e:
        raise MissingToolError("encryption", "needs cryptography", install.extra("device"), "no such package") from e
    cipher = Cipher(AES(key.derived(ENCRYPT)), CTR(nonce)).encryptor()
    return cipher.update(data) + cipher.finalize()


def _refuse(where: str, code: Code, got: str) -> NoReturn:
    what, expected = SAID[code]
    raise UserError(where, what, expected, got)
