"""Who counts is built once, whoever asks for it, and where nobody can count nothing is guessed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from fake_model import HEADER, PROBES, expected, missing

from hyper_mcu.codegen import emulate, instructions
from hyper_mcu.codegen.run import build, run_model
from hyper_mcu.codegen.targets import TARGETS
from hyper_mcu.codegen.toolchain import Toolchain


def test_two_threads_that_build_the_library_at_once_both_have_it(tmp_path, monkeypatch):
    both = Barrier(2, timeout=10)

    def compiled(source, out, tools, defines):
        out.write_bytes(b"library")
        both.wait()  # neither has moved its own yet

    monkeypatch.setattr(instructions, "cache_dir", lambda: tmp_path / "cache")
    monkeypatch.setattr(instructions, "find_toolchain", lambda target: Toolchain("gcc", "1", "gcc", tmp_path / "gcc"))
    monkeypatch.setattr(instructions, "compile_library", compiled)
    with ThreadPoolExecutor(2) as pool:
        one, two = (pool.submit(instructions.counter_library.__wrapped__) for _ in range(2))
    assert one.result() == two.result()
    assert [p.read_bytes() for p in (tmp_path / "cache").iterdir()] == [b"library"]


def test_plugin_of_a_version_that_qemu_refuses_is_not_taken(monkeypatch):
    if why := missing(("qemu", "m4"), ("gcc", "host")):
        pytest.skip(why)
    taken = instructions.plugin.__wrapped__("qemu-system-arm")
    if taken is None:
        pytest.skip("a QEMU with plugins")
    monkeypatch.setattr(instructions, "PLUGIN_VERSIONS", (99, *instructions.PLUGIN_VERSIONS))
    assert instructions.plugin.__wrapped__("qemu-system-arm") == taken
    monkeypatch.setattr(instructions, "PLUGIN_VERSIONS", (99,))
    assert instructions.plugin.__wrapped__("qemu-system-arm") is None


def test_qemu_without_plugins_runs_and_counts_nothing(monkeypatch):
    if why := missing("m4", ("qemu", "m4")):
        pytest.skip(why)
    monkeypatch.setattr(emulate, "plugin", lambda qemu: None)
    (run,), report = run_model(HEADER, PROBES[0], "m4", emulator="qemu")
    assert (run.logit, run.instructions, report.instructions) == (expected(PROBES[0])[0], None, None)


def test_more_events_than_there_is_room_for_are_no_counts(monkeypatch):
    if why := missing("m4", ("unicorn", "m4"), ("gcc", "host")):
        pytest.skip(why)
    program = build(HEADER, TARGETS["m4"], taps=False)
    told = []
    for room in (12, 11):  # four a call
        monkeypatch.setattr(instructions, "ROOM", room)
        told.append(emulate.run_elf(program.elf, TARGETS["m4"], b"".join(PROBES), emulator="unicorn"))
    assert len(told[0].calls) == 3
    assert (told[1].code, told[1].calls) == (0, None)
