"""Serial ports as pyserial lists them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Plugged = Callable[..., None]  # conftest.py


def info(name: str, vid: int | None = None, pid: int | None = None, serial_number: str | None = None) -> Any:
    """A port; skips the test where there is no pyserial."""
    pytest.importorskip("serial", reason="needs hyper-mcu[device]: pyserial")
    from serial.tools.list_ports_common import ListPortInfo

    i = ListPortInfo(name)
    i.vid, i.pid, i.serial_number = vid, pid, serial_number
    return i


def st_link(name: str, serial_number: str | None) -> Any:
    """The port of a Nucleo."""
    return info(name, 0x0483, 0x374B, serial_number)
