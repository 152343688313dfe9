"""What a device says: of itself, of the people on it, of an image; and a layer's check sums against the oracle's."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hyper_mcu.codegen.errors import UserError

if TYPE_CHECKING:
    from hyper_mcu.codegen.oracle import Result


@dataclass(frozen=True)
class Info:
    """What a device says of itself. architecture: the first 32 bits of the hash of the network that it runs. key: the
    number of its key, 0: none yet. wait: seconds that its gate stays shut. stack: most bytes ever in use, 0: not
    known. cipher: whether it takes encrypted people."""

    protocol: int
    replay: bool
    selftest: bool
    cipher: bool
    abi: int
    architecture: int
    layers: int
    rows: int
    row_bytes: int
    session_bytes: int
    places: int
    people: int
    slot_bytes: int
    largest: int
    partition: int
    counter: int
    key: int
    failures: int
    wait: int
    stack: int
    hz: int
    board: str
    firmware: str

    @property
    def free(self) -> int:
        """Places for more people."""
        return self.places - self.people


@dataclass(frozen=True)
class Entry:
    """A person on a device. id: hex, key and counter as it was sealed; size in bytes, the seal included."""

    place: int
    name: str
    id: str
    key: int
    counter: int
    size: int


@dataclass(frozen=True)
class Verdict:
    """name: whose, of all that were asked; layers: CRC-32 of each layer's bytes, profile: cycles of each layer, both
    empty unless they were asked for; cycles of the whole at `hz`."""

    name: str
    match: bool
    decision: int
    logit: int
    threshold: int
    cycles: int
    hz: int
    layers: tuple[int, ...] = ()
    profile: tuple[int, ...] = ()


def layer_crcs(result: Result) -> tuple[int, ...]:
    """What a device's layers are compared with: CRC-32 of the oracle's canonical bytes."""
    return tuple(zlib.crc32(layer.tobytes()) for layer in result.layers)


def first_difference(device: Sequence[int], oracle: Sequence[int]) -> int | None:
    """The first layer whose bytes differ; None where all are the same."""
    if len(device) != len(oracle):
        raise UserError("layers", "their number", str(len(oracle)), len(device))
    return next((i for i, (a, b) in enumerate(zip(device, oracle, strict=True)) if a != b), None)
