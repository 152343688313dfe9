"""Which room imports which: the table of CONTRIBUTING.md, held against every import in the sources."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LINKS = {"codegen", "hypertrain", "firmware"}  # in hyper_mcu: the rooms at the top under their import names


@dataclass(frozen=True)
class Import:
    """A module that a file asks for: its full name, and whether that happens as soon as the file is imported."""

    name: str
    at_once: bool
    line: int


def imports(text: str, package: str) -> Iterator[Import]:
    """Every import in the source of a module of `package`; `from a import b` asks for a.b, which may be a module.

    import_module("a") counts as well.
    """

    def visit(node: ast.AST, at_once: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, at_once, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (Import(f"{base}.{alias.name}", at_once, node.lineno) for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            names = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
            yield from (Import(name, at_once, node.lineno) for name in names)
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for child in node.body:
                yield from visit(child, False)
            for child in node.orelse:
                yield from visit(child, at_once)
        else:
            inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            for child in ast.iter_child_nodes(node):
                yield from visit(child, at_once and not inside)

    yield from visit(ast.parse(text), True)


def under(name: str, *packages: str) -> bool:
    """Whether the module is one of these or inside one of these."""
    return any(name == p or name.startswith(p + ".") for p in packages)


def outside(name: str, *allowed: str) -> bool:
    """Whether the module comes neither with Python nor from one of these."""
    return name.partition(".")[0] not in sys.stdlib_module_names and not under(name, *allowed)


def refused_in_codegen(file: str, i: Import) -> bool:
    """Codegen stands alone: NumPy, Jinja; late, other people's formats, runtimes and emulators; the torch twin by one
    backend."""
    if file == "backends/twin.py" and under(i.name, "hyper_mcu.hypertrain.oracle"):
        return i.at_once
    lite = ("flatbuffers", "tflite", "tflite_micro", "ai_edge_litert", "tensorflow")
    late = i.at_once or not under(i.name, "unicorn", "onnx", "onnxruntime", *lite)
    return late and outside(i.name, "hyper_mcu.codegen", "numpy", "jinja2")


def refused_in_hyper_mcu(file: str, i: Import) -> bool:
    """No torch at all; hypertrain by three commands, late."""
    if under(i.name, "hyper_mcu.hypertrain"):
        return i.at_once or file not in ("cli/train.py", "cli/eval.py", "cli/ablate.py")
    late = i.at_once or not under(i.name, "dlib", "matplotlib", "serial", "cryptography")
    return late and outside(i.name, "hyper_mcu", "numpy", "onnxruntime", "PIL", "pillow_heif", "click", "rich")


def refused_in_hypertrain(file: str, i: Import) -> bool:
    """Of the product: the net, the faces, the generator file and the version; nothing of the command."""
    ours = ("codegen", "faces", "generator", "hypertrain", "inference", "__version__")
    others = (
        "numpy", "torch", "onnx", "onnxruntime", "cv2", "PIL", "sklearn", "scipy", "safetensors", "pyarrow", "pooch",
        "matplotlib", "tensorboard", "threadpoolctl", "tomli",
    )  # fmt: skip
    return outside(i.name, *(f"hyper_mcu.{room}" for room in ours), *others)


RULES: dict[str, Callable[[str, Import], bool]] = {
    "codegen": refused_in_codegen,
    "hyper_mcu": refused_in_hyper_mcu,
    "hypertrain": refused_in_hypertrain,
}


def faults(room: str, file: str, text: str) -> list[str]:
    """The imports of one file that its room may not have, each as `room/file:line: module`."""
    top = "hyper_mcu" if room == "hyper_mcu" else f"hyper_mcu.{room}"
    package = ".".join([top, *Path(file).parent.parts])
    found = [i for i in imports(text, package) if RULES[room](file, i)]
    return [f"{room}/{file}:{i.line}: {i.name}" for i in found]


def sources(room: str) -> dict[str, str]:
    """The Python files of a room, links left out, by their paths in it."""
    paths = [p.relative_to(ROOT / room) for p in (ROOT / room).rglob("*.py")]
    kept = [p for p in paths if room != "hyper_mcu" or p.parts[0] not in LINKS]
    return {p.as_posix(): (ROOT / room / p).read_text(encoding="utf-8") for p in sorted(kept)}


@pytest.mark.parametrize("room", RULES)
def test_room_imports_only_what_the_table_allows(room: str) -> None:
    files = sources(room)
    assert len(files) > 10
    assert [fault for file, text in files.items() for fault in faults(room, file, text)] == []


@pytest.mark.parametrize(
    ("room", "file", "text", "found"),
    [
        ("codegen", "a.py", "import numpy as np\nimport torch", ["codegen/a.py:2: torch"]),
        ("codegen", "a.py", "def f():\n    import torch.nn as nn", ["codegen/a.py:2: torch.nn"]),
        ("codegen", "a.py", "from hyper_mcu.faces import align", ["codegen/a.py:1: hyper_mcu.faces.align"]),
        ("codegen", "a.py", "from hyper_mcu import __version__", ["codegen/a.py:1: hyper_mcu.__version__"]),
        ("codegen", "a.py", "from hyper_mcu import codegen, enroll", ["codegen/a.py:1: hyper_mcu.enroll"]),
        ("codegen", "a.py", "from .. import generator", ["codegen/a.py:1: hyper_mcu.generator"]),
        ("codegen", "a.py", "from . import netspec\nfrom .plan import plan", []),
        ("codegen", "a.py", "def f():\n    import unicorn", []),
        ("codegen", "a.py", "import unicorn", ["codegen/a.py:1: unicorn"]),
        ("codegen", "backends/twin.py", "def f():\n    from hyper_mcu.hypertrain import oracle", []),
        (
            "codegen",
            "backends/twin.py",
            "from hyper_mcu.hypertrain import oracle",
            ["codegen/backends/twin.py:1: hyper_mcu.hypertrain.oracle"],
        ),
        ("codegen", "a.py", "def f():\n    return importlib.import_module('torch')", ["codegen/a.py:2: torch"]),
        ("codegen", "a.py", "import hyper_mcu.codegen_of_others", ["codegen/a.py:1: hyper_mcu.codegen_of_others"]),
        ("hyper_mcu", "a.py", "try:\n    import torch\nexcept ImportError:\n    pass", ["hyper_mcu/a.py:2: torch"]),
        ("hyper_mcu", "cli/eval.py", "def f():\n    from hyper_mcu.hypertrain import data", []),
        (
            "hyper_mcu",
            "cli/eval.py",
            "from hyper_mcu.hypertrain import data",
            ["hyper_mcu/cli/eval.py:1: hyper_mcu.hypertrain.data"],
        ),
        (
            "hyper_mcu",
            "cli/demo.py",
            "def f():\n    from ..hypertrain import data",
            ["hyper_mcu/cli/demo.py:2: hyper_mcu.hypertrain.data"],
        ),
        (
            "hyper_mcu",
            "cli/train.py",
            "if TYPE_CHECKING:\n    from hyper_mcu.hypertrain import data\nelse:\n    import torch",
            ["hyper_mcu/cli/train.py:4: torch"],
        ),
        ("hypertrain", "a.py", "import torch, cv2\nfrom hyper_mcu.faces.backbone import backbone", []),
        ("hypertrain", "a.py", "from hyper_mcu import cli", ["hypertrain/a.py:1: hyper_mcu.cli"]),
        ("hypertrain", "a.py", "from hyper_mcu.enroll import person", ["hypertrain/a.py:1: hyper_mcu.enroll.person"]),
    ],
)
def test_import_out_of_its_room_is_found(room: str, file: str, text: str, found: list[str]) -> None:
    assert faults(room, file, text) == found
