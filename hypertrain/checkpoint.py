"""Checkpoints: safetensors with a module's state, the optimiser's where training goes on, and the frozen settings.

Metadata (text): `format`, `netspec`, `backbone_sha256`, `stage`, `step`, `best`, `config`. Nothing in it is code.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise
from torch import Tensor

from hyper_mcu.codegen import files
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.netspec import NetSpec, from_json

FORMAT = "1"
EXPECTED = "a checkpoint written by hyper-mcu train"


@dataclass(frozen=True)
class About:
    """What a checkpoint belongs to: the architecture, the backbone, the stage of training, how far it is, the best
    held-out EER so far, and the settings of the run as JSON."""

    spec: NetSpec
    backbone_sha256: str
    stage: str
    step: int = 0
    best: float = 1.0
    config: str = "{}"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint as read: `module`, `optimiser` and `average` (of the weights) are states by name."""

    path: Path
    about: About
    module: dict[str, Tensor]
    optimiser: dict[str, Tensor]
    average: dict[str, Tensor]


def save(
    path: Path,
    module: torch.nn.Module,
    about: About,
    optimiser: torch.optim.Optimizer | None = None,
    average: Mapping[str, Tensor] | None = None,
) -> None:
    """Writes a checkpoint, whole or not at all; raises UserError where it cannot be written. average: of the module's
    parameters, by their names."""
    tensors = {f"module.{k}": v.detach().cpu().contiguous() for k, v in module.state_dict().items()}
    tensors |= {f"average.{k}": v.detach().cpu().contiguous() for k, v in (average or {}).items()}
    if optimiser is not None:
        for index, state in optimiser.state_dict()["state"].items():
            for key, v in state.items():
                if v is not None:
                    tensors[f"optimiser.{index}.{key}"] = torch.as_tensor(v).detach().cpu().contiguous()
    tensors = {k: v.clone() for k, v in tensors.items()}  # safetensors refuses tensors that share memory
    metadata = {
        "format": FORMAT,
        "netspec": about.spec.to_json(),
        "backbone_sha256": about.backbone_sha256,
        "stage": about.stage,
        "step": str(about.step),
        "best": json.dumps(about.best),
        "config": about.config,
    }
    files.write(path, serialise(tensors, metadata))


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The safetensors file; raises UserError where it is none, and for what is missing from it."""
    if not path.is_file():
        raise UserError(path, "not a checkpoint", EXPECTED, "a folder" if path.is_dir() else "no such file")
    try:
        with safe_open(str(path), "pt") as f:
            yield f
    except (SafetensorError, KeyError, ValueError, OSError) as e:
        raise UserError(path, "not a checkpoint", EXPECTED, type(e).__name__) from e


def about(path: Path) -> About:
    """What a checkpoint belongs to, its tensors unread; raises UserError where it is none."""
    with _opened(path) as f:
        meta = f.metadata() or {}
        if meta["format"] != FORMAT:
            raise UserError(path, "checkpoint format", FORMAT, meta["format"])
        return About(
            from_json(meta["netspec"]),
            meta["backbone_sha256"],
            meta["stage"],
            int(meta["step"]),
            float(json.loads(meta["best"])),
            meta["config"],
        )


def read(path: Path) -> Checkpoint:
    """Reads a checkpoint; raises UserError where it is none."""
    told = about(path)
    with _opened(path) as f:
        tensors = {k: f.get_tensor(k) for k in f.keys()}  # noqa: SIM118 (no mapping)

    def under(prefix: str) -> dict[str, Tensor]:
        return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

    return Checkpoint(path, told, under("module."), under("optimiser."), under("average."))


def fill(c: Checkpoint, module: torch.nn.Module, spec: NetSpec, backbone_sha256: str) -> None:
    """Fills the module; raises UserError where the checkpoint belongs to another NetSpec, backbone or module."""
    found = c.about.spec
    if found.sha256 != spec.sha256:
        want, got = (f"{s.id} {s.sha256[:16]}" for s in (spec, found))
        raise UserError(c.path, "checkpoint of another NetSpec", want, got)
    if c.about.backbone_sha256 != backbone_sha256:
        want, got = backbone_sha256[:16], c.about.backbone_sha256[:16]
        raise UserError(c.path, "checkpoint of another backbone", want, got)
    shapes = {k: tuple(v.shape) for k, v in module.state_dict().items()}
    stored = {k: tuple(v.shape) for k, v in c.module.items()}
    for name in sorted(shapes.keys() | stored.keys()):
        if shapes.get(name) != stored.get(name):
            want, got = (f"{s[name]}" if name in s else "nothing" for s in (shapes, stored))
            raise UserError(c.path, f"checkpoint of another {type(module).__name__}: {name}", want, got)
    module.load_state_dict(c.module)


def fill_optimiser(c: Checkpoint, optimiser: torch.optim.Optimizer) -> None:
    """Gives the optimiser the state that it had; its groups and their settings come from the config."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, v in c.optimiser.items():
        index, _, key = name.partition(".")
        state.setdefault(int(index), {})[key] = v
    try:
        optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    except (ValueError, KeyError) as e:
        raise UserError(c.path, "checkpoint of another optimiser", EXPECTED, str(e)) from e
