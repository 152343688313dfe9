"""Finding the serial port that a board is on, by what its USB bridge says of itself."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from hyper_mcu.codegen import install
from hyper_mcu.codegen.errors import MissingToolError, UserError, one_line
from hyper_mcu.device.remedies import NO_PORT

AUTO = "auto"


@dataclass(frozen=True)
class Bridge:
    """A USB device that is a serial port. products: its numbers, none for all of the vendor's. family: of the boards
    that carry it; "" where any may. probe: whether it is a debug probe too."""

    vendor: int
    products: tuple[int, ...]
    name: str
    family: str = ""
    probe: bool = False


# USB ids as their makers' descriptors have them.
BRIDGES = (
    Bridge(0x0483, (0x374A, 0x374B, 0x374E, 0x374F, 0x3752, 0x3753, 0x3754, 0x3757), "ST-Link", "stm32", True),
    Bridge(0x0483, (0x5740,), "STM32 USB serial", "stm32"),
    Bridge(0x303A, (), "Espressif USB serial/JTAG", "esp32"),
    Bridge(0x10C4, (0xEA60, 0xEA70), "CP210x"),
    Bridge(0x1A86, (0x7522, 0x7523, 0x5523, 0x55D3, 0x55D4), "CH340"),
    Bridge(0x0403, (0x6001, 0x6010, 0x6011, 0x6014, 0x6015), "FTDI"),
    Bridge(0x067B, (0x2303, 0x23A3, 0x23C3), "PL2303"),
    Bridge(0x0D28, (0x0204,), "CMSIS-DAP", probe=True),
    Bridge(0x1366, (), "J-Link", probe=True),
)


@dataclass(frozen=True)
class Port:
    """A serial port of this machine: the name to open it by, and the bridge behind it where its USB ids are known.
    serial: the USB serial number, "" where it has none that goes into a command as it is."""

    name: str
    bridge: Bridge | None
    ids: str
    serial: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.bridge.name if self.bridge else 'USB ' + self.ids})"


def bridge_of(vendor: int | None, product: int | None) -> Bridge | None:
    """The row of BRIDGES with these USB ids."""
    return next((b for b in BRIDGES if b.vendor == vendor and (not b.products or product in b.products)), None)


def usb_ports(found: Iterable[Any]) -> list[Port]:
    """Those of pyserial's list_ports that are on USB, known bridges first; ports of the mainboard have no board."""
    on_usb = [i for i in found if i.vid is not None]
    ports = [
        Port(i.device, bridge_of(i.vid, i.pid), f"{i.vid:04x}:{i.pid:04x}", _plain(i.serial_number)) for i in on_usb
    ]
    return sorted(ports, key=lambda p: (p.bridge is None, p.name))


def _plain(serial: str | None) -> str:
    return serial if serial and re.fullmatch(r"[0-9A-Za-z._-]+", serial) else ""


def attached() -> list[Port]:
    """The USB serial ports of this machine; raises MissingToolError where pyserial is not installed."""
    try:
        list_ports: Any = importlib.import_module("serial.tools.list_ports")
    except ImportError as e:
        raise MissingToolError("--port", "needs pyserial", install.extra("device"), "no such package") from e
    return usb_ports(list_ports.comports())


def chosen(port: str, there: Collection[Port], family: str = "") -> str:
    """The port to open: `port` itself, or for "auto" the only one of `there` that a board may be on.

    family: of the board, where it is known: a bridge that is on such boards alone goes before others. Raises UserError
    where there is none, and where there are several, which it lists.
    """
    if port != AUTO:
        return port
    known = [p for p in there if p.bridge]
    own = [p for p in known if p.bridge and p.bridge.family == family] if family else []
    others = [p for p in known if p.bridge and p.bridge.family in ("", family)] if family else known
    may = own or others or [p for p in there if p.bridge is None]
    if not may:
        seen = ", ".join(map(str, there)) or "none"
        raise UserError("--port auto", f"no board found; {NO_PORT}", "a serial port on USB", one_line(seen))
    if len(may) > 1:
        raise UserError("--port auto", "several boards", "--port with one of them", one_line(", ".join(map(str, may))))
    return may[0].name


def port_named(port: str, family: str = "") -> str:
    """`port`, or what "auto" stands for on this machine now; raises UserError."""
    if not port:
        raise UserError("--port", "no port's name", "a serial port, auto, or tcp:HOST:PORT", "an empty one")
    return chosen(port, attached() if port == AUTO else (), family)


def probe_named(port: str) -> str:
    """The USB serial number of the debug probe whose serial port `port` is; "" for "auto", which is the only probe.

    Raises UserError where "auto" may be several, and for a port of which no probe with a serial number is known.
    """
    if port == AUTO:
        try:
            probes = [p for p in attached() if p.bridge and p.bridge.probe]
        except MissingToolError:
            return ""
        if len(probes) > 1:
            got = one_line(", ".join(map(str, probes)))
            raise UserError("--port auto", "several debug probes", "--port with the serial port of one", got)
        return ""
    place = os.path.realpath(port)
    at = next((p for p in attached() if os.path.realpath(p.name) == place), None)
    if at is None or not at.bridge or not at.bridge.probe or not at.serial:
        expected = (
            "one of a debug probe that hyper-mcu boards --ports lists, or no --port with a single probe plugged in"
        )
        raise UserError("--port", "no serial number of a debug probe is known for it", expected, str(at or port))
    return at.serial
