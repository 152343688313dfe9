"""What stage `hyper` begins from: a distilled trunk, a trained generator, or nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import torch

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.netspec import Add, NetSpec
from hyper_mcu.hypertrain.distill import Trunk
from hyper_mcu.hypertrain.hgen import HGen, Shape


def check_shape(spec: NetSpec, shape: Shape) -> None:
    """Raises UserError where the stages of that architecture cannot be shared and personal as the shape says."""
    if shape.first > len(spec.stages):
        raise UserError("hgen.first", "first personal stage", f"at most {len(spec.stages)}", shape.first)
    for s in spec.stages[shape.first :]:
        if isinstance(s.layer, Add) and s.layer.of < shape.first:
            raise UserError("hgen.first", "an Add reaches back to a shared stage", f"at most {s.layer.of}", shape.first)


def check_plain(shape: Shape, distilled: int, files: Mapping[str, str]) -> None:
    """Raises UserError where θ is to come from heads alone, without θ0, and stages are shared, a trunk distilled in so
    many steps, or anything but a generator to begin with."""
    given = [f"start.{k}" for k, path in files.items() if path and k != "generator"]
    given += ["hgen.first"] if shape.first else []
    given += ["distill.steps"] if distilled and not files["generator"] else []
    if given and not shape.residual:
        want = "true, or 0 for these and nothing to begin with"
        raise UserError("hgen.residual", "nothing shared, so no trunk", want, f"false with {', '.join(given)}")


def check_files(paths: Iterable[str]) -> None:
    """Raises UserError where one is named, and is no file."""
    for path in map(Path, filter(None, paths)):
        if not path.is_file():
            got = "a folder" if path.is_dir() else "no such file"
            raise UserError(path, "nothing to begin from", "a checkpoint of stage distill or a generator.onnx", got)


def fresh(spec: NetSpec, shape: Shape, seed: int) -> HGen:
    """An untrained h_gen, the same for the same seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return HGen(spec, shape)


def from_trunk(trunk: Trunk, shape: Shape, seed: int = 0) -> HGen:
    """h_gen whose nets are the trunk with the linear head: Δ = 0. Raises UserError for a shape without θ0."""
    if not shape.residual:
        raise UserError("hgen.residual", "a trunk needs θ0 to go into", "true", "false")
    hgen = fresh(trunk.spec, shape, seed)
    with torch.no_grad():
        hgen.theta0.copy_(trunk.theta)
        hgen.theta0[next(t.offset for t in trunk.spec.tensors if t.name == "head.weight") :] = 0
        if hgen.linear is not None:
            hgen.linear.copy_(trunk.head)
    hgen.stats.load_state_dict(trunk.stats.state_dict())
    return hgen


def to_trunk(hgen: HGen, trunk: Trunk) -> None:
    """Fills the trunk with what all nets of h_gen share, and its linear head; raises UserError where it has none."""
    if hgen.linear is None:
        raise UserError("--warm", "generator that shares nothing", "one in residual form", "θ from heads alone")
    with torch.no_grad():
        trunk.theta.copy_(hgen.theta0)
        trunk.head.copy_(hgen.linear)
    trunk.stats.load_state_dict(hgen.stats.state_dict())


def grown(hgen: HGen, shape: Shape, seed: int = 0) -> HGen:
    """The same nets by an h_gen with more personal stages, which begin with Δ = 0.

    Raises UserError for a shape that differs in more than a lower `first`.
    """
    if replace(shape, first=hgen.shape.first) != hgen.shape or shape.first > hgen.shape.first:
        expected = f"{hgen.shape} or a lower first"
        raise UserError("hgen", "shape of a generator that is there already", expected, shape)
    check_shape(hgen.spec, shape)
    wider = fresh(hgen.spec, shape, seed)
    wider.load_state_dict(hgen.state_dict(), strict=False)
    return wider
