"""From a model.h and probes to what its compiled C says: build, run, read, and what it costs.

Two programs are built of every header: the product, which gives verdict, stack, instructions and sizes, and the same
with taps, which gives every layer. Their verdicts must agree. Programs are kept in the user's cache, readable by the
user alone: they hold a person's weights.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from hyper_mcu.codegen.elf import read_elf
from hyper_mcu.codegen.emulate import FAULT, RunOutput, run_elf
from hyper_mcu.codegen.errors import MissingToolError, UserError
from hyper_mcu.codegen.kernels.variants import definition
from hyper_mcu.codegen.progress import Progress, silent
from hyper_mcu.codegen.records import HM_OK, Run, parse_runs, read_hello
from hyper_mcu.codegen.targets import Target, target_named
from hyper_mcu.codegen.toolchain import (
    CompileError,
    Program,
    Toolchain,
    cache_dir,
    compile_flags,
    compile_program,
    find_toolchain,
    first_time,
    private_dir,
)

__all__ = ["Report", "Run", "build", "flash_bytes", "run_model", "run_program"]

HARNESS = Path(__file__).parent.parent / "firmware" / "harness"
HOST_SOURCES = ("main.c", "engine.c", "port_host.c")
MEMORY = "../ports/cortex_m/memory.c"  # from HARNESS, as the others are
CORE_SOURCES = ("main.c", "engine.c", "port_semihost.c", "start.c", MEMORY)
KEPT_PROGRAMS = 64
STALE_S = 86_400.0  # seconds after which an unfinished build is nobody's
EXIT_CODES = {  # firmware/harness/port.h
    80: "the program could not read its probes",
    81: "the program could not write its records",
    FAULT: "the program crashed",
    83: "the program got no stack to measure",
    84: "the program overflowed its stack",
    85: "hm_person_from_blob refused the person",
}


@dataclass(frozen=True)
class Report:
    """What a header costs on a target: the product build, without taps.

    toolchain, emulator: name and version ("" on this machine). instructions: the most of one hm_verify, None where
    nobody counted. session_bytes, stack_bytes: RAM. person_bytes, code_bytes: flash of the person's data and of the
    engine, alignment between functions left out. Seconds: both builds, from the cache or not, and all runs.
    """

    target: str
    toolchain: str
    emulator: str
    instructions: int | None
    session_bytes: int
    stack_bytes: int
    person_bytes: int
    code_bytes: int
    compile_seconds: float
    run_seconds: float

    @property
    def seconds(self) -> float:
        """Compiling and running together."""
        return self.compile_seconds + self.run_seconds


def run_model(
    header: Path,
    probes: Sequence[bytes] | bytes,
    target: Target | str = "host",
    *,
    text: str | None = None,
    blob: bytes = b"",
    tools: Toolchain | None = None,
    optimise: str = "-O2",
    std: str = "c11",
    sanitise: bool = False,
    kernels: str = "",
    emulator: str = "auto",
    limit_s: float = 120,
    progress: Progress = silent,
) -> tuple[list[Run], Report]:
    """Compiles `header` for `target` and asks it about every probe (HM_INPUT_BYTES each).

    text: what the header holds, where it has been read and checked already; `header` then only names it. tools,
    optimise, std, sanitise: as in `build`.

    Raises UserError for a header that does not compile, a probe of the wrong size, a status other than HM_OK, a crash,
    a program that does not end, and broken output; MissingToolError where compiler or emulator are not installed.
    """
    where = target if isinstance(target, Target) else target_named(target)
    given = [probes] if isinstance(probes, bytes) else list(probes)
    began = time.perf_counter()
    tools = tools or find_toolchain(where)
    waits = first_time(tools, where)
    progress(f"compiling for {where.name} with {tools}{waits}")
    with ThreadPoolExecutor(1 if waits else 2) as pool:  # a second zig beside it would build the same library
        made = partial(build, header, where, text=text, tools=tools)
        variant = partial(made, optimise=optimise, std=std, sanitise=sanitise, kernels=kernels)
        product, tapped = pool.map(lambda taps: variant(taps=taps, blob=blob if taps else b""), (False, True))
    compiled = time.perf_counter()
    progress(f"running on {where.name}")
    plain, output = run_program(product, header, given, where, taps=False, emulator=emulator, limit_s=limit_s)
    runs, _ = run_program(tapped, header, given, where, taps=True, emulator=emulator, limit_s=limit_s)
    for p, t in zip(plain, runs, strict=True):
        if (p.match, p.logit, p.threshold) != (t.match, t.logit, t.threshold):
            raise UserError(f"{header} on {where.name}", "taps change the verdict", f"logit {p.logit}", t.logit)
    merged = [replace(p, layers=t.layers, layers_sha256=t.layers_sha256) for p, t in zip(plain, runs, strict=True)]
    person, text_bytes, rodata_bytes = flash_bytes(product)
    report = Report(
        target=where.name,
        toolchain=str(tools),
        emulator=output.emulator,
        instructions=max((r.instructions for r in merged if r.instructions is not None), default=None),
        session_bytes=max((r.session_bytes for r in merged), default=0),
        stack_bytes=max((r.stack_bytes for r in merged), default=0),
        person_bytes=person,
        code_bytes=text_bytes + rodata_bytes,
        compile_seconds=compiled - began,
        run_seconds=time.perf_counter() - compiled,
    )
    return merged, report


def run_program(
    program: Program,
    header: Path,
    probes: Sequence[bytes],
    target: Target,
    *,
    taps: bool,
    emulator: str = "auto",
    limit_s: float = 120,
    stored: range = range(0),
) -> tuple[list[Run], RunOutput]:
    """Runs a built harness on `probes`; `header` is named in errors, which are run_model's. stored: as in run_elf."""
    output = run_elf(program.elf, target, b"".join(probes), emulator=emulator, limit_s=limit_s, stored=stored)
    where = f"{header} on {target.name}"
    if probes and output.code in (0, 80):
        wanted = read_hello(output.stdout, where).input_bytes
        wrong = [len(p) for p in probes if len(p) != wanted]
        if wrong:
            raise UserError("probe", "wrong size", f"{wanted} bytes", f"{wrong[0]} bytes")
    if output.code:
        got = f"exit code {output.code}" + (f" ({output.detail})" if output.detail else "")
        raise UserError(where, EXIT_CODES.get(output.code, "the program failed"), "exit code 0", got)
    runs = parse_runs(output.stdout, len(probes), where, taps=taps)
    for run in runs:
        if run.status != HM_OK:
            raise UserError(
                where, "hm_verify refused", f"status {HM_OK}", f"status {run.status} (hm_status in the header)"
            )
    if output.calls is not None:
        runs = [replace(r, instructions=c.instructions) for r, c in zip(runs, output.calls, strict=True)]
    return runs, output


