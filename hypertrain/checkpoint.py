"""Files of a training run: a module's state with the architecture and the backbone that it belongs to."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import torch

from hyper_mcu.codegen import files
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.netspec import NetSpec, from_json


def save(path: Path, module: torch.nn.Module, spec: NetSpec, backbone_sha256: str) -> None:
    """Writes the module's state; raises UserError where it cannot be written."""
    content = BytesIO()  # torch's own error of a full disk does not say what it is
    torch.save({"netspec": spec.to_json(), "backbone_sha256": backbone_sha256, "state": module.state_dict()}, content)
    files.write(path, content.getvalue())


def load(path: Path, module: torch.nn.Module, spec: NetSpec, backbone_sha256: str) -> None:
    """Fills the module from `path`; raises UserError where it is none or belongs to another NetSpec or backbone."""
    try:
        stored = torch.load(path, weights_only=True)
        found, backbone, state = from_json(stored["netspec"]), str(stored["backbone_sha256"]), stored["state"]
    except Exception as e:  # torch and pickle have many types for a damaged file
        kind = "no such file" if isinstance(e, FileNotFoundError) else type(e).__name__
        raise UserError(path, "not a checkpoint", "a trunk.pt written by hyper-mcu train", kind) from e
    if found.sha256 != spec.sha256:
        want, got = (f"{s.id} {s.sha256[:16]}" for s in (spec, found))
        raise UserError(path, "checkpoint of another NetSpec", want, got)
    if backbone != backbone_sha256:
        raise UserError(path, "checkpoint of another backbone", backbone_sha256[:16], backbone[:16])
    try:
        module.load_state_dict(state)
    except Exception as e:  # RuntimeError, TypeError, AttributeError: whatever a foreign state makes of it
        raise UserError(path, "not a checkpoint", "a trunk.pt written by hyper-mcu train", type(e).__name__) from e
