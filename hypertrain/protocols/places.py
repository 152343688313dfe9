"""Where the images of a pair list lie below a folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.hypertrain.data.source import PICTURES
from hyper_mcu.hypertrain.protocols.lists import Listed

SUFFIXES = (*PICTURES, ".heic", ".heif")


def as_named(name: str) -> tuple[str, ...]:
    """The places, without suffix, in which an image of a list may lie: as named, or under its bare name."""
    stem, dot, suffix = name.rpartition(".")
    plain = stem if dot and f".{suffix.lower()}" in SUFFIXES else name
    return plain, plain.rpartition("/")[2]


def in_cfp(name: str) -> tuple[str, ...]:
    """Those of a CFP photo: as the official archive has it, or in a folder a person, or all in one folder."""
    person, kind, number = name.replace("-", "/").split("/")
    official = f"{person}/{kind}/{number}"
    return f"Data/Images/{official}", f"Images/{official}", official, name, f"{person}-{kind}-{number}"


def find(listed: Listed, root: Path, spelt: Callable[[str], tuple[str, ...]]) -> dict[str, Path]:
    """The file of each image that the list names; raises UserError, with the line, where there is none or several."""
    there: dict[str, list[Path]] = {}
    bare: dict[str, list[Path]] = {}
    for path in _pictures(root):
        key = path.relative_to(root).with_suffix("").as_posix()
        there.setdefault(key, []).append(path)
        bare.setdefault(key.rpartition("/")[2], []).append(path)
    found: dict[str, Path] = {}
    for name, where in listed.images:
        if name in found:
            continue
        keys = spelt(name)
        files = next((there[k] for k in keys if k in there), bare.get(keys[-1], []))
        if len(files) != 1:
            got = f"{len(files)}, {files[0]} among them" if files else "none"
            raise UserError(where, f"image {name}", f"one picture of that name in {root}", got)
        if not files[0].is_file():
            raise UserError(where, f"image {name}", "a file", f"{files[0]}, which is none")
        found[name] = files[0]
    return found


def _pictures(root: Path) -> Iterator[Path]:
    """The pictures below a folder, by name; a folder that links lead to again is looked into once."""
    seen = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        state = os.stat(folder)
        if (state.st_dev, state.st_ino) in seen:
            folders.clear()
            continue
        seen.add((state.st_dev, state.st_ino))
        folders.sort()
        yield from (p for name in sorted(names) if (p := Path(folder, name)).suffix.lower() in SUFFIXES)
