"""What a device that is a process leaves open to others on its machine: nothing but the port that it was asked for."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest
from devices import ALICE, KEY, PRODUCT, SMALL, Board, client, needs_compiler, sealed

pytestmark = needs_compiler


DEFINES = PRODUCT  # of the device that conftest.py compiles


def test_its_line_is_on_one_address_of_this_machine(board: Board) -> None:
    with board.start() as process:
        address, port = process.line.removeprefix("tcp:").split(":")
        assert address == "127.0.0.1"
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.2", int(port)), 5).close()


def test_its_flash_and_its_key_are_its_owners_alone(program: Path, tmp_path: Path) -> None:
    """Weights of people, which are biometric data, and the key, whatever the umask."""
    before = os.umask(0)
    try:
        board = Board(program, tmp_path, *SMALL, key=None)
        with board.start() as process, client(process, None) as device:
            device.set_key(KEY)
            device.load(sealed(ALICE, 1))
    finally:
        os.umask(before)
    for path in (board.flash, board.key_file):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(p.name for p in tmp_path.iterdir()) == ["flash", "key"]
