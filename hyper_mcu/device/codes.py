"""What a device answers where something is wrong: firmware/device/hm_code.h, and what a person can do about it."""

from __future__ import annotations

from enum import IntEnum

from hyper_mcu.codegen.errors import UserError

MOST_TEXT = 80  # bytes of a device's own words


class Code(IntEnum):
    """hm_code, with the statuses of the engine (hm_status) below 32."""

    OK = 0
    NULL_POINTER = 1
    NOT_BEGUN = 2
    WRONG_ROW_COUNT = 3
    WRONG_ENGINE = 4
    CORRUPT_PERSON = 5
    WRONG_ANSWER = 6
    NOT_A_PERSON = 7
    WRONG_FORMAT = 8
    WRONG_SIZE = 9
    MISALIGNED = 10
    FLASH = 32
    FULL = 33
    NO_PERSON = 34
    NAME_TAKEN = 35
    TOO_LARGE = 36
    NOT_SEALED = 48
    NO_KEY = 49
    HAS_KEY = 50
    WRONG_KEY = 51
    WRONG_SEAL = 52
    OLD = 53
    NO_CIPHER = 54
    UNKNOWN = 64
    WRONG_LENGTH = 65
    WRONG_ORDER = 66
    WRONG_OFFSET = 67
    NOT_ALLOWED = 68
    WRONG_DIGEST = 69
    NO_RANDOM = 70
    NOT_HERE = 71
    WRONG_VALUE = 72
    LOCKED = 80
    NO_FRAME = 81
    NO_FACE = 82


# What is wrong, and what was expected: the device's own words, and the remedy.
SAID: dict[Code, tuple[str, str]] = {
    Code.NULL_POINTER: ("a fault of the firmware", "no null pointer"),
    Code.NOT_BEGUN: ("a fault of the firmware", "rows after hm_begin"),
    Code.WRONG_ROW_COUNT: ("an image of another size", "as many bytes as its network takes"),
    Code.WRONG_ENGINE: (
        "the person is of another architecture or ABI",
        "a person enrolled for this firmware's network; enrol again, or flash the firmware of the person's",
    ),
    Code.CORRUPT_PERSON: ("the person is damaged", "a person whose check sums hold; enrol again"),
    Code.WRONG_ANSWER: (
        "the self-test of the person failed",
        "the known answer; validate tells the first layer that differs",
    ),
    Code.NOT_A_PERSON: ("what was sealed is no person.bin", "a person.bin as enroll writes it"),
    Code.WRONG_FORMAT: ("a person.bin of another version", "one of this version; enrol again"),
    Code.WRONG_SIZE: ("the person.bin was cut or grew", "a whole one; send it again"),
    Code.MISALIGNED: ("a fault of the firmware", "people at multiples of 4 bytes"),
    Code.FLASH: ("its flash did not take what was written", "a working flash; send again, or look at the supply"),
    Code.FULL: ("no place is free", "a free place; hyper-mcu people rm NAME"),
    Code.NO_PERSON: ("nobody of that name is there, or nobody at all", "a name of hyper-mcu people list"),
    Code.NAME_TAKEN: ("another person has that name", "another name, or --replace"),
    Code.TOO_LARGE: ("the person is larger than a place", "a smaller network, or firmware with larger places"),
    Code.NOT_SEALED: ("what came is no sealed person", "a person sealed by this version of hyper-mcu"),
    Code.NO_KEY: ("the device has no key yet", "a key; hyper-mcu key new FILE, then key set FILE, once"),
    Code.HAS_KEY: ("the device has a key, which cannot be set again", "a device without a key"),
    Code.WRONG_KEY: ("sealed under another key number", "a seal by the key that the device has now"),
    Code.WRONG_SEAL: ("not sealed for this device, or changed since", "a seal by this device's key"),
    Code.OLD: ("older than what the device accepted before", "a higher rollback counter; seal again"),
    Code.NO_CIPHER: ("encrypted, and this board cannot decrypt", "a person sealed without encryption"),
    Code.UNKNOWN: ("a request that the firmware does not know", "firmware of this version; flash it again"),
    Code.WRONG_LENGTH: ("a request of a wrong length", "firmware of this version; flash it again"),
    Code.WRONG_ORDER: ("a request out of order", "that nothing restarted it meanwhile; try again"),
    Code.WRONG_OFFSET: ("a part out of order", "that nobody else talks to the device; try again"),
    Code.NOT_ALLOWED: ("refused", "this device's key"),
    Code.WRONG_DIGEST: ("what arrived is not what was announced", "the same bytes; send again"),
    Code.NO_RANDOM: ("the board has no random numbers", "a board with them"),
    Code.NOT_HERE: ("this build of the firmware does not have that", "firmware built for it (selftest or replay)"),
    Code.WRONG_VALUE: ("a field of the request is out of its range", "a name as enroll takes them"),
    Code.LOCKED: ("too many attempts", "to wait until the delay is over"),
    Code.NO_FRAME: ("no image from the camera", "a camera that works"),
    Code.NO_FACE: ("landmarks that make no face", "a face"),
}


def _own_words(text: bytes) -> str:
    """What a device says behind a code that is none of these, printable whatever it is."""
    words = "".join(chr(b) if 32 <= b < 127 else "?" for b in text[:MOST_TEXT])
    return f'the device says "{words}"' if words else "an answer of no known meaning"


class DeviceError(UserError):
    """A device's refusal; `code` is its number, text: what it says behind that."""

    def __init__(self, where: str, code: int, doing: str = "", text: bytes = b"") -> None:
        self.code = code
        known = code in set(Code)
        what, remedy = SAID[Code(code)] if known else (_own_words(text), "firmware of this version")
        name = Code(code).name if known else "unknown"
        super().__init__(where, f"{doing}: {what}" if doing else what, remedy, f"{name} ({code})")

    def __reduce__(self) -> tuple[type[UserError], tuple[str, str, str, str]]:
        """So that it travels between processes, as the error it is for a user."""
        return UserError, (self.where, self.what, self.expected, self.got)
