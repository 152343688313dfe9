"""From --port and --key to a device that answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hyper_mcu.device.boards import BOARDS
from hyper_mcu.device.client import Device
from hyper_mcu.device.find import port_named
from hyper_mcu.device.keys import read


@contextmanager
def reach(port: str, key_file: Path | None = None, family: str = "") -> Iterator[Device]:
    """The device on `port`, or "auto"; key_file: as `hyper-mcu key new` writes it.

    Raises UserError with the remedy where a file, the port or the device is not as it should be.
    """
    key = read(key_file) if key_file else None
    with Device(port_named(port, family), key) as device:
        yield device


def counts(board: str) -> bool:
    """Whether the cycles that a board of this name tells are those of a chip: an emulator's mean nothing."""
    return board not in BOARDS or not BOARDS[board].is_emulated
