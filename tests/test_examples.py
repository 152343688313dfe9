"""The examples in docstrings say what the code does."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = {"codegen": "hyper_mcu.codegen", "hyper_mcu": "hyper_mcu", "hypertrain": "hyper_mcu.hypertrain"}
TEXTS = {
    ".".join([package, *path.relative_to(ROOT / room).with_suffix("").parts]): path.read_text(encoding="utf-8")
    for room, package in ROOMS.items()
    for path in sorted((ROOT / room).rglob("*.py"))
    if room != "hyper_mcu" or not {"codegen", "hypertrain", "firmware"} & set(path.parts[len(ROOT.parts) :])
}
MODULES = [name for name, text in TEXTS.items() if ">>> " in text]


def test_there_are_examples() -> None:
    assert {"hyper_mcu.codegen.errors", "hyper_mcu.codegen.install"} <= set(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_hold(name: str) -> None:
    if name.startswith("hyper_mcu.hypertrain"):
        pytest.importorskip("torch", reason="needs hyper-mcu[train]: torch")
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert (failed, tried) == (0, TEXTS[name].count(">>> "))
