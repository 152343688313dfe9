"""The one line of an error stays one line, whatever names and values it tells of."""

from __future__ import annotations

from pathlib import Path

from hyper_mcu.codegen.errors import UserError


def test_an_error_is_one_printable_line():
    name = Path("a\nb\x1b[31m\u202e\udcff é.jpg")
    assert str(UserError(name, "no face found", "one face", "none\r")) == (
        r"a\nb\x1b[31m\u202e\udcff é.jpg: no face found; expected one face, got none\r"
    )
