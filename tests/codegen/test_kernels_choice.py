"""Which kernels a compiler takes for a core, and that they compile for it by options that take registers away."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

import pytest
from c_programs import WARNINGS, zig
from fake_model import missing
from kernel_checks import paper
from people import person

from hyper_mcu.codegen.emit_c import CORE, emit

ARM, RISCV = ("arm-none-eabi-gcc", "-mthumb"), ("riscv64-unknown-elf-gcc",)
M4F = ("-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard")

ENGINE = '#define HYPER_MCU_IMPLEMENTATION\n#include "model.h"\n'


@pytest.fixture
def engine(tmp_path):
    """Options to compile ENGINE by, every warning an error."""
    (tmp_path / "model.h").write_text(emit(person(paper()[0])), encoding="ascii")
    return (*WARNINGS, "-ffreestanding", "-c", "-I", str(tmp_path), "-o", str(tmp_path / "engine.o"))


def compiled(compiler: Sequence[str], *options: str, source: str) -> str:
    """What the compiler says of C from stdin: on stderr, or else on stdout; an error where it fails in silence."""
    if why := missing(compiler[0]):
        pytest.skip(why)
    done = subprocess.run([*compiler, *options, "-"], input=source, capture_output=True, text=True, check=False)
    return done.stderr or done.stdout or "failed" * bool(done.returncode)


@pytest.mark.parametrize(
    ("compiler", "options", "kernels"),
    [
        (ARM, "-mcpu=cortex-m4", "HM_DSP"),
        (ARM, "-mcpu=cortex-m33", "HM_DSP"),
        (ARM, "-mcpu=cortex-m33+nodsp", "HM_TILED"),
        (ARM, "-mcpu=cortex-m4 -mno-unaligned-access", "HM_TILED"),  # its code loads words at any address
        (ARM, "-mcpu=cortex-m4 -D__ARM_RWPI", "HM_TILED"),  # its code takes r9, which clang keeps with -frwpi
        (ARM, "-mcpu=cortex-m4 -U__GNUC__", "HM_PORTABLE"),  # another compiler's assembler
        (ARM, "-mcpu=cortex-m55 -mfloat-abi=hard", "HM_HELIUM"),
        (ARM, "-mcpu=cortex-m55 -mfloat-abi=softfp", "HM_HELIUM"),
        (ARM, "-mcpu=cortex-m55 -mfloat-abi=soft", "HM_DSP"),  # Helium's registers are those of floating point
        (ARM, "-mcpu=cortex-m23", "HM_TILED"),
        (ARM, "-mcpu=cortex-r5", "HM_PORTABLE"),
        (ARM, "-mcpu=cortex-a7", "HM_PORTABLE"),
        (RISCV, "-march=rv32e -mabi=ilp32e", "HM_TILED"),
        (RISCV, "-march=rv64imac -mabi=lp64", "HM_PORTABLE"),
    ],
)
def test_a_core_has_the_kernels_that_it_can_run(compiler, options, kernels):
    source = (CORE / "hm_kernels.h").read_text(encoding="ascii")
    assert f"\n#define HM_KERNELS {kernels}\n" in compiled(
        compiler, *options.split(), "-xc", "-dM", "-E", source=source
    )


@pytest.mark.parametrize(
    ("core", "kernels", "said"),
    [
        ("m4", "HM_DSPP", "HM_KERNELS is none of"),
        ("m4", "", "HM_KERNELS is none of"),
        ("m4", "5", "HM_KERNELS is none of"),
        ("m3", "HM_DSP", "HM_DSP is for cores with the DSP instructions"),
        ("m4", "HM_HELIUM", "HM_HELIUM is for cores with Helium"),
    ],
)
def test_kernels_that_are_none_or_not_for_the_core_are_an_error_by_name(engine, core, kernels, said):
    options = (f"-mcpu=cortex-{core}", f"-DHM_KERNELS={kernels}", "-xc")
    assert f'#error "{said}' in compiled(ARM, *options, *engine, source=ENGINE)


@pytest.mark.parametrize("level", ["-O0", "-Og", "-O2"])
@pytest.mark.parametrize(
    "options",
    [
        "-std=c11 -xc -fno-omit-frame-pointer -fstack-protector-all",
        "-std=c11 -xc -fPIC",
        "-std=c++14 -xc++ -finstrument-functions",
        "-std=c++20 -xc++",
    ],
)
def test_dsp_kernels_compile_beside_a_floating_point_unit(engine, options, level):
    assert compiled(ARM, *M4F, *options.split(), level, *engine, source=ENGINE) == ""


def test_tiles_compile_by_clang_for_a_cortex_m23(engine):
    if not (compiler := zig()):
        pytest.skip("ziglang not installed")
    target = "-target thumb-freestanding-eabi -mcpu=cortex_m23 -std=c11 -xc -O2"
    assert compiled(compiler, *target.split(), *engine, source=ENGINE) == ""
