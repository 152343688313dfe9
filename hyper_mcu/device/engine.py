"""hm_engine.h, the engine that a firmware runs: of a person's architecture, or of those that enrolment makes.

`python -m hyper_mcu.device.engine FOLDER [person.bin]` writes it there, as firmware/CMakeLists.txt does that is not
told of one.
"""

from __future__ import annotations

import sys
from pathlib import Path

from hyper_mcu.codegen.bench import seeded
from hyper_mcu.codegen.emit_c import emit_engine
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.files import write
from hyper_mcu.codegen.person import Person
from hyper_mcu.codegen.person_file import person_file

NAME = "hm_engine.h"


def engine(person: Person | None = None) -> str:
    """The text of hm_engine.h for the architecture of `person`; None: of the shipped generator's people."""
    if person is None:
        from hyper_mcu.generator import load

        person = seeded(load().spec)
    return emit_engine(person)


def main(words: list[str]) -> int:
    """Exit code; an error of the user is one line on stderr."""
    if len(words) not in (1, 2):
        print("usage: python -m hyper_mcu.device.engine FOLDER [PERSON]", file=sys.stderr)
        return 2
    try:
        text = engine(person_file(words[1]) if len(words) == 2 else None)
        write(Path(words[0]) / NAME, text)
    except UserError as e:
        print(e, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
