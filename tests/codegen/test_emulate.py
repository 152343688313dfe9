"""The same model.h answers alike on this machine and on every emulated core, and whatever goes wrong is an error."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from fake_model import HEADER, PROBES, expected, missing, variant

from hyper_mcu.codegen import emulate, install, instructions
from hyper_mcu.codegen.elf import read_elf
from hyper_mcu.codegen.emulate import EMULATORS
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.run import KEPT_PROGRAMS, build, flash_bytes, run_model
from hyper_mcu.codegen.targets import TARGETS, target_named
from hyper_mcu.codegen.toolchain import Program, find_toolchain

EMULATE = install.extra("emulate")
CORES = [(target.name, emulator) for target in TARGETS.values() for emulator in target.emulators]
PLACES = [("gcc", "host", "auto"), ("clang", "host", "auto"), ("zig", "host", "auto")]
PLACES += [(kind, *core) for core in CORES for kind in TARGETS[core[0]].compilers]
SKIPPED = "cmp r3, #1\\n it hi\\n addhi r2, r2, #0\\n"
LOOPS = {
    "m4": '__asm__ volatile("mov r3, %0\\n mov r1, sp\\n 1: {} subs r3, r3, #1\\n bne 1b" : : '
    '"r"(TURNS) : "r0", "r1", "r2", "r3", "r4", "cc");',
    "m5": '__asm__ volatile("mov r3, %0\\n 1: {} subs r3, r3, #1\\n bne 1b" : : "r"(TURNS) : "r2", "r3", "cc");',
    "rv": '__asm__ volatile("mv t1, %0\\n 1: addi t1, t1, -1\\n {} bnez t1, 1b" : : "r"(TURNS) : "t0", "t1");',
}
TURNS = (  # what a loop does, instructions and cycles (two more for the branch) a turn
    ("", 2, 4),
    (SKIPPED, 5, 7),
    ("ldr r2, [r1]\\n", 3, 6),  # nobody accesses memory next
    ("ldr r2, [r1]\\n str r2, [r1, #-4]\\n", 4, 6),
    ("ldrd r2, r4, [r1]\\n", 3, 7),
    ("ldmia r1, {r0, r2, r4}\\n", 3, 8),
    ("ldmia.w r1, {r0, r2}\\n ldrb.w r4, [r1, #7]\\n", 4, 8),
    ("push {r0, r2}\\n pop {r0, r2}\\n", 4, 9),
    ("mov r2, #3\\n udiv r0, r3, r2\\n", 4, 12),
    ("smull r0, r2, r3, r3\\n", 3, 5),
    ("b 2f\\n .balign 4096\\n .skip 4092\\n 2: nop\\n mov.w r2, #1\\n mov.w r4, #1\\n", 6, 10),  # across a page
    ("bl 2f\\n b 3f\\n 2: bx lr\\n 3:", 5, 13),
)


def need(*wanted: str | tuple[str, str]) -> None:
    """Skips the test by the name of what is not installed."""
    if why := missing(*wanted):
        pytest.skip(why)


@pytest.mark.parametrize(("kind", "target", "emulator"), PLACES)
def test_every_compiler_target_and_emulator_gives_the_same_bytes(
    monkeypatch: pytest.MonkeyPatch, kind: str, target: str, emulator: str
) -> None:
    need((kind, target), (emulator, target))
    monkeypatch.setenv("HYPER_MCU_TOOLCHAIN", kind)
    runs, report = run_model(HEADER, PROBES, target, emulator=emulator)
    for run, probe in zip(runs, PROBES, strict=True):
        logit, layers, digest = expected(probe)
        assert (run.status, run.logit, run.threshold, run.match) == (0, logit, 100, logit >= 100)
        assert (run.layers, run.layers_sha256) == (layers, digest)
        assert run.session_bytes == 40
        assert 4 <= run.stack_bytes <= 400
    assert {r.match for r in runs} == {True, False}
    assert report.emulator.startswith({"auto": "", "unicorn": "unicorn 2", "qemu": "QEMU "}[emulator])
    assert report.person_bytes == (24 if target == "host" else 12) + 8 + len("fake") + 1
    assert 60 < report.code_bytes < 2000


FAULTS = (
    ("lx106", "logit = *(const volatile int32_t *)0x10000000U;"),
    ("lx106", "hm_status (*volatile nowhere)(void) = (hm_status (*)(void))0x10000000U; nowhere();"),
    ("lx106", '__asm__ volatile("ill");'),
    ("m4", "logit = *(const volatile int32_t *)0x60000000U;"),
    ("m4", "((hm_status (*)(void))0xA0000001U)();"),
    ("m4", '__asm__ volatile("udf #0");'),
    ("m4", '__asm__ volatile("bkpt #0");'),
    ("m55", '__asm__ volatile("udf #0");'),
    ("rv32imc", "logit = *(const volatile int32_t *)0xF0000000U;"),
    ("rv32imc", "((hm_status (*)(void))0xF0000000U)();"),
    ("rv32imc", '__asm__ volatile("unimp");'),
    ("rv32imc", '__asm__ volatile("ebreak");'),
)


@pytest.mark.parametrize(
    ("target", "emulator", "statement"), [(t, e, statement) for t, statement in FAULTS for e in TARGETS[t].emulators]
)
def test_fault_is_an_error(tmp_path: Path, target: str, emulator: str, statement: str) -> None:
    need(target, (emulator, target))
    header = variant(tmp_path, ("/* BEFORE */", statement))
    with pytest.raises(UserError) as e:
        run_model(header, PROBES, target, emulator=emulator)
    assert str(e.value).startswith(f"{header} on {target}: the program crashed; expected exit code 0, got exit code 82")


@pytest.mark.parametrize("target", ["m4", "rv32imc"])
def test_stack_that_overflows_is_an_error(tmp_path: Path, target: str) -> None:
    need(target, ("unicorn", target))
    deep = "uint8_t volatile deep[20000]; for (int i = 0; i < 20000; i += 4) { deep[i] = 1; } logit = deep[4];"
    header = variant(tmp_path, ("/* BEFORE */", deep))
    with pytest.raises(UserError, match=r"the program crashed; .* exit code 82 \(Invalid memory write"):
        run_model(header, PROBES, target, emulator="unicorn")


@pytest.mark.parametrize(("target", "emulator"), CORES)
def test_stack_used_to_its_last_word_is_an_error(tmp_path: Path, target: str, emulator: str) -> None:
    need(target, (emulator, target))
    last = "{ extern uint32_t hm_stack_limit[]; hm_stack_limit[0] = 1; }"
    header = variant(tmp_path, ("/* BEFORE */", last))
    with pytest.raises(UserError) as e:
        run_model(header, PROBES, target, emulator=emulator)
    text = f"{header} on {target}: the program overflowed its stack; expected exit code 0, got exit code 84"
    assert str(e.value) == text


def test_crash_on_this_machine_is_an_error(tmp_path: Path) -> None:
    header = variant(tmp_path, ("/* BEFORE */", "const int32_t volatile *volatile nowhere = NULL; logit = *nowhere;"))
    with pytest.raises(UserError) as e:
        run_model(header, PROBES)
    text = f"{header} on host: the program crashed; expected exit code 0, got exit code 82 (SIGSEGV)"
    assert str(e.value) == text


@pytest.mark.parametrize(("target", "emulator"), [("host", "auto"), *(c for c in CORES if c[0] in ("m4", "rv32imc"))])
def test_endless_program_is_stopped(tmp_path: Path, target: str, emulator: str) -> None:
    need(target, (emulator, target))
    header = variant(tmp_path, ("/* BEFORE */", "while (*(const volatile int32_t *)&person->threshold == 100) {}"))
    with pytest.raises(UserError) as e:
        run_model(header, PROBES, target, emulator=emulator, limit_s=0.5)
    assert str(e.value) == f"{target}: the program did not end; expected its last record within 0.5 s, got none"


def test_status_other_than_ok_is_an_error(tmp_path: Path) -> None:
    header = variant(tmp_path, ("/* BEFORE */", "*verdict = (hm_verdict){0}; return HM_CORRUPT_PERSON;"))
    with pytest.raises(UserError) as e:
        run_model(header, PROBES)
    assert str(e.value) == (
        f"{header} on host: hm_verify refused; expected status 0, got status 5 (hm_status in the header)"
    )


def test_taps_that_change_the_verdict_are_an_error(tmp_path: Path) -> None:
    header = variant(
        tmp_path,
        ("#ifndef HM_TAP\n", "#ifndef HM_TAP\n#define SHIFT 1\n"),
        ("int32_t sum = y;", "int32_t sum = y + SHIFT;"),
    )
    header.write_text(
        header.read_text().replace(
            "#define FAKE_MODEL_H\n", "#define FAKE_MODEL_H\n#ifdef HM_TAP\n#define SHIFT 0\n#endif\n"
        )
    )
    logit = expected(PROBES[0])[0]
    with pytest.raises(UserError) as e:
        run_model(header, PROBES)
    assert str(e.value) == f"{header} on host: taps change the verdict; expected logit {logit + 4}, got {logit}"


@pytest.mark.parametrize("size", [0, 95, 97, 192])
def test_probe_of_wrong_size_is_refused(size: int) -> None:
    with pytest.raises(UserError) as e:
        run_model(HEADER, bytes(size))
    assert str(e.value) == f"probe: wrong size; expected 96 bytes, got {size} bytes"


def test_header_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError) as e:
        run_model(tmp_path / "none.h", PROBES)
    assert str(e.value) == f"{tmp_path}/none.h: cannot be read; expected a model.h, got no such file or directory"


def test_foreign_header_is_refused_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need(("gcc", "host"))
    monkeypatch.setenv("HYPER_MCU_TOOLCHAIN", "gcc")
    header = tmp_path / "stdio.h"
    header.write_text("int x;\n")
    with pytest.raises(UserError) as e:
        run_model(header, PROBES)
    assert str(e.value) == (
        f"{header}: does not compile for host with {find_toolchain(TARGETS['host'])}; "
        "expected no error and no warning, got main.c:26:8: unknown type name 'hm_session'"
    )


def test_unknown_target_is_refused() -> None:
    with pytest.raises(UserError) as e:
        run_model(HEADER, PROBES, "m5")
    assert str(e.value) == "target: unknown; expected one of host, m0, m3, m4, m7, m33, m55, rv32imc, lx106, got m5"


@pytest.mark.parametrize(
    ("target", "emulator", "text"),
    [
        ("m4", "auto", f"{EMULATE} or qemu-system-arm on PATH (Debian: qemu-system-arm), got neither"),
        ("m4", "unicorn", f"{EMULATE}, got none"),
        ("m4", "qemu", "qemu-system-arm on PATH (Debian: qemu-system-arm), got none"),
        ("m0", "auto", f"{EMULATE}, got none"),
        ("m55", "auto", "qemu-system-arm on PATH (Debian: qemu-system-arm), got none"),
        ("rv32imc", "qemu", "qemu-system-riscv32 on PATH (Debian: qemu-system-misc), got none"),
    ],
)
def test_missing_emulator_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, target: str, emulator: str, text: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError) as e:
        emulate.find_emulator(target_named(target), emulator)
    assert str(e.value) == f"{target}: no emulator found; expected {text}"


@pytest.mark.parametrize(("target", "emulator"), [("m0", "qemu"), ("m55", "unicorn")])
def test_target_that_an_emulator_lacks_is_named(target: str, emulator: str) -> None:
    with pytest.raises(UserError) as e:
        emulate.find_emulator(target_named(target), emulator)
    assert str(e.value) == f"{target}: {emulator} does not emulate it; expected another emulator, got {emulator}"


@pytest.mark.parametrize(
    ("target", "emulator", "body", "turn", "cycles"),
    [
        *(("m4", emulator, *row) for emulator in TARGETS["m4"].emulators for row in TURNS),
        *(("rv32imc", emulator, "mul t0, t1, t1\\n", 3, None) for emulator in TARGETS["rv32imc"].emulators),
        ("m55", "qemu", SKIPPED, 5, None),
    ],
)
def test_instructions_are_counted_exactly_and_cycles_by_the_model(
    tmp_path: Path, target: str, emulator: str, body: str, turn: int, cycles: int | None
) -> None:
    need(target, (emulator, target))
    counts = []
    for turns in (1000, 2000):  # loaded by one instruction each
        loop = LOOPS[target[:2]].format(body)
        header = variant(tmp_path, ("/* BEFORE */", loop.replace("TURNS", str(turns))))
        counts.append(counted(build(header, TARGETS[target], taps=False), target, emulator, PROBES[:1])[0])
    assert counts[1].instructions - counts[0].instructions == 1000 * turn
    assert cycles is None or counts[1].cycles - counts[0].cycles == 1000 * cycles


@pytest.mark.parametrize("target", [t.name for t in TARGETS.values() if len(t.emulators) == 2])
def test_both_emulators_count_the_same_calls_cycles_and_stores(target: str) -> None:
    need(target, ("unicorn", target), ("qemu", target))
    program = build(HEADER, TARGETS[target], taps=False)
    session = next(s for s in read_elf(program.elf).symbols if s.name == "session")
    stored = range(session.value, session.value + session.size)
    one, other = (counted(program, target, emulator, PROBES, stored) for emulator in EMULATORS)
    assert one == other
    assert len(one) == len(PROBES)
    assert all(call.stores for call in one)


def counted(
    program: Program, target: str, emulator: str, probes: list[bytes], stored: range = range(0)
) -> tuple[instructions.Call, ...]:
    """What the calls cost; skips the test where nobody counts here."""
    told = emulate.run_elf(program.elf, TARGETS[target], b"".join(probes), emulator=emulator, stored=stored)
    if told.calls is None:
        pytest.skip(f"{told.emulator} not counted: a host compiler, or plugins in QEMU")
    return told.calls


def test_instructions_are_not_guessed_where_nobody_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    need("m4", ("unicorn", "m4"))
    monkeypatch.setattr("hyper_mcu.codegen.unicorn_machine.counter_library", lambda: None)
    runs, report = run_model(HEADER, PROBES[0], "m4", emulator="unicorn")
    assert (report.instructions, runs[0].instructions) == (None, None)
    assert run_model(HEADER, PROBES[0])[1].instructions is None


@pytest.mark.parametrize("target", ["host", "m4"])
def test_stack_of_the_call_is_measured(tmp_path: Path, target: str) -> None:
    need(target, ("auto", target))
    plain = run_model(HEADER, PROBES[0], target)[1].stack_bytes
    hungry = "uint8_t volatile hungry[1200]; for (int i = 0; i < 1200; i++) { hungry[i] = 1; } logit = hungry[3] - 1;"
    header = variant(tmp_path, ("/* BEFORE */", hungry))
    assert 1150 <= run_model(header, PROBES[0], target)[1].stack_bytes - plain <= 1300


@pytest.mark.parametrize("target", ["host", "m4"])
def test_flash_is_the_persons_data_and_the_code_that_is_called(tmp_path: Path, target: str) -> None:
    need(target)
    where = TARGETS[target]
    person, *code = flash_bytes(build(HEADER, where, taps=False))
    grown = variant(tmp_path, ("int8_t weight[8];", "int8_t weight[108];"), ('"fake"', '"somebody"'))
    assert flash_bytes(build(grown, where, taps=False)) == (person + 100 + 4, *code)
    longer = variant(
        tmp_path,
        (
            "    session->row[0]++;\n",
            "    for (int i = 0; i < 40; i += 3) { session->row[i] = (uint8_t)(session->row[i] * i); }\n",
        ),
    )
    assert flash_bytes(build(longer, where, taps=False)) == (person, *code), "hm_never_called is not linked"


def test_programs_are_built_once_and_kept_from_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need(("gcc", "host"))
    monkeypatch.setenv("HYPER_MCU_TOOLCHAIN", "gcc")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    first = build(HEADER, TARGETS["host"], taps=False)
    written = first.elf.stat().st_mtime_ns
    assert build(HEADER, TARGETS["host"], taps=False).elf.stat().st_mtime_ns == written
    assert first.elf.is_relative_to(tmp_path / "cache" / "hyper-mcu" / "programs")
    assert first.elf.parent.stat().st_mode & 0o077 == 0
    other = build(variant(tmp_path, ('"fake"', '"other"')), TARGETS["host"], taps=False)
    assert other.elf != first.elf
    assert [p.name for p in first.elf.parent.parent.iterdir() if p.name.startswith(".")] == []


def test_cache_that_cannot_be_written_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hyper-mcu").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(UserError) as e:
        run_model(HEADER, PROBES)
    assert str(e.value) == (
        f"{tmp_path}/hyper-mcu: cannot be written; "
        "expected space and permission, or another XDG_CACHE_HOME, got file exists"
    )


def test_cache_that_is_a_link_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "hyper-mcu").symlink_to("elsewhere")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(UserError) as e:
        run_model(HEADER, PROBES)
    assert str(e.value) == f"{tmp_path}/hyper-mcu: not safe to run programs from; expected a folder, got a link"
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_cache_keeps_the_newest_builds_and_what_is_not_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    programs = tmp_path / "hyper-mcu" / "programs"
    old = [f"{i:032x}" for i in range(KEPT_PROGRAMS + 2)]
    for name in (*old, ".build-killed", ".build-running", "mine", "x" * 32):
        (programs / name).mkdir(parents=True)
    (tmp_path / "hyper-mcu").chmod(0o700)
    programs.chmod(0o700)
    for i, name in enumerate((*old, ".build-killed", "mine")):
        os.utime(programs / name, (1e9 + i, 1e9 + i))
    place = build(HEADER, TARGETS["host"], taps=False).elf.parent
    left = {p.name for p in programs.iterdir()}
    assert left == {place.name, *old[3:], ".build-running", "mine", "x" * 32}


@pytest.mark.parametrize("damage", ["harness", "engine.o"])
def test_half_a_build_in_the_cache_is_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    place = build(HEADER, TARGETS["host"], taps=False).elf.parent
    (place / damage).unlink()
    assert (build(HEADER, TARGETS["host"], taps=False).elf.parent / damage).is_file()
    assert [p.name for p in place.parent.iterdir()] == [place.name]


def test_text_that_was_read_is_what_is_compiled(tmp_path: Path) -> None:
    path = tmp_path / "model.h"
    path.write_text("#error changed since it was read\n")
    assert run_model(path, PROBES, text=HEADER.read_text())[0] == run_model(HEADER, PROBES)[0]


@pytest.mark.parametrize("shared", ["hyper-mcu", "hyper-mcu/programs"])
def test_programs_are_not_run_from_where_others_may_write(
    shared: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need("host")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    run_model(HEADER, PROBES)
    folder = tmp_path / shared
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    with pytest.raises(UserError) as e:
        run_model(HEADER, PROBES)
    assert str(e.value) == (
        f"{folder}: not safe to run programs from; expected a folder to which nobody else may write, got mode 777"
    )


@pytest.mark.parametrize("target", [t.name for t in TARGETS.values() if t.emulators == EMULATORS])
def test_one_elf_runs_on_both_emulators(target: str) -> None:
    need(target, ("unicorn", target), ("qemu", target))
    program = build(HEADER, TARGETS[target], taps=True)
    by = [emulate.run_elf(program.elf, TARGETS[target], b"".join(PROBES), emulator=e) for e in EMULATORS]
    assert [b.code for b in by] == [0, 0]
    assert len(by[0].stdout) == len(by[1].stdout) > 500


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


def test_memory_map_that_is_too_small_is_a_link_error() -> None:
    need("m4")
    m4 = TARGETS["m4"]
    small = replace(m4, memory=replace(m4.memory, ram_bytes=16 * 1024))
    with pytest.raises(UserError) as e:
        build(HEADER, small, taps=False)
    assert str(e.value).startswith(f"{HEADER}: does not link for m4 with ")
    assert str(e.value).endswith("; expected no error and no warning, got the program does not fit the target's RAM")


@pytest.mark.parametrize("qemu", sorted({t.isa.qemu.name for t in TARGETS.values() if t.isa}))
def test_version_of_qemu_is_told(qemu: str) -> None:
    need(qemu)
    said = subprocess.run([qemu, "--version"], capture_output=True, text=True, check=True).stdout
    assert emulate.qemu_version(qemu) in said
