"""Stage 2: what is personal, by the paper's loss over all pairs of a batch and the teacher's similarities.

h_gen starts as the distilled trunk (stage 1). Its personal tail is then trained on B people × n photos: every net of a
few enrolled embeddings, real ones and mixtures, looks at every image. Mixtures have no label, but the teacher's
similarity ⟨e, E(x)⟩ is known for any e: that is what keeps the personal part from memorising the training people.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor

from hyper_mcu.hypertrain import augment, loss
from hyper_mcu.hypertrain.data import MARGIN, Faces
from hyper_mcu.hypertrain.distill import Trunk, enrol_embeddings
from hyper_mcu.hypertrain.hgen import HGen, Shape, pointwise_tail, tail
from hyper_mcu.hypertrain.metrics import equal_error
from hyper_mcu.hypertrain.net import features


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


def from_trunk(trunk: Trunk, shape: Shape) -> HGen:
    """h_gen whose nets are the trunk with the linear head: Δ = 0."""
    torch.manual_seed(0)
    hgen = HGen(trunk.spec, shape)
    with torch.no_grad():
        hgen.theta0.copy_(trunk.theta)
        hgen.theta0[trunk.spec.tensors[-1].offset :] = 0
        hgen.linear.copy_(trunk.head)
    hgen.stats.load_state_dict(trunk.stats.state_dict())
    return hgen


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
    return torch.einsum("nmk,nk->nm", u, F.normalize(theta[:, hgen.spec.tensors[-1].offset :], dim=1))


@torch.no_grad()
def shared_features(hgen: HGen, x: Tensor) -> Tensor:
    """Output of the stages that all people share, float32 (M, C, H, W)."""
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


def train(trunk: Trunk, shape: Shape, faces: Faces, c: Config, out: Path) -> HGen:
    """Trains h_gen's personal tail; logs to out/log.jsonl; returns and saves (out/hgen.pt) the one that was best on the
    held-out people."""
    assert pointwise_tail(trunk.spec, shape.first)
    out.mkdir(parents=True, exist_ok=True)
    hgen = from_trunk(trunk, shape)
    scale = torch.nn.Parameter(torch.tensor([12.0, 0.35]))  # of the logit: slope, and the cosine at zero
    frozen = hgen.spec.tensors[2 * shape.first].offset
    groups: list[dict[str, Any]] = [{"params": list(hgen.parameters())}, {"params": [scale], "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, c.lr, weight_decay=c.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda s: min(1.0, (s + 1) / c.warmup) * 0.5 * (1 + np.cos(np.pi * min(1.0, s / c.steps)))
    )
    e_all = torch.from_numpy(enrol_embeddings(faces))
    code = {name: i for i, name in enumerate(np.unique(faces.identity))}
    labels = torch.tensor([code[n] for n in faces.identity])
    val, g = faces.select("val"), torch.Generator().manual_seed(c.seed)
    crops = faces.crops[val][:, MARGIN:-MARGIN, MARGIN:-MARGIN]
    val_shared = torch.cat(
        [shared_features(hgen, augment.to_input(crops[i : i + 256])) for i in range(0, len(val), 256)]
    )
    best, start, log = check(hgen, faces, val, val_shared), time.monotonic(), (out / "log.jsonl").open("w")
    log.write(json.dumps({"shape": asdict(shape), **asdict(c), "val_eer": best}) + "\n")
    torch.save(hgen.state_dict(), out / "hgen.pt")
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
        if step % 25 == 0 or step == c.steps:
            row: dict[str, float] = {"step": step, **{k: float(v.detach()) for k, v in parts.items()}}
            row["seconds"] = round(time.monotonic() - start, 1)
            if step % c.every == 0 or step == c.steps:
                row["val_eer"] = check(hgen, faces, val, val_shared)
                if row["val_eer"] < best:
                    best = row["val_eer"]
                    torch.save(hgen.state_dict(), out / "hgen.pt")
            log.write(json.dumps(row) + "\n")
            log.flush()
    hgen.load_state_dict(torch.load(out / "hgen.pt"))
    return hgen
