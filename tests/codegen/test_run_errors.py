"""Whatever goes wrong where a model.h is built or runs is an error, in one line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from fake_model import CORES, HEADER, PROBES, expected, need, variant

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.run import build, run_model
from hyper_mcu.codegen.targets import TARGETS
from hyper_mcu.codegen.toolchain import find_toolchain

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


def test_memory_map_that_is_too_small_is_a_link_error() -> None:
    need("m4")
    m4 = TARGETS["m4"]
    small = replace(m4, memory=replace(m4.memory, ram_bytes=16 * 1024))
    with pytest.raises(UserError) as e:
        build(HEADER, small, taps=False)
    assert str(e.value).startswith(f"{HEADER}: does not link for m4 with ")
    assert str(e.value).endswith("; expected no error and no warning, got the program does not fit the target's RAM")
