"""Processes under torchrun: what one of them sees when another ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs hyper-mcu[train]: torch")

SCRIPT = """
import os, signal
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.hypertrain import processes
signal.signal(signal.SIGTERM, signal.SIG_IGN)  # which torchrun sends to the survivor, soon
try:
    with processes.joined():
        assert processes.highest(processes.rank() + 3) == 4
        if processes.rank() == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        processes.highest(0)
except UserError as e:
    print(e, flush=True)
"""


def test_a_process_that_survives_another_says_so_in_one_line(tmp_path: Path) -> None:
    script = tmp_path / "two.py"
    script.write_text(SCRIPT)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    where = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(launch, capture_output=True, text=True, check=False, env=where, timeout=300)
    assert done.returncode == 1
    assert done.stdout == "process 1 of 2: another process has ended, which says why, if it could\n"
    assert "rank0" not in done.stderr, "no traceback of the survivor"