def build(
    header: Path,
    target: Target,
    *,
    taps: bool,
    text: str | None = None,
    blob: bytes = b"",
    tools: Toolchain | None = None,
    optimise: str = "-O2",
    std: str = "c11",
    sanitise: bool = False,
    kernels: str = "",
) -> Program:
    """The harness around `header`, from the cache where it was built before; raises UserError as run_model does.

    blob: a person.bin that is verified instead of the header's person. optimise: of all of it. std: of the header's
    implementation, c11 or c++14; the harness itself is C11. sanitise: with AddressSanitizer and
    UndefinedBehaviorSanitizer, on the host by gcc or clang. kernels: a variant by name (kernels/variants.py); "" is the
    compiler's own choice for the target (firmware/core/hm_kernels.h).
    """
    tools = tools or find_toolchain(target)
    try:
        content = header.read_bytes() if text is None else text.encode()
    except OSError as e:
        raise UserError(header, "cannot be read", "a model.h", (e.strerror or str(e)).lower()) from e
    names = (*CORE_SOURCES, f"core_{target.isa.name}.c") if target.isa else HOST_SOURCES
    sources = [HARNESS / name for name in names]
    defines = ["HARNESS_TAPS"] * taps + ["HARNESS_BLOB"] * bool(blob) + definition(kernels)
    key = hashlib.sha256(content + blob)
    for path in [*sorted(p for p in HARNESS.iterdir() if p.is_file()), HARNESS / MEMORY]:
        key.update(path.name.encode() + path.read_bytes())
    key.update(repr((target, tools, defines, compile_flags(tools, target, optimise, sanitise, std))).encode())
    programs = cache_dir() / "programs"
    place = programs / key.hexdigest()[:32]
    objects = tuple(place / f"{source.stem}.o" for source in sources)
    try:
        private_dir(cache_dir())
        private_dir(programs)
        program = Program(place / "harness", objects, tools)
        if _whole(program):
            os.utime(place)
            return program
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=".build-") as name:
            folder = Path(name) / "build"
            folder.mkdir(mode=0o700)
            (folder / "model.h").write_bytes(content)
            (folder / "blob.h").write_text(_blob_text(blob), encoding="ascii")
            compile_program(
                sources,
                target,
                out=folder / "harness",
                include_dirs=[folder],
                defines=defines,
                optimise=optimise,
                stds={"engine.c": std},
                sanitise=sanitise,
                toolchain=tools,
            )
            _keep(folder, program)
    except CompileError as e:
        raise UserError(header, e.what, e.expected, e.got) from e
    except OSError as e:
        raise MissingToolError(
            place.parent, "cannot be written", "space and permission", (e.strerror or str(e)).lower()
        ) from e
    return program


