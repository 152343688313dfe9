"""What is installed from a wheel is all that the rooms hold: C, templates, manifests and weights too."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("codegen", "hypertrain", "firmware")

pytest.importorskip("wheel", reason="needs hyper-mcu[test]: wheel")


def tracked(*paths: str) -> list[str]:
    found = subprocess.run(["git", "ls-files", "-z", *paths], cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in found.stdout.split("\0") if name]


@pytest.mark.skipif(not (ROOT / ".git").exists() or not shutil.which("git"), reason="no git checkout")
def test_a_wheel_holds_every_file_of_the_rooms(tmp_path: Path) -> None:
    source, wheels = tmp_path / "source", tmp_path / "wheels"
    for name in tracked():
        if (ROOT / name).exists() or (ROOT / name).is_symlink():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name, follow_symlinks=False)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(wheels), "."]
    built = subprocess.run(pip, cwd=source, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr[-2000:]
    with zipfile.ZipFile(next(wheels.glob("*.whl"))) as wheel:
        inside = set(wheel.namelist())
    assert [name for name in tracked(*ROOMS) if f"hyper_mcu/{name}" not in inside] == []
