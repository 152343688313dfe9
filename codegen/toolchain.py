"""Finding a C compiler for a target and compiling with it.

For this machine: cc, gcc or clang on PATH; for a Cortex-M: arm-none-eabi-gcc on PATH; for both, else, the ziglang
package of the Python registry, which brings a compiler and ld.lld for every target. HYPER_MCU_TOOLCHAIN=gcc, clang or
zig forces one kind.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from hyper_mcu.codegen import install
from hyper_mcu.codegen.errors import MissingToolError, UserError
from hyper_mcu.codegen.targets import Target, Tool

WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Wundef", "-Wcast-align", "-Werror")
C_WARNINGS = ("-Wstrict-prototypes",)  # not known in C++
SECTIONS = ("-ffunction-sections", "-fdata-sections", "-fno-asynchronous-unwind-tables")
SANITISERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-g")
LINKER_SCRIPT = Path(__file__).parent.parent / "firmware" / "harness" / "core.ld"
KINDS = ("gcc", "clang", "zig")


@dataclass(frozen=True)
class Toolchain:
    """A compiler: the name it is called by, its version, its kind (gcc, clang or zig) and where it is."""

    name: str
    version: str
    kind: str
    path: Path

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True)
class Program:
    """A linked program and the objects that it was linked from, in the order of its sources."""

    elf: Path
    objects: tuple[Path, ...]
    toolchain: Toolchain


class CompileError(UserError):
    """C that does not compile or link. One line as ever; `output` is all that the compiler said."""

    output: str = ""


def cache_dir() -> Path:
    """The folder for what can be made again: $XDG_CACHE_HOME/hyper-mcu, or ~/.cache/hyper-mcu."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "hyper-mcu"


def private_dir(path: Path) -> Path:
    """The folder `path`, made where it is missing, for programs that will be run: its owner alone may write and read.

    Raises MissingToolError where it cannot be made, where it belongs to somebody else and where others may write to it:
    they could leave programs there.
    """
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        there = path.lstat()
    except OSError as e:
        raise MissingToolError(
            path, "cannot be written", "space and permission, or another XDG_CACHE_HOME", (e.strerror or str(e)).lower()
        ) from e
    owner, unsafe = there.st_uid, "not safe to run programs from"
    if stat.S_ISLNK(there.st_mode):
        raise MissingToolError(path, unsafe, "a folder", "a link")
    if hasattr(os, "getuid") and owner != os.getuid():
        raise MissingToolError(path, unsafe, "a folder of your own", f"one of user {owner}")
    if hasattr(os, "getuid") and there.st_mode & 0o022:
        raise MissingToolError(
            path, unsafe, "a folder to which nobody else may write", f"mode {there.st_mode & 0o777:o}"
        )
    return path


def _zig_cache() -> Path:
    return private_dir(cache_dir()) / "zig"


def find_toolchain(target: Target, kind: str = "") -> Toolchain:
    """The compiler for `target`, of `kind` (one of KINDS) where that is given, else of HYPER_MCU_TOOLCHAIN's kind.

    Raises MissingToolError with what to install where there is none.
    """
    forced = os.environ.get("HYPER_MCU_TOOLCHAIN", "")
    wanted = kind or forced
    if wanted and wanted not in KINDS:
        raise UserError("HYPER_MCU_TOOLCHAIN", "unknown compiler", "gcc, clang or zig", wanted)
    gcc = target.isa.gcc if target.isa else Tool("gcc", "gcc")
    for name in (gcc.name,) if target.isa else ("cc", "gcc", "clang"):
        path = shutil.which(name)
        if path and wanted != "zig":
            found = _described(name, path)
            if not wanted or found.kind == wanted:
                return found
    zig = _zig() if "zig" in target.compilers else None
    if zig and wanted in ("", "zig"):
        return zig
    places = {"gcc": gcc.place, "clang": Tool("clang", "clang").place, "zig": install.extra("emulate")}
    if wanted:
        what = f"no {kind} found" if kind else f"HYPER_MCU_TOOLCHAIN={forced} found no compiler"
        others = " or ".join(target.compilers) + (", which compile for it" if target.zig_flags else ", which does")
        raise MissingToolError(target.name, what, places[wanted] if wanted in target.compilers else others, "none")
    ways = [gcc.place if target.isa else "cc, gcc or clang on PATH (Debian: gcc)"]
    ways += [places["zig"]] * ("zig" in target.compilers)
    raise MissingToolError(target.name, "no compiler found", " or ".join(ways), "neither" if len(ways) > 1 else "none")


