"""The one line of an error stays one line, whatever names and values it tells of."""

from __future__ import annotations

import pickle
from pathlib import Path

from hyper_mcu.codegen.errors import MissingToolError, UserError


def test_an_error_is_one_printable_line():
    name = Path("a\nb\x1b[31m\u202e\udcff é.jpg")
    assert str(UserError(name, "no face found", "one face", "none\r")) == (
        r"a\nb\x1b[31m\u202e\udcff é.jpg: no face found; expected one face, got none\r"
    )


def test_an_error_travels_between_processes():
    for error in (UserError("a.jpg", "no face found", "one face", 0), MissingToolError("gcc", "missing")):
        back = pickle.loads(pickle.dumps(error))
        assert (type(back), str(back), vars(back)) == (type(error), str(error), vars(error))
