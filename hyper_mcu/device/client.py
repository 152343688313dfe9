"""A device from the host's side: who is on it, sending and deleting people, asking it about images.

    with Device("tcp:127.0.0.1:4000", key) as device:
        device.load(sealed)
        print(device.verify(crop, name).match)

Every call raises UserError: LineError where the line is gone, DeviceError (with its code) where the device refuses.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import struct
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from hyper_mcu.codegen.errors import UserError, one_line
from hyper_mcu.codegen.netspec import MAX_LAYERS
from hyper_mcu.device.codes import Code, DeviceError
from hyper_mcu.device.frames import PAYLOAD, Request
from hyper_mcu.device.keys import LINK, Key
from hyper_mcu.device.line import RATES, SECONDS, LineError, connect
from hyper_mcu.device.said import Entry as Entry
from hyper_mcu.device.said import Info as Info
from hyper_mcu.device.said import Verdict as Verdict
from hyper_mcu.device.said import first_difference as first_difference
from hyper_mcu.device.said import layer_crcs as layer_crcs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


T = TypeVar("T")

VERSION = 1  # of the protocol
MOST_PEOPLE = 64  # on a device
CHALLENGE = 16  # bytes
MATCH, NO_MATCH = 0x5AC369A5, 0xA53C965A
SLOW = 5.0  # seconds of a request that erases flash, or runs f
PART, LEAST_PART = PAYLOAD - 4, 16  # bytes of a blob or an image in one request
LASTING = 8  # how often anything is begun
BACK = 10.0  # seconds that a device has to come back, restarted or plugged in again
_SEALED_NAME = slice(64, 112)  # STORE.md, "Sealed person"
_INFO = struct.Struct("<2B17I")
_ENTRY = struct.Struct("<I48s16s3I")
_VERDICT = struct.Struct("<IiiII48s")
# Of a device that was restarted meanwhile, and of an upload that went on above what two power cuts had left.
_BEGIN_AGAIN = (Code.WRONG_ORDER, Code.WRONG_OFFSET, Code.WRONG_DIGEST)


def answered(key: Key, challenge: bytes, request: Request, payload: bytes) -> bytes:
    """The payload of an authenticated request, with its tag: firmware/LINK.md, "Who may"."""
    return payload + hmac.digest(key.derived(LINK), challenge + bytes([request]) + payload, "sha256")


class Device:
    """A device on a line. key: the device's, for what needs an answered challenge: `load`, `delete`, and `verify`
    unless it is a replay build; None: without.

    A line that fails is opened again, and what was being done is done again: uploads go on where they were.
    """

    def __init__(
        self, port: str, key: Key | None = None, *, rates: Sequence[int] = RATES, patience: float = 1.0
    ) -> None:
        """Opens the line and greets the device. rates: bits a second, tried in order; patience: factor of all waits."""
        self.port, self.key = port, key
        self._rates, self._patience = rates, patience
        self._part = PART
        self.talk = connect(port, rates, patience)

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *fault: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the line."""
        self.talk.close()

    def ping(self) -> float:
        """Seconds of a round trip."""
        begin = time.monotonic()
        self._lasting(lambda: self._ask("ping", Request.PING, b"hyper-mcu"))
        return time.monotonic() - begin

    def info(self) -> Info:
        """What the device says of itself; UserError for another version of the protocol."""
        said = self._lasting(lambda: self._ask("info", Request.INFO))
        if said[:1] != bytes([VERSION]):
            expected = f"version {VERSION}; flash this version's firmware"
            raise UserError(self.port, "another protocol", expected, f"version {said[0] if said else 'none'}")
        protocol, flags, *words = _INFO.unpack_from(self._whole(said, _INFO.size))
        board, firmware, *_ = (said[_INFO.size :] + b"\0\0").split(b"\0")
        replay, selftest, cipher = (bool(flags & bit) for bit in (1, 2, 4))
        return Info(protocol, replay, selftest, cipher, *words, *map(_text, (board, firmware)))

    def people(self) -> tuple[Entry, ...]:
        """Who is on it, in the order of their places."""
        return self._lasting(self._people)

    def load(
        self,
        sealed: bytes,
        *,
        name: str | None = None,
        replace: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Sends a sealed person; name: as the seal has it. replace: the one of that name, who stays until the new one
        is whole, accepted and known to work. progress: called with the bytes that are there, and of how many."""
        name = sealed[_SEALED_NAME].rstrip(b"\0").decode("ascii", "backslashreplace") if name is None else name
        asked = struct.pack("<BI", replace, len(sealed)) + hashlib.sha256(sealed).digest() + _name(name)

        def send() -> None:
            doing = f"sending {name}"
            at = self._next(self._authenticated(doing, Request.LOAD, asked, SLOW))
            while at < len(sealed):
                if progress:
                    progress(at, len(sealed))
                at = self._part_taken(doing, Request.LOAD_PART, sealed, at)
            self._ask(doing, Request.LOAD_END, b"", SLOW)
            if progress:
                progress(len(sealed), len(sealed))

        self._lasting(send)

    def delete(self, name: str) -> None:
        """Deletes a person; DeviceError NO_PERSON where there is none."""
        sent = False

        def remove() -> None:
            nonlocal sent
            doing, payload = f"deleting {name}", _name(name)
            said, before, sent = self._tagged(doing, Request.DELETE, payload), sent, True
            try:
                self._ask(doing, Request.DELETE, said, SLOW)
            except DeviceError as e:
                if e.code != Code.NO_PERSON or not before:  # else the first time did it, and its answer was lost
                    raise

        self._lasting(remove)

    def set_key(self, key: Key) -> None:
        """Gives a device that has none its key, over a line that nobody else hears."""
        said, sent = struct.pack("<I", key.number) + key.key, False

        def give() -> None:
            nonlocal sent
            before, sent = sent, True
            try:
                self._ask("setting the key", Request.SET_KEY, said, SLOW)
            except DeviceError as e:
                if e.code != Code.HAS_KEY or not before or not self._has(key):
                    raise  # else the first time did it, and its answer was lost

        self._lasting(give)
        self.key = key

    def _has(self, key: Key) -> bool:
        """Whether the device's key is this one: it then says that somebody whom nobody has sent is not there."""
        doing, nobody = "trying the key", _name(f"nobody_{secrets.token_hex(16)}")
        try:
            self._ask(doing, Request.DELETE, self._tagged(doing, Request.DELETE, nobody, key), SLOW)
        except DeviceError as e:
            return e.code == Code.NO_PERSON
        return False

    def verify(self, crop: NDArray[np.uint8], name: str = "", *, layers: bool = False) -> Verdict:
        """Asks about an aligned crop, uint8 (height, width, 3), whether it shows `name`, or "": who of all people, the
        furthest above their threshold. Opens nothing. layers: those of a named person too, on a selftest build."""
        if layers and not name:
            raise UserError(self.port, "layers of all people", "the name of one", "none")
        return self._lasting(lambda: self._verify(crop.tobytes(), name, layers))

    def known_answer(self, name: str) -> tuple[int, int]:
        """Lets a person's self-test run; cycles, and how many a second has. DeviceError WRONG_ANSWER where it fails."""
        said = self._lasting(lambda: self._ask(f"self-test of {name}", Request.KAT, _name(name), SLOW))
        cycles, hz = struct.unpack_from("<II", self._whole(said, 8))
        return cycles, hz

    def _people(self) -> tuple[Entry, ...]:
        found, first, places = list[Entry](), 0, 1
        while first < places:
            said = self._ask("list", Request.LIST, struct.pack("<I", first))
            places, after = struct.unpack_from("<2I", self._whole(said, 8))
            if places > MOST_PEOPLE or len(said[8:]) % _ENTRY.size:
                got = f"{places} places, {len(said)} bytes"
                raise UserError(self.port, "a list that is none", f"{MOST_PEOPLE} places at most, whole entries", got)
            for place, name, ident, key, counter, size in _ENTRY.iter_unpack(said[8:]):
                found.append(Entry(place, _text(name), ident.hex(), key, counter, size))
            if after <= first:
                break
            first = after
        return tuple(found)

    def _verify(self, image: bytes, name: str, layers: bool) -> Verdict:
        doing = f"verifying {name}".rstrip()
        begin = self._ask if self.info().replay else self._authenticated
        said = begin(doing, Request.VERIFY, _name(name), SLOW)
        people, size = struct.unpack_from("<2I", self._whole(said, 8))
        if size != len(image):
            raise UserError(self.port, f"{doing}: an image of another size", f"{size} bytes", len(image))
        if not 0 < people <= MOST_PEOPLE:
            raise UserError(self.port, f"{doing}: a number of people that is none", f"1…{MOST_PEOPLE}", people)
        shown, at = image * people, 0
        while at < len(shown):
            at = self._part_taken(doing, Request.VERIFY_ROWS, shown, at)
        said = self._ask(doing, Request.VERIFY_END, b"", SLOW)
        decision, logit, threshold, cycles, hz, who = _VERDICT.unpack_from(self._whole(said, _VERDICT.size))
        if decision not in (MATCH, NO_MATCH) or (decision == MATCH) != (logit >= threshold):
            got = f"decision {decision:08x}, logit {logit}, threshold {threshold}"
            raise UserError(self.port, f"{doing}: a decision that is none", f"{MATCH:08x} iff logit ≥ threshold", got)
        crcs = self._layers(doing, Request.LAYERS) if layers else ()
        profile = self._layers(doing, Request.PROFILE) if layers else ()
        return Verdict(_text(who), decision == MATCH, decision, logit, threshold, cycles, hz, crcs, profile)

    def _layers(self, doing: str, request: Request) -> tuple[int, ...]:
        words, layers = list[int](), 1
        while len(words) < layers:
            said = self._ask(doing, request, struct.pack("<I", len(words)))
            (layers,) = struct.unpack_from("<I", self._whole(said, 8))
            if layers > MAX_LAYERS:
                raise UserError(self.port, f"{doing}: layers of no network", f"{MAX_LAYERS} at most", layers)
            words += [word for (word,) in struct.iter_unpack("<I", said[4 : len(said) // 4 * 4])]
        return tuple(words)

    def _ask(self, doing: str, request: Request, payload: bytes = b"", seconds: float = SECONDS) -> bytes:
        """What the response says behind its code; raises DeviceError for a refusal."""
        said = self.talk.ask(request, payload, seconds=seconds)
        if said[0] != Code.OK:
            raise DeviceError(self.port, said[0], doing, said[1:])
        return said[1:]

    def _authenticated(self, doing: str, request: Request, payload: bytes, seconds: float = SECONDS) -> bytes:
        return self._ask(doing, request, self._tagged(doing, request, payload), seconds)

    def _tagged(self, doing: str, request: Request, payload: bytes, key: Key | None = None) -> bytes:
        """The payload with the answer to a challenge of 16 bytes: to a longer one, whose end looks like the beginning
        of a payload, it would do for another request. key: instead of the device's."""
        if (key := key or self.key) is None:
            raise UserError(self.port, f"{doing} needs the device's key", "--key FILE", "none")
        challenge = self._ask(doing, Request.CHALLENGE)
        if len(challenge) != CHALLENGE:
            raise UserError(self.port, "a challenge that is none", f"{CHALLENGE} bytes", len(challenge))
        return answered(key, challenge, request, payload)

    def _part_taken(self, doing: str, request: Request, data: bytes, at: int) -> int:
        """Sends the part of `data` at an offset; the offset behind it, which the device has to say too."""
        end = min(at + self._part, len(data))
        said = self._next(self._ask(doing, request, struct.pack("<I", at) + data[at:end], SLOW))
        if said != end:
            raise UserError(self.port, f"{doing}: a part that was not taken as it was sent", f"offset {end}", said)
        return said

    def _next(self, said: bytes) -> int:
        (at,) = struct.unpack_from("<I", self._whole(said, 4))
        return int(at)

    def _whole(self, said: bytes, n: int) -> bytes:
        if len(said) < n:
            raise UserError(self.port, "an answer cut short", f"{n} bytes; flash this version's firmware", len(said))
        return said

    def _lasting(self, work: Callable[[], T]) -> T:
        """The one policy of what goes wrong on the way: a line that fails is opened again, a device that was restarted
        meanwhile (it then misses what came before) is asked from the beginning; LASTING times, then it is an error."""
        for attempt in range(LASTING):
            try:
                return work()
            except LineError:
                if attempt == LASTING - 1:
                    raise
                self._part = max(self._part // 4, LEAST_PART)  # of shorter frames more come through noise
                self._open_again()
            except DeviceError as e:
                if e.code not in _BEGIN_AGAIN or attempt == LASTING - 1:
                    raise
        raise AssertionError

    def _open_again(self) -> None:
        self.talk.close()
        end = time.monotonic() + BACK * self._patience
        while True:
            try:
                self.talk = connect(self.port, self._rates, self._patience)
                return
            except UserError:
                if time.monotonic() > end:
                    raise
            time.sleep(0.1 * self._patience)


def _name(name: str) -> bytes:
    try:
        return struct.pack("48s", name.encode("ascii"))
    except UnicodeEncodeError as e:
        raise UserError("name", "not a name", "a C identifier of letters, digits and _", repr(name)) from e


def _text(name: bytes) -> str:
    return one_line(name.rstrip(b"\0").decode("ascii", "backslashreplace"))  # it goes to a terminal
