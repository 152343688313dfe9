"""Compilers are found, forced and missed by name; warnings are errors, and an error is one line."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from fake_model import missing

from hyper_mcu.codegen import install, toolchain
from hyper_mcu.codegen.errors import MissingToolError, UserError
from hyper_mcu.codegen.targets import TARGETS
from hyper_mcu.codegen.toolchain import (
    CompileError,
    Toolchain,
    cache_dir,
    compile_program,
    find_toolchain,
    first_error,
)

HOST, M4 = TARGETS["host"], TARGETS["m4"]
EMULATE = install.extra("emulate")
KINDS = ("gcc", "clang", "zig")


def force(monkeypatch: pytest.MonkeyPatch, kind: str, target: str = "host") -> None:
    """Lets only this kind of compiler be found; skips the test by name where it is not installed."""
    if why := missing((kind, target)):
        pytest.skip(why)
    monkeypatch.setenv("HYPER_MCU_TOOLCHAIN", kind)


def source(folder: Path, text: str) -> Path:
    """A file prog.c with this text."""
    path = folder / "prog.c"
    path.write_text(text)
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_compiler_makes_a_program_of_this_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    force(monkeypatch, kind)
    text = "#include <stdio.h>\nint main(void) { printf(GREETING); return ANSWER; }\n"
    defines = ['GREETING="hello"', "ANSWER=42"]
    program = compile_program([source(tmp_path, text)], HOST, out=tmp_path / "prog", defines=defines)
    done = subprocess.run([program.elf], capture_output=True, check=False)
    assert (done.stdout, done.returncode) == (b"hello", 42)
    assert program.toolchain.kind == kind
    assert program.objects == (tmp_path / "prog.o",)
    assert str(program.toolchain).startswith(f"{kind} ")


@pytest.mark.parametrize(
    ("warning", "line"),
    [
        ("unused", "    int unused;"),
        ("conversion", "    unsigned char conversion = (unsigned char)n; conversion = n; return conversion;"),
        ("shadow", "    int shadow = 1; { int shadow = 2; n += shadow; } return shadow + n;"),
        ("MACRO", "#if MACRO\n#endif"),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_warnings_are_errors(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str, warning: str, line: str
) -> None:
    force(monkeypatch, kind)
    path = source(tmp_path, f"int main(void)\n{{\n    int n = 0;\n    n++;\n{line}\n    return n;\n}}\n")
    with pytest.raises(CompileError) as e:
        compile_program([path], HOST, out=tmp_path / "prog")
    tools = find_toolchain(HOST)
    start = f"prog.c: does not compile for host with {tools}; expected no error and no warning, got prog.c:5:"
    assert str(e.value).startswith(start)
    assert "\n" not in str(e.value)
    assert warning in e.value.output


@pytest.mark.parametrize("kind", ["gcc", "zig"])
def test_missing_symbol_is_one_line_and_the_linker_is_quoted_in_full(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    force(monkeypatch, kind, "m4")
    path = source(tmp_path, "void nowhere(void);\nvoid hm_reset(void);\nvoid hm_reset(void)\n{\n    nowhere();\n}\n")
    with pytest.raises(CompileError) as e:
        compile_program([path], M4, out=tmp_path / "prog")
    assert str(e.value).startswith(f"prog: does not link for m4 with {find_toolchain(M4)}; expected no error and no ")
    assert "nowhere" in str(e.value)
    assert "\n" not in str(e.value)
    assert e.value.output.count("\n") >= 2


def test_compiler_of_cpp_takes_the_same_flags(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if why := missing("g++"):
        pytest.skip(why)
    monkeypatch.setenv("HYPER_MCU_TOOLCHAIN", "gcc")
    path = source(tmp_path, "template <int n> int f() { return n; }\nint main() { return f<7>(); }\n")
    program = compile_program([path], HOST, out=tmp_path / "prog", stds={"prog.c": "c++14"})
    assert subprocess.run([program.elf], check=False).returncode == 7


@pytest.mark.parametrize("kind", ["gcc", "clang"])
def test_sanitised_program_stops_at_undefined_behaviour(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    force(monkeypatch, kind)
    path = source(tmp_path, "int main(int n, char **a)\n{\n    (void)a;\n    return (n + 0x7FFFFFFE + n) & 1;\n}\n")
    try:
        program = compile_program([path], HOST, out=tmp_path / "prog", sanitise=True)
    except MissingToolError as e:
        pytest.skip(str(e))
    done = subprocess.run([program.elf], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "signed integer overflow" in done.stderr


def test_zig_cannot_sanitise(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    force(monkeypatch, "zig")
    with pytest.raises(UserError) as e:
        compile_program([source(tmp_path, "")], HOST, out=tmp_path / "prog", sanitise=True)
    zig = find_toolchain(HOST)
    assert str(e.value) == f"host: cannot sanitise; expected gcc or clang on the host, got {zig} for host"


def test_zig_does_not_trap_on_undefined_behaviour_in_products(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    force(monkeypatch, "zig")
    path = source(tmp_path, "int main(int n, char **a)\n{\n    (void)a;\n    return (n + 0x7FFFFFFE + n) & 1;\n}\n")
    program = compile_program([path], HOST, out=tmp_path / "prog")
    assert subprocess.run([program.elf], check=False).returncode in (0, 1)


@pytest.mark.parametrize(
    ("target", "forced", "text"),
    [
        (
            "m4",
            "",
            "m4: no compiler found; expected arm-none-eabi-gcc on PATH (Debian: gcc-arm-none-eabi) or "
            f"{EMULATE}, got neither",
        ),
        (
            "host",
            "",
            f"host: no compiler found; expected cc, gcc or clang on PATH (Debian: gcc) or {EMULATE}, got neither",
        ),
        (
            "m4",
            "zig",
            f"m4: HYPER_MCU_TOOLCHAIN=zig found no compiler; expected {EMULATE}, got none",
        ),
        (
            "m4",
            "clang",
            "m4: HYPER_MCU_TOOLCHAIN=clang found no compiler; expected gcc or zig, which compile for it, got none",
        ),
        (
            "lx106",
            "",
            "lx106: no compiler found; expected xtensa-lx106-elf-gcc on PATH (Debian: gcc-xtensa-lx106), got none",
        ),
        (
            "lx106",
            "zig",
            "lx106: HYPER_MCU_TOOLCHAIN=zig found no compiler; expected gcc, which does, got none",
        ),
        ("host", "tcc", "HYPER_MCU_TOOLCHAIN: unknown compiler; expected gcc, clang or zig, got tcc"),
    ],
)
def test_missing_compiler_is_named_with_its_install_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, target: str, forced: str, text: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HYPER_MCU_TOOLCHAIN", forced)
    monkeypatch.setattr(toolchain, "_zig", lambda: None)
    with pytest.raises(UserError) as e:
        find_toolchain(TARGETS[target])
    assert str(e.value) == text


def test_compiler_on_path_goes_before_zig(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("arm-none-eabi-gcc", "cc"):
        (tmp_path / name).write_text(f"#!/bin/sh\necho '{name} (Somebody 1.2-3) 99.1.2 20990101'\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("HYPER_MCU_TOOLCHAIN", raising=False)
    assert str(find_toolchain(M4)) == "arm-none-eabi-gcc 99.1.2"
    assert str(find_toolchain(HOST)) == "gcc 99.1.2"


def test_zig_is_found_without_anything_on_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    force(monkeypatch, "zig")
    monkeypatch.delenv("HYPER_MCU_TOOLCHAIN")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_toolchain(M4).kind == find_toolchain(HOST).kind == "zig"


def test_cache_follows_xdg_where_it_is_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_dir() == tmp_path / "hyper-mcu"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", "/somewhere")
    assert cache_dir() == Path("/somewhere/.cache/hyper-mcu")


@pytest.mark.parametrize(
    ("said", "first"),
    [
        ("/a b/c/d.c: In function 'f':\n/a/c/d.c:3:1: error: no 'x'\n", "d.c:3:1: no 'x'"),
        ("/tmp/x/main.c:1:10: fatal error: 'model.h' file not found\n", "main.c:1:10: 'model.h' file not found"),
        ("/usr/bin/ld: no room\ncollect2: error: ld returned 1 exit status\n", "no room"),
        ("ld.lld: error: undefined symbol: f\n>>> referenced by x\n", "undefined symbol: f"),
        (
            "/tmp/f.o: in function `g':\nf.c:(.text+0x2): undefined reference to `h'\n",
            "f.c:(.text+0x2): undefined reference to `h'",
        ),
        ("out of memory\n", "out of memory"),
        ("", ""),
    ],
)
def test_first_error_is_without_folders(said: str, first: str) -> None:
    assert first_error(said) == first


@pytest.mark.parametrize(
    ("said", "flags", "text"),
    [
        (
            "/usr/bin/ld: cannot find -lasan: No such file or directory",
            {"sanitise": True},
            "cc 12.2.0: has no sanitizers; expected their libraries (Debian: libgcc-12-dev), got none",
        ),
        (
            "gcc: fatal error: cannot execute 'cc1plus': execvp: No such file or directory",
            {"stds": {"prog.c": "c++14"}},
            "cc 12.2.0: compiles no C++; expected g++ on PATH (Debian: g++), got none",
        ),
    ],
)
def test_part_of_a_compiler_that_is_not_installed_is_named(
    tmp_path: Path, said: str, flags: dict[str, Any], text: str
) -> None:
    compiler = tmp_path / "cc"
    compiler.write_text(f'#!/bin/sh\necho "{said}" >&2\nexit 1\n')
    compiler.chmod(0o755)
    tools = Toolchain("cc", "12.2.0", "gcc", compiler)
    with pytest.raises(MissingToolError) as e:
        compile_program([source(tmp_path, "")], HOST, out=tmp_path / "prog", toolchain=tools, **flags)
    assert str(e.value) == text


def test_kind_that_is_asked_for_goes_before_the_forced_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    force(monkeypatch, "zig")
    if why := missing(("gcc", "host")):
        pytest.skip(why)
    assert find_toolchain(HOST, "gcc").kind == "gcc"
    assert find_toolchain(HOST).kind == "zig"
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError) as e:
        find_toolchain(HOST, "clang")
    assert str(e.value) == "host: no clang found; expected clang on PATH (Debian: clang), got none"
