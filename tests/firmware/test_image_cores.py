"""hm_image elsewhere: the same bytes on emulated cores within a budget, its size, every compiler and a checker."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest
from c_programs import C11, CXX14, HOST_COMPILERS
from image_calls import (
    DEVICE,
    KINDS,
    LANDMARKS,
    ROWS,
    Ask,
    Calls,
    around,
    ask,
    differing,
    expected_warp,
    frame_of_noise,
    landmark_sets,
)
from objects import compiled

from hyper_mcu.codegen.emit_c import emit_engine
from hyper_mcu.codegen.emulate import find_emulator
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.targets import TARGETS
from hyper_mcu.device import image

pytestmark = pytest.mark.skipif(not HOST_COMPILERS, reason="no gcc or clang on PATH")
SOURCE = DEVICE / "hm_image.c"
COSTS = {0: 2_700_000, 1: 6_900_000, 2: 12_700_000}  # instructions of a frame of RGB565, by halvings


@pytest.mark.parametrize("target", ["m4", "rv32imc"])
def test_emulated_cores_give_the_same_bytes_within_their_budget(tmp_path, small_person, target):
    if not shutil.which(TARGETS[target].isa.gcc.name):
        pytest.skip(f"no {TARGETS[target].isa.gcc.name} on PATH")
    try:
        find_emulator(TARGETS[target])
    except UserError as missing:
        pytest.skip(str(missing))
    core = Calls(tmp_path, small_person, target)
    rng = np.random.default_rng(15)
    asks, frames = [], []
    for kind in KINDS:
        for halvings in range(3):
            frames.append(frame_of_noise(rng, kind, 240, 320))
            warp = around(rng, 240, 320, halvings, 150, 0.3)
            asks.append(ask(ROWS, frames[-1], kind, warp=warp))
    assert differing(core, asks, frames) == []
    assert core.calls is not None
    if target == "m4":
        for a, call in zip(asks, core.calls, strict=True):
            if KINDS[a.kind].startswith("rgb565"):
                assert call.instructions < COSTS[a.warp.halvings]
    sets = list(landmark_sets(60, 3))
    wanted = [expected_warp(image.warp_of_landmarks, 640, 480, p) for p in sets]
    assert core.warps([Ask(LANDMARKS, b"", 0, 640, 480, 0, points=p) for p in sets]) == wanted


CROSS = {
    "m4": (("arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mthumb", "-ffreestanding"), 7_000),
    "rv32": (("riscv64-unknown-elf-gcc", "-march=rv32imc", "-mabi=ilp32", "-ffreestanding"), 8_600),
}


@pytest.mark.parametrize("core", CROSS)
def test_code_is_small_and_needs_no_library(tmp_path, small_person, core):
    compiler, budget = CROSS[core]
    if not shutil.which(compiler[0]):
        pytest.skip(f"no {compiler[0]} on PATH")
    (tmp_path / "hm_engine.h").write_text(emit_engine(small_person), encoding="ascii")
    assert compiled(SOURCE, tmp_path, *compiler, *C11, "-Os") == (0, "")
    tool = compiler[0].removesuffix("gcc")
    made = tmp_path / "hm_image.o"
    sizes = subprocess.run([f"{tool}size", made], capture_output=True, text=True, check=True).stdout
    text, data, bss = (int(n) for n in sizes.splitlines()[1].split()[:3])
    assert (text < budget, data, bss) == (True, 0, 0), sizes
    names = subprocess.run([f"{tool}nm", "-u", made], capture_output=True, text=True, check=True).stdout
    wanted = set(names.split()) - {"U", "hm_begin", "hm_push_row", "hm_end", "memset", "memcpy"}
    assert wanted <= {"__ashldi3", "__ashrdi3", "__lshrdi3"}  # shifts of 64 bits, libgcc's at -Os; no division


@pytest.mark.parametrize("compiler", HOST_COMPILERS)
@pytest.mark.parametrize("language", [C11, CXX14], ids=["c11", "c++14"])
@pytest.mark.parametrize("optimise", ["-O0", "-O2", "-Os"])
def test_compiles_without_a_warning(tmp_path, small_person, compiler, language, optimise):
    (tmp_path / "hm_engine.h").write_text(emit_engine(small_person), encoding="ascii")
    assert compiled(SOURCE, tmp_path, compiler, *language, optimise) == (0, "")


@pytest.mark.skipif(shutil.which("cppcheck") is None, reason="no cppcheck on PATH (Debian: cppcheck)")
def test_a_static_checker_has_nothing_to_say(tmp_path, small_person):
    (tmp_path / "hm_engine.h").write_text(emit_engine(small_person), encoding="ascii")
    checks = ["--enable=warning,style,performance,portability", "--inconclusive", "--std=c11", "--quiet"]
    known = ["--suppress=missingIncludeSystem", "-DHM_KERNELS=HM_PORTABLE", "-D__GNUC__=12", f"-I{tmp_path}"]
    command = ["cppcheck", *checks, *known, SOURCE]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stderr == ""