@cache
def _described(name: str, path: str) -> Toolchain:
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    first = said.partition("\n")[0]
    version = re.search(r"\d+\.\d+(\.\d+)?", re.sub(r"\(.*?\)", "", first))
    kind = "clang" if "clang" in first else "gcc"
    shown = kind if name == "cc" else name
    return Toolchain(shown, version.group() if version else "of unknown version", kind, Path(path))


@cache
def _zig() -> Toolchain | None:
    spec = importlib.util.find_spec("ziglang")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    path = Path(folders[0]) / ("zig.exe" if os.name == "nt" else "zig") if folders else None
    if path is None or not path.is_file():
        return None
    said = subprocess.run([path, "version"], capture_output=True, text=True, check=False).stdout
    return Toolchain("zig", said.strip() or "of unknown version", "zig", path)


def first_time(tools: Toolchain, target: Target) -> str:
    """What to add to a progress message: zig builds a target's library before its first program for it."""
    if tools.kind != "zig" or not (target.is_host or target.needs_runtime) or _zig_is_ready(tools, target).exists():
        return ""
    return " (the first time takes some seconds more)"


def _zig_is_ready(tools: Toolchain, target: Target) -> Path:
    return _zig_cache() / f"{target.name}-{tools.version}-is-ready"


def compile_program(
    sources: Sequence[Path],
    target: Target,
    *,
    out: Path,
    include_dirs: Sequence[Path] = (),
    defines: Sequence[str] = (),
    optimise: str = "-O2",
    sanitise: bool = False,
    stds: Mapping[str, str] = MappingProxyType({}),
    toolchain: Toolchain | None = None,
) -> Program:
    """Compiles and links `sources` (of different names) to the executable `out`, every warning an error.

    defines: NAME or NAME=VALUE. stds: by a source's name its standard (c++14, …) where that is not c11. sanitise: with
    AddressSanitizer and UndefinedBehaviorSanitizer, on the host only. Objects lie beside `out`. Raises CompileError for
    C that does not compile, MissingToolError where compiler, C++ or sanitizers are not installed.
    """
    tools = toolchain or find_toolchain(target)
    if sanitise and (tools.kind == "zig" or not target.is_host):
        raise UserError(target.name, "cannot sanitise", "gcc or clang on the host", f"{tools} for {target.name}")
    given = [f"-I{d}" for d in include_dirs] + [f"-D{d}" for d in defines]
    objects = tuple(out.parent / f"{source.stem}.o" for source in sources)
    where = f"{target.name} with {tools}"
    for source, built in zip(sources, objects, strict=True):
        std = stds.get(source.name, "c11")
        command = [*_driver(tools, std), *compile_flags(tools, target, optimise, sanitise, std), *given]
        _run(tools, [*command, "-c", str(source), "-o", str(built)], source.name, f"does not compile for {where}")
    _run(tools, _link(tools, target, objects, out, sanitise), out.name, f"does not link for {where}")
    if first_time(tools, target):
        _zig_is_ready(tools, target).touch()
    return Program(out, objects, tools)


def compile_library(source: Path, out: Path, tools: Toolchain, defines: Sequence[str] = ()) -> None:
    """Compiles one C file that needs no library to a shared library of this machine."""
    flags = ["-std=c11", *WARNINGS, "-O2", "-fPIC", "-shared", "-nostdlib", "-ffreestanding"]
    flags += [f"-D{d}" for d in defines]
    _run(
        tools,
        [*_driver(tools, "c11"), *flags, str(source), "-o", str(out)],
        source.name,
        f"does not compile with {tools}",
    )


def compile_flags(tools: Toolchain, target: Target, optimise: str, sanitise: bool, std: str) -> list[str]:
    """The options of one compilation, without sources, folders and macros."""
    cxx = std.startswith("c++")
    flags = [f"-std={std}", *WARNINGS, *(() if cxx else C_WARNINGS), optimise, *SECTIONS]
    flags += ["-fno-exceptions", "-fno-rtti"] if cxx else []
    flags += SANITISERS if sanitise else []
    if tools.kind == "zig":  # zig traps on undefined behaviour unless told not to, and keeps frame pointers
        flags += ["-fno-sanitize=undefined", "-fomit-frame-pointer", *(target.zig_flags or ("-mcpu=baseline",))]
    else:
        flags += target.gcc_flags
    return flags if target.is_host else [*flags, "-ffreestanding", "-fno-unwind-tables"]


