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
        super().__init__(one_line(f"{where}: {what}{tail}"))

    def __reduce__(self) -> tuple[type[UserError], tuple[str, str, str, str]]:
        """So that it travels between processes."""
        return type(self), (self.where, self.what, self.expected, self.got)


class MissingToolError(UserError):
    """A compiler, an emulator, a package or a folder to build in that is not here; `expected` says how to get it."""


def one_line(text: str) -> str:
    r"""Text for a terminal: line ends, escapes and other characters that do not print are spelt out.

    File names and values from files may hold any of them.

    >>> print(one_line("a\x1b[2J\nb.jpg: größer"))
    a\x1b[2J\nb.jpg: größer
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
