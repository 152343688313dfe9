"""What a call costs is measured: instructions, cycles by the model, stores, stack, flash."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_model import HEADER, PROBES, need, variant

from hyper_mcu.codegen import emulate, instructions
from hyper_mcu.codegen.elf import read_elf
from hyper_mcu.codegen.emulate import EMULATORS
from hyper_mcu.codegen.run import build, flash_bytes, run_model
from hyper_mcu.codegen.targets import TARGETS
from hyper_mcu.codegen.toolchain import Program

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


def counted(
    program: Program, target: str, emulator: str, probes: list[bytes], stored: range = range(0)
) -> tuple[instructions.Call, ...]:
    """What the calls cost; skips the test where nobody counts here."""
    told = emulate.run_elf(program.elf, TARGETS[target], b"".join(probes), emulator=emulator, stored=stored)
    if told.calls is None:
        pytest.skip(f"{told.emulator} not counted: a host compiler, or plugins in QEMU")
    return told.calls


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
