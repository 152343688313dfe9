"""Sealing a person for a device that is there, and finding out before whether it would take them."""

from __future__ import annotations

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.layout import ABI, architecture
from hyper_mcu.codegen.person import Person
from hyper_mcu.device.client import Device, Info
from hyper_mcu.device.seal import seal


def sealed_for(person: Person, device: Device, info: Info, *, id: bytes | None = None, encrypt: bool = False) -> bytes:
    """`person`, sealed by the device's own key with a counter above all that it accepted.

    Raises UserError for a person of another network, a key that is not the device's, a board that cannot decrypt, and a
    counter that was made up.
    """
    spec = person.qnet.spec
    if (info.abi, info.architecture) != (ABI, architecture(spec)):
        want, got = (f"ABI {a}, architecture {b:08x}" for a, b in ((info.abi, info.architecture), _of(person)))
        raise UserError(person.name, f"of another network than the firmware of {info.board}", f"{want}; {_FLASH}", got)
    if info.key == 0:
        raise UserError(device.port, f"{info.board} has no key yet", "hyper-mcu key set FILE, once", "none")
    if device.key is None or info.key != device.key.number:
        own = device.key.number if device.key else "none"
        raise UserError(device.port, "another key", f"a key file with number {info.key}", own)
    if encrypt and not info.cipher:
        raise UserError(device.port, f"{info.board} cannot decrypt", "no --encrypt", "--encrypt")
    if info.counter >= MOST_SENT:
        raise UserError(device.port, "a counter that no device comes to by what is sent", _LIED, info.counter)
    return seal(person, device.key, info.counter + 1, id=id, encrypt=encrypt)


_FLASH = "enrol again, or hyper-mcu flash --person"
# Who holds the wire may tell any counter. One above it would be sealed, and the device take nobody below that: at the
# end of the numbers nobody ever again. Half of them stay for who has found out.
MOST_SENT = 2**31
_LIED = "a counter below 2^31, over a line that nobody else holds; or hyper_mcu.device.seal with a counter of your own"


def _of(person: Person) -> tuple[int, int]:
    return ABI, architecture(person.qnet.spec)
