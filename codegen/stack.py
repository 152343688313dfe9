"""How much stack a call can need at most, by what the compiler says of every function and its calls.

GCC writes both into one file beside an object (-fcallgraph-info=su, from GCC 10 on). It says nothing of what a function
of another library needs, of calls through pointers, or of arrays whose sizes are computed: then nothing is known.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from hyper_mcu.codegen.kernels.variants import definition
from hyper_mcu.codegen.run import HARNESS, MEMORY
from hyper_mcu.codegen.targets import Target
from hyper_mcu.codegen.toolchain import Toolchain, compile_flags

SOURCES = ("main.c", "engine.c", MEMORY)  # of the harness; verify in main.c calls hm_verify


def stack_bound(header: str, target: Target, tools: Toolchain, kernels: str = "", root: str = "verify") -> int | None:
    """Most bytes of stack that the harness's call of hm_verify, of the model.h `header`, can need; None where no
    compiler tells."""
    if tools.kind != "gcc" or target.is_host:
        return None
    flags = [*compile_flags(tools, target, "-O2", False, "c11"), "-fcallgraph-info=su"]
    flags += [f"-D{text}" for text in definition(kernels)]
    with TemporaryDirectory(prefix="hyper-mcu-") as name:
        folder = Path(name)
        (folder / "model.h").write_text(header, encoding="ascii")
        for source in SOURCES:
            out = folder / f"{Path(source).stem}.o"
            command = [str(tools.path), *flags, f"-I{folder}", "-c", str(HARNESS / source), "-o", str(out)]
            if subprocess.run(command, capture_output=True, check=False).returncode:
                return None
        return deepest((path.read_text() for path in folder.glob("*.ci")), root)


def deepest(graphs: Iterable[str], root: str) -> int | None:
    """The most bytes on a path of calls from the function `root` on, in call graphs of objects; None where the need of
    one is unknown or not fixed, or where one calls itself."""
    needs, calls = dict[str, int](), dict[str, set[str]]()
    for text in graphs:
        for title, label in re.findall(r'^node: \{ title: "([^"]*)" label: "([^"]*)"', text, re.MULTILINE):
            if fixed := re.search(r"\\n(\d+) bytes \(static\)", label):
                needs[title] = int(fixed[1])
        for source, called in re.findall(r'^edge: \{ sourcename: "([^"]*)" targetname: "([^"]*)"', text, re.MULTILINE):
            calls.setdefault(source, set()).add(called)

    @cache
    def of(name: str) -> int:
        return needs[name] + max(map(of, calls.get(name, ())), default=0)

    try:
        return of(next(title for title in needs if title.rpartition(":")[2] == root))
    except (KeyError, RecursionError, StopIteration):
        return None