def _blob_text(blob: bytes) -> str:
    rows = [", ".join(map(str, blob[i : i + 24])) for i in range(0, len(blob), 24)]
    return "_Alignas(4) static const uint8_t harness_blob[] = {\n" + ",\n".join(rows) + "};\n" if blob else ""


def _whole(program: Program) -> bool:
    return all(p.is_file() and p.stat().st_size for p in (program.elf, *program.objects))


def _keep(folder: Path, program: Program) -> None:
    """Moves a finished build into the cache, unless another process was faster; the oldest builds go, and what a killed
    process left behind goes after a day."""
    place = program.elf.parent
    if place.exists() and not _whole(program):
        _evict(place)
    try:
        folder.rename(place)
    except OSError:
        if not _whole(program):
            raise
    ours = [(p, _age(p)) for p in place.parent.iterdir() if re.fullmatch(r"[0-9a-f]{32}|\.build-\w+", p.name)]
    kept = sorted((p for p in ours if not p[0].name.startswith(".")), key=lambda entry: entry[1])
    left = [p for p in ours if p[0].name.startswith(".") and p[1] > STALE_S]
    for old, _ in kept[KEPT_PROGRAMS:] + left:
        _evict(old)


def _evict(old: Path) -> None:
    """Renamed first: a build that is half gone must not be found."""
    gone = old.with_name(f".build-{old.name.removeprefix('.build-')}_{os.getpid()}")
    with contextlib.suppress(OSError):
        old.rename(gone)
        shutil.rmtree(gone)


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:  # another process removes it just now
        return 0.0


def flash_bytes(program: Program) -> tuple[int, int, int]:
    """Flash of a person's data, of the code and of its constants, in bytes, of the model.h in `program`.

    They are the sections of engine.o that the linker kept: those of which a symbol is in the program. hm_person_*,
    hm_weights_* and the strings (a person's name is the only one) are the person's.
    """
    engine = read_elf(next(o for o in program.objects if o.stem == "engine"))
    linked = {s.name for s in read_elf(program.elf).symbols}
    person = text = rodata = 0
    for index, section in enumerate(engine.sections):
        if not section.alloc or section.nobits or not section.name.startswith((".text", ".rodata", ".data")):
            continue
        names = {s.name for s in engine.symbols if s.section == index and not s.name.startswith(("$", ".L"))}
        if names and not names & linked:
            continue
        if ".str" in section.name or any(n.startswith(("hm_person_", "hm_weights_")) for n in names):
            person += section.size
        elif section.name.startswith(".text"):
            text += section.size
        else:
            rodata += section.size
    return person, text, rodata
