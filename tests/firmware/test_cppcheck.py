"""A static checker has nothing to say about the C: what goes to a device, and the harness."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from people import OTHER, TINY, net, person

from hyper_mcu.codegen.emit_c import emit
from hyper_mcu.codegen.kernels.variants import VARIANTS
from hyper_mcu.codegen.presets import preset
from hyper_mcu.codegen.run import HARNESS

pytestmark = pytest.mark.skipif(shutil.which("cppcheck") is None, reason="no cppcheck on PATH (Debian: cppcheck)")


def findings(*sources: Path, includes: Path, options: Sequence[str] = ()) -> str:
    """What cppcheck finds, "" for nothing."""
    checks = ["--enable=warning,style,performance,portability", "--inconclusive", "--std=c11", "--quiet"]
    meant = (
        "missingIncludeSystem",
        "unusedStructMember:*core_arm.c",  # the core reads the vector table, the program does not
        "knownConditionTrueFalse:*model.h",  # an architecture's constants decide what its kernels need
        "unreadVariable:*model.h",  # what the last pointer of a struct of them points to is read by the next stage
    )
    words = ["cppcheck", *checks, *options, *(f"--suppress={m}" for m in meant), f"-I{includes}", *sources]
    return subprocess.run([str(w) for w in words], capture_output=True, text=True, check=True).stderr


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: v.name)
@pytest.mark.parametrize("spec", [TINY, OTHER, preset("paper"), preset("nano")], ids=lambda s: s.id)
def test_emitted_c_has_no_findings(tmp_path: Path, spec, variant) -> None:
    (tmp_path / "model.h").write_text(emit(person(net(spec))), encoding="ascii")
    source = tmp_path / "model.c"
    source.write_text('#define HYPER_MCU_IMPLEMENTATION\n#include "model.h"\n')
    core = ["-D__ARM_FEATURE_DSP=1", "-D__ARM_FEATURE_MVE=1"]  # as a compiler says of a Cortex-M55
    assert findings(source, includes=tmp_path, options=[f"-DHM_KERNELS={variant.macro}", *core]) == ""


def test_harness_has_no_findings() -> None:
    sources = sorted(HARNESS.glob("*.c"))
    assert len(sources) == 10
    assert findings(*sources, includes=Path(__file__).parent) == ""


def test_a_finding_is_found(tmp_path: Path) -> None:
    source = tmp_path / "wrong.c"
    source.write_text("int last(void)\n{\n    int four[4] = {0};\n    return four[4];\n}\n")
    assert "arrayIndexOutOfBounds" in findings(source, includes=tmp_path)