def _driver(tools: Toolchain, std: str) -> list[str]:
    language = ("-x", "c++") if std.startswith("c++") else ()
    return [str(tools.path), *(("cc",) if tools.kind == "zig" else ()), *language]


def _link(tools: Toolchain, target: Target, objects: Sequence[Path], out: Path, sanitise: bool) -> list[str]:
    files = [str(o) for o in objects]
    if target.is_host:
        # without the second option zig builds its runtime of UBSan too, ten seconds more the first time
        zig = ["cc", "-mcpu=baseline", "-fno-sanitize=undefined"] if tools.kind == "zig" else []
        options = ["-pthread", "-Wl,--gc-sections", *(SANITISERS if sanitise else ())]
        return [str(tools.path), *zig, *files, *options, "-o", str(out)]
    memory = {f"HM_{name.upper()}": value for name, value in asdict(target.memory).items()}
    script = ["-T", str(LINKER_SCRIPT)]
    if tools.kind == "zig":
        given = [f"--defsym={name}={value:#x}" for name, value in memory.items()]
        runtime = [str(_zig_runtime(tools, target))] if target.needs_runtime else []
        return [str(tools.path), "ld.lld", *script, "--gc-sections", *given, *files, *runtime, "-o", str(out)]
    given = [f"-Wl,--defsym={name}={value:#x}" for name, value in memory.items()]
    plain = ["-nostdlib", "-nostartfiles", "-Wl,--gc-sections"]
    return [str(tools.path), *target.gcc_flags, *plain, *script, *given, *files, "-lgcc", "-o", str(out)]


def _zig_runtime(tools: Toolchain, target: Target) -> Path:
    """The compiler's library, for a core without 64-bit operations: zig carries its source. Two seconds, once."""
    built = _zig_cache() / f"runtime-{tools.version}-{target.name}.a"
    if not built.is_file():
        built.parent.mkdir(parents=True, exist_ok=True)
        part = built.with_suffix(f".{os.getpid()}.a")
        source = str(tools.path.parent / "lib" / "compiler_rt.zig")
        core = [word for flag in target.zig_flags if not flag.startswith("-mfloat-abi") for word in flag.split("=")]
        command = [str(tools.path), "build-lib", source, *core, "-OReleaseSmall", "--name", "runtime"]
        _run(tools, [*command, f"-femit-bin={part}"], "compiler_rt", f"does not compile for {target.name} with {tools}")
        part.replace(built)
    return built


def _run(tools: Toolchain, command: list[str], where: str, failure: str) -> None:
    environment = {**os.environ, "LC_ALL": "C"}
    if tools.kind == "zig":
        folder = str(_zig_cache())
        environment |= {"ZIG_GLOBAL_CACHE_DIR": folder, "ZIG_LOCAL_CACHE_DIR": folder}
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=environment, check=False)
    if done.returncode:
        if re.search("cannot execute .*cc1plus", done.stderr):
            raise MissingToolError(tools, "compiles no C++", "g++ on PATH (Debian: g++)", "none")
        if re.search("(?i)(cannot find|cannot open|no such file).*(asan|clang_rt)", done.stderr):
            package = f"lib{'gcc' if tools.kind == 'gcc' else 'clang-rt'}-{tools.version.partition('.')[0]}-dev"
            raise MissingToolError(tools, "has no sanitizers", f"their libraries (Debian: {package})", "none")
        error = CompileError(
            where, failure, "no error and no warning", first_error(done.stderr) or f"exit code {done.returncode}"
        )
        error.output = done.stderr
        raise error


def first_error(text: str) -> str:
    """The first error in a compiler's or linker's output, folders removed: `file:line:column: message`."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    lines = [line for line in lines if not re.match("collect2:|clang: error: linker|.*: [Ii]n function ", line)]
    marked = [line for line in lines for mark in (" error: ", "undefined ", "ld: ") if mark in line]
    line = without_folders(next(iter(marked or lines), ""))
    return re.sub(r"^(\S*ld(\.lld)?: )|( fatal)? error:|error: ", "", line)


def without_folders(line: str) -> str:
    """A message with the file names in it shortened to their last parts."""
    return re.sub(r"(^|\s|')[^\s:']*/", r"\1", line)
