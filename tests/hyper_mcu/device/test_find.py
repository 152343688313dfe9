"""Finding a board's port by USB ids, and what to do where a port is not opened."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.device.find import BRIDGES, bridge_of, chosen, port_named, usb_ports
from hyper_mcu.device.remedies import cannot_open

serial = pytest.importorskip("serial", reason="needs hyper-mcu[device]: pyserial")


def info(name: str, vid: int | None = None, pid: int | None = None) -> Any:
    """A port as pyserial lists it."""
    from serial.tools.list_ports_common import ListPortInfo

    i = ListPortInfo(name)
    i.vid, i.pid = vid, pid
    return i


NUCLEO, CAM, S3 = (
    info("/dev/ttyACM0", 0x0483, 0x374B),
    info("/dev/ttyUSB0", 0x1A86, 0x7523),
    info("COM7", 0x303A, 0x1001),
)
FOREIGN, BOARD = info("/dev/ttyUSB9", 0x1234, 0x5678), info("/dev/ttyS0")


def test_no_usb_id_is_two_bridges() -> None:
    ids = [(b.vendor, p) for b in BRIDGES for p in b.products or (-1,)]
    assert len(set(ids)) == len(ids)
    assert all(bridge_of(b.vendor, p) is b for b in BRIDGES for p in b.products)


@pytest.mark.parametrize(
    ("there", "family", "port"),
    [
        ([NUCLEO], "", "/dev/ttyACM0"),
        ([NUCLEO, BOARD], "stm32", "/dev/ttyACM0"),
        ([CAM], "esp32", "/dev/ttyUSB0"),
        ([NUCLEO, CAM], "stm32", "/dev/ttyACM0"),
        ([NUCLEO, CAM], "esp32", "/dev/ttyUSB0"),
        ([NUCLEO, CAM, S3], "esp32", "COM7"),
        ([FOREIGN, CAM], "", "/dev/ttyUSB0"),
        ([FOREIGN], "", "/dev/ttyUSB9"),
    ],
)
def test_the_one_port_that_may_be_the_board_is_taken(there: list[Any], family: str, port: str) -> None:
    assert chosen("auto", usb_ports(there), family) == port


@pytest.mark.parametrize("there", [[], [BOARD]])
def test_without_a_board_the_message_says_what_to_do(there: list[Any]) -> None:
    with pytest.raises(UserError, match=r"--port auto: no board found; plug the board in .*got none$"):
        chosen("auto", usb_ports(there))


def test_several_boards_are_listed_and_none_is_taken() -> None:
    with pytest.raises(UserError) as e:
        chosen("auto", usb_ports([CAM, NUCLEO]))
    assert e.value.got == "/dev/ttyACM0 (ST-Link), /dev/ttyUSB0 (CH340)"
    with pytest.raises(UserError, match=r"got COM7 \(Espressif USB serial/JTAG\)$"):
        chosen("auto", usb_ports([S3]), "stm32")


def test_a_named_port_is_not_looked_for() -> None:
    assert port_named("/dev/nonesuch", "stm32") == "/dev/nonesuch"


def test_ports_of_this_machine_can_be_listed() -> None:
    from hyper_mcu.device.find import attached

    assert all(p.name and p.ids for p in attached())


@pytest.mark.parametrize(
    ("code", "what", "remedy"),
    [
        (errno.EACCES, "permission denied", "usermod -aG "),
        (errno.EBUSY, "busy", "fuser -v "),
        (errno.ENOENT, "no such port; plug the board in", "hyper-mcu boards --ports"),
        (errno.EIO, "cannot be opened", "cable"),
    ],
)
def test_a_port_that_does_not_open_has_its_remedy(tmp_path: Path, code: int, what: str, remedy: str) -> None:
    port = str(tmp_path / "tty")
    error = cannot_open(port, OSError(code, os.strerror(code)))
    assert error.what.startswith(what)
    assert remedy in error.expected
    # pyserial says the same in words and with a number of its own
    said = cannot_open(port, serial.SerialException(code, f"could not open port {port}: {os.strerror(code)}"))
    assert (said.what, said.got) == (error.what, os.strerror(code).lower())
