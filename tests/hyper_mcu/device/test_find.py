"""Finding a board's port by USB ids, and what to do where a port is not opened."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from ports import Plugged, info, st_link

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.device.find import BRIDGES, attached, bridge_of, chosen, port_named, probe_named, usb_ports
from hyper_mcu.device.remedies import cannot_open

serial = pytest.importorskip("serial", reason="needs hyper-mcu[device]: pyserial")


NUCLEO, CAM, S3 = (
    st_link("/dev/ttyACM0", "066BFF51"),
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


def test_ports_of_this_machine_are_those_on_usb_known_bridges_first(plugged: Plugged) -> None:
    plugged(FOREIGN, BOARD, NUCLEO, CAM)
    assert [(p.name, p.ids, p.bridge and p.bridge.name, p.serial) for p in attached()] == [
        ("/dev/ttyACM0", "0483:374b", "ST-Link", "066BFF51"),
        ("/dev/ttyUSB0", "1a86:7523", "CH340", ""),
        ("/dev/ttyUSB9", "1234:5678", None, ""),
    ]
    plugged()
    assert attached() == []


def test_a_port_names_its_debug_probe(plugged: Plugged, tmp_path: Path) -> None:
    other = st_link("/dev/ttyACM3", "0670FF52")
    plugged(NUCLEO, CAM, other)
    (tmp_path / "by-id").symlink_to("/dev/ttyACM3")
    assert probe_named("/dev/ttyACM0") == "066BFF51"
    assert probe_named("/dev/ttyACM3") == probe_named(str(tmp_path / "by-id")) == "0670FF52"
    with pytest.raises(
        UserError, match=r"several debug probes.* got /dev/ttyACM0 \(ST-Link\), /dev/ttyACM3 \(ST-Link\)$"
    ):
        probe_named("auto")
    plugged(NUCLEO, CAM)
    assert probe_named("auto") == ""


@pytest.mark.parametrize(
    ("port", "got"),
    [
        ("/dev/ttyACM9", "/dev/ttyACM9"),
        ("/dev/ttyUSB0", "/dev/ttyUSB0 (CH340)"),
        ("/dev/ttyACM1", "/dev/ttyACM1 (ST-Link)"),
        ("/dev/ttyACM2", "/dev/ttyACM2 (ST-Link)"),
    ],
)
def test_a_port_without_a_known_probe_is_refused(plugged: Plugged, port: str, got: str) -> None:
    plugged(NUCLEO, st_link("/dev/ttyACM1", None), st_link("/dev/ttyACM2", 'S" exit "'), CAM)
    with pytest.raises(UserError) as e:
        probe_named(port)
    assert (e.value.what, e.value.got) == ("no serial number of a debug probe is known for it", got)


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
