"""Stage 2: what is personal, by the paper's loss over all pairs of a batch and the teacher's similarities.

h_gen starts as the distilled trunk (stage 1). Its personal tail is then trained on B people × n photos: every net of a
few enrolled embeddings, real ones and mixtures, looks at every image. Mixtures have no label, but the teacher's
similarity ⟨e, E(x)⟩ is known for any e: that is what keeps the personal part from memorising the training people.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.netspec import Add, Conv, NetSpec
from hyper_mcu.codegen.progress import Progress, silent
from hyper_mcu.hypertrain import augment, checkpoint, loss
from hyper_mcu.hypertrain.data import MARGIN, Faces
from hyper_mcu.hypertrain.distill import Trunk, enrol_embeddings
from hyper_mcu.hypertrain.hgen import HGen, Shape, tail
from hyper_mcu.hypertrain.journal import Journal
from hyper_mcu.hypertrain.metrics import equal_error
from hyper_mcu.hypertrain.net import features, split
from hyper_mcu.hypertrain.optimise import adamw
from hyper_mcu.hypertrain.settings import at_least


@dataclass(frozen=True)
class Config:
    """Hyper-parameters of stage 2: `people`·`photos` images a step, `nets` enrolled embeddings of them and `mixtures`
    random ones; weights of the loss terms; `noise` is the norm of what is added to every enrolled embedding."""

    steps: int = 1500
    people: int = 48
    photos: int = 4
    nets: int = 32
    mixtures: int = 32
    lr: float = 5e-5
    weight_decay: float = 1e-2
    warmup: int = 100
    beta: float = 2.0
    alpha_norm: float = 1e-5
    bce: float = 1.0
    teacher: float = 20.0
    noise: float = 0.2
    seed: int = 0
    every: int = 250

    def __post_init__(self) -> None:
        at_least("personal", self, steps=0, people=1, photos=1, nets=1, mixtures=0, every=1, warmup=0, seed=0)
        at_least("personal", self, lr=0, weight_decay=0, beta=0, alpha_norm=0, bce=0, teacher=0, noise=0)


def check_shape(spec: NetSpec, shape: Shape, dimension: int) -> None:
    """Raises UserError where stage 2 cannot train an h_gen of that shape for that architecture, on embeddings of that
    dimension."""
    if shape.dimension != dimension:
        raise UserError("shape.dimension", "not the backbone's", str(dimension), shape.dimension)
    if spec.head.kind != "cosdot":
        raise UserError(spec.id, "stage 2 trains cosines", "a CosDot head", spec.head.kind)
    if shape.first > len(spec.stages):
        raise UserError("shape.first", "first personal stage", f"at most {len(spec.stages)}", shape.first)
    for s in spec.stages[shape.first :]:
        if isinstance(s.layer, Add) and s.layer.of < shape.first:
            raise UserError(
                "shape.first", "an Add reaches back to a shared stage", f"at most {s.layer.of}", shape.first
            )


def from_trunk(trunk: Trunk, shape: Shape, seed: int = 0) -> HGen:
    """h_gen whose nets are the trunk with the linear head: Δ = 0. Raises UserError for a shape that does not fit."""
    check_shape(trunk.spec, shape, trunk.head.shape[1])
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        hgen = HGen(trunk.spec, shape)
    with torch.no_grad():
        hgen.theta0.copy_(trunk.theta)
        hgen.theta0[trunk.spec.tensors[-1].offset :] = 0
        hgen.linear.copy_(trunk.head)
    hgen.stats.load_state_dict(trunk.stats.state_dict())
    return hgen


def grown(hgen: HGen, shape: Shape, seed: int = 0) -> HGen:
    """The same nets by an h_gen with more personal stages, which begin with Δ = 0.

    Raises UserError for a shape that differs in more than a lower `first`.
    """
    if replace(shape, first=hgen.shape.first) != hgen.shape or shape.first > hgen.shape.first:
        expected = f"{hgen.shape} or a lower first"
        raise UserError("--set", "shape of a generator that is there already", expected, shape)
    check_shape(hgen.spec, shape, hgen.shape.dimension)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        wider = HGen(hgen.spec, shape)
    wider.load_state_dict(hgen.state_dict(), strict=False)
    return wider


def orders(faces: Faces, c: Config) -> Iterator[NDArray[np.int64]]:
    """Image indices of each step: `people` random training people, `photos` of each (with repetition where few)."""
    index = faces.select("train")
    rng, by_name = np.random.default_rng(c.seed), {}  # type: np.random.Generator, dict[str, list[int]]
    for i in index:
        by_name.setdefault(faces.identity[i], []).append(int(i))
    names = sorted(by_name)
    for _ in range(c.steps):
        chosen = rng.choice(len(names), c.people, replace=False)
        rows = [rng.choice(v := by_name[names[k]], c.photos, replace=len(v) < c.photos) for k in chosen]
        yield np.concatenate(rows)


def scores(hgen: HGen, theta: Tensor, shared: Tensor) -> Tensor:
    """Cosines (N, M) of nets θ (N, params) on images whose shared features are given."""
    u = F.normalize(tail(hgen.spec, theta, shared, hgen.shape.first), dim=2)
    return torch.einsum("nmk,nk->nm", u, F.normalize(split(hgen.spec, theta)["head.weight"], dim=1))


@torch.no_grad()
def shared_features(hgen: HGen, x: Tensor) -> Tensor:
    """Output of the stages that all people share, float32 (M, C, H, W)."""
    if hgen.shape.first == 0:
        return x.float()
    with torch.autocast("cpu", torch.bfloat16):
        return features(hgen.spec, hgen.theta0, hgen.stats, x, training=False, stop=hgen.shape.first).float()


@torch.no_grad()
def check(hgen: HGen, faces: Faces, index: NDArray[np.int64], shared: Tensor, limit: int = 96) -> float:
    """EER of `limit` enrolled held-out images (every k-th) against all of them; `shared` (M, C, H, W) of `index`."""
    enrolled = np.linspace(0, len(index) - 1, min(limit, len(index))).astype(int)
    e = torch.from_numpy(enrol_embeddings(faces)[index[enrolled]])
    s = torch.cat([scores(hgen, hgen(part), shared) for part in e.split(4)]).numpy()
    same = faces.identity[index[enrolled]][:, None] == faces.identity[index][None]
    self_pair = enrolled[:, None] == np.arange(len(index))[None]
    return equal_error(s[same & ~self_pair], s[~same]).eer


def train(hgen: HGen, faces: Faces, c: Config, out: Path, progress: Progress = silent) -> HGen:
    """Trains the personal part of `hgen` in place; logs to out/log.jsonl; returns and saves (out/hgen.pt) the state
    that was best on the held-out people, the one it came with included. Raises UserError for too small a set."""
    _check(faces, c)
    scale = torch.nn.Parameter(torch.tensor([12.0, 0.35]))  # of the logit: slope, and the cosine at zero
    convs = sum(isinstance(s.layer, Conv) for s in hgen.spec.stages[: hgen.shape.first])
    frozen = hgen.spec.tensors[2 * convs].offset
    moving = [p for p in hgen.parameters() if p is not hgen.theta0]
    groups: list[dict[str, Any]] = [{"params": moving}, {"params": [hgen.theta0, scale], "weight_decay": 0.0}]
    optimiser, schedule = adamw(groups, c.lr, c.weight_decay, c.warmup, c.steps)
    e_all = torch.from_numpy(enrol_embeddings(faces))
    code = {name: i for i, name in enumerate(np.unique(faces.identity))}
    labels = torch.tensor([code[n] for n in faces.identity])
    val, g = faces.select("val"), torch.Generator().manual_seed(c.seed)
    crops = faces.crops[val][:, MARGIN:-MARGIN, MARGIN:-MARGIN]
    val_shared = torch.cat(
        [shared_features(hgen, augment.to_input(crops[i : i + 256])) for i in range(0, len(val), 256)]
    )
    best = check(hgen, faces, val, val_shared)
    journal = Journal(out, "personal", c.steps, {"shape": asdict(hgen.shape), **asdict(c), "val_eer": best}, progress)
    checkpoint.save(out / "hgen.pt", hgen, hgen.spec, faces.backbone_sha256)
    for step, (rows, x) in enumerate(augment.batches(faces.crops, orders(faces, c), c.seed), 1):
        rows_t = torch.from_numpy(rows)
        e = e_all[rows_t]
        pick = torch.randperm(len(e), generator=g)[: c.nets]
        mixed = (
            torch.randn(c.mixtures, 3, generator=g).abs().unsqueeze(2)
            * e[torch.randint(len(e), (c.mixtures, 3), generator=g)]
        )
        enrolled = torch.cat([e[pick], F.normalize(mixed.sum(1), dim=1)])
        noise = torch.randn(enrolled.shape, generator=g) / enrolled.shape[1] ** 0.5
        enrolled = F.normalize(enrolled + c.noise * noise, dim=1)
        raw = hgen.raw(enrolled)
        s = scores(hgen, hgen.fold(raw), shared_features(hgen, x))
        logits = scale[0] * (s[: c.nets] - scale[1])
        own = pick[:, None] == torch.arange(len(e))[None]  # a net need not be taught its own enrolment photo
        y = loss.targets(labels[rows_t[pick]], labels[rows_t])
        parts = {
            "bce": c.bce * loss.weighted_bce(logits[~own], y[~own], c.beta),
            "norm": c.alpha_norm * loss.norm_penalty(raw - hgen.theta0),
            "teacher": c.teacher * loss.similarity(s, enrolled @ e.T),
        }
        optimiser.zero_grad(set_to_none=True)
        torch.stack([*parts.values()]).sum().backward()
        if hgen.theta0.grad is not None:
            hgen.theta0.grad[:frozen] = 0
        optimiser.step()
        schedule.step()
        checked = step % c.every == 0 or step == c.steps
        if checked or step % 25 == 0:
            row = {k: float(v.detach()) for k, v in parts.items()}
            if checked:
                row["val_eer"] = check(hgen, faces, val, val_shared)
                if row["val_eer"] < best:
                    best = row["val_eer"]
                    checkpoint.save(out / "hgen.pt", hgen, hgen.spec, faces.backbone_sha256)
            journal(step, **row)
    checkpoint.load(out / "hgen.pt", hgen, hgen.spec, faces.backbone_sha256)
    return hgen


def _check(faces: Faces, c: Config) -> None:
    people = len(np.unique(faces.identity[faces.select("train")]))
    if people < c.people:
        raise UserError("personal.people", "people a step", f"at most the {people} of the training split", c.people)
    if len(np.unique(faces.identity[faces.select("val")])) < 2:
        raise UserError("train.csv", "no held-out people", "at least two people of split val", "fewer")
