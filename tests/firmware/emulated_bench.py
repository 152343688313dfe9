"""A board in QEMU as tests have it: its image, its flash, a power cut; and its verdicts against the oracle's."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hyper_mcu.codegen import oracle
from hyper_mcu.codegen.person import Person
from hyper_mcu.device.boards import BOARDS
from hyper_mcu.device.client import Device, layer_crcs
from hyper_mcu.device.emulated import Emulated
from hyper_mcu.device.keys import Key

STM32, M4 = "netduinoplus2-qemu", "m4"
PATIENCE = 5.0  # with an emulator on a machine that does other things too
KEY = Key(7, bytes(range(32)))
POWER = "hm-power.bin"  # of firmware/ports/cortex_m/flash_file.c

needs_emulator = [
    pytest.mark.skipif(not shutil.which("arm-none-eabi-gcc"), reason="no arm-none-eabi-gcc on PATH"),
    pytest.mark.skipif(not shutil.which("qemu-system-arm"), reason="no qemu-system-arm on PATH"),
]


@dataclass(frozen=True)
class Bench:
    """An image of an application, and a folder for the flash of the board that it runs on."""

    board: str
    program: Path
    folder: Path

    def start(self) -> Emulated:
        """The board, switched on."""
        return Emulated(BOARDS[self.board], self.program, self.folder)

    def on(self, running: Emulated) -> Device:
        """Its line, and the device's key."""
        return Device(running.line, KEY, patience=PATIENCE)


Images = Callable[..., Bench]


def agrees(device: Device, p: Person, shown: NDArray[np.uint8]) -> bool:
    """Asks about an image; asserts that verdict, logit and every layer are the oracle's. Returns the verdict."""
    want = oracle.run(p.qnet, shown)
    said = device.verify(shown, p.name, layers=True)
    assert (said.logit, said.threshold, said.layers) == (want.logit, p.threshold, layer_crcs(want))
    assert said.match is (want.logit >= p.threshold)
    return said.match


def cut_power_after(folder: Path, operations: int | None) -> None:
    """How many words of flash the board started next may program, or units erase, before its power fails in the midst
    of one; None: as many as it likes."""
    (folder / POWER).unlink(missing_ok=True)
    if operations is not None:
        (folder / POWER).write_bytes(struct.pack("<I", operations))
