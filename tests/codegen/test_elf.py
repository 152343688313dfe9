"""The reader of ELF files, held against other people's."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_model import HEADER, need

from hyper_mcu.codegen.elf import read_elf
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.run import build
from hyper_mcu.codegen.targets import TARGETS


def test_elf_reader_agrees_with_pyelftools() -> None:
    elffile = pytest.importorskip("elftools.elf.elffile", reason="pyelftools not installed")
    need("m4")
    for target in ("host", "m4"):
        program = build(HEADER, TARGETS[target], taps=True)
        for path in (program.elf, *program.objects):
            with path.open("rb") as f:
                theirs = elffile.ELFFile(f)
                ours = read_elf(path)
                assert [s.name for s in ours.sections] == [s.name for s in theirs.iter_sections()]
                assert [s.size for s in ours.sections] == [s["sh_size"] for s in theirs.iter_sections()]
                symbols = theirs.get_section_by_name(".symtab").iter_symbols()
                named = [s for s in symbols if s.name and s["st_info"]["type"] not in ("STT_SECTION", "STT_FILE")]
                assert [(s.name, s.value, s.size) for s in ours.symbols] == [
                    (s.name, s["st_value"], s["st_size"]) for s in named
                ]
                loads = [s for s in theirs.iter_segments() if s["p_type"] == "PT_LOAD" and s["p_filesz"]]
                assert [(s.address, s.data) for s in ours.segments] == [(s["p_paddr"], s.data()) for s in loads]


def test_file_that_is_not_elf_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.out").write_bytes(b"#!/bin/sh\n")
    with pytest.raises(UserError, match=r"a\.out: cannot be read; expected a little-endian ELF file, got b'#!/bin'"):
        read_elf(tmp_path / "a.out")
