"""The one error a user sees: a single line `where: what; expected ..., got ...`."""

from __future__ import annotations


class UserError(Exception):
    """A mistake the user can mend; printed as one line, exit code 2, nothing written.

    >>> str(UserError("a.jpg", "no face found", "one face", "none"))
    'a.jpg: no face found; expected one face, got none'
    """

    def __init__(self, where: object, what: str, expected: str = "", got: object = "") -> None:
        self.where, self.what, self.expected, self.got = str(where), what, expected, str(got)
        tail = f"; expected {expected}, got {got}" if expected else ""
        super().__init__(f"{where}: {what}{tail}")
