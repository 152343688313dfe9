"""What does a net give away of its owner's face? The embedding e is recovered from the int8 head in model.h.

The attacker has the generator, which is public, and the head of one person's net; its length does not count, as CosDot
tells none. `linear_head` inverts the matrix of the generator's linear head, `affine` the affine map that is nearest to
what the generator writes for random unit vectors, and `refined` goes on from there by Levenberg-Marquardt steps until
it writes this head. No photo of anybody is needed. Held-out people are enrolled by their first photo and looked for
among the second ones of all; `true` is the same with e itself. `linked` needs no generator: are two nets of one person,
by the cosine of their int8 heads, all images of held-out people by pairs? `noise`: where a random vector of that length
was added to the unit e before generation, the EER of the float nets on the pairs of the shipped threshold; what
`affine` recovers of e; and `noisy`, what an attack has that recovers e with its noise exactly.

    python benchmarks/leakage.py --faces FACES --save benchmarks/results/leakage.json
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from record import about
from torch import Tensor

from hyper_mcu import generator
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.quantize import quantize_head
from hyper_mcu.faces.backbone import backbone
from hyper_mcu.hypertrain import data, evaluate, export
from hyper_mcu.hypertrain.data import Faces
from hyper_mcu.hypertrain.hgen import HGen
from hyper_mcu.hypertrain.metrics import equal_error, tar_at_fmr
from hyper_mcu.hypertrain.protocols import Pairs, all_pairs, val_pairs

NOISE = (0.2, 0.5, 1.0)  # lengths of what is added to the unit embedding
SAMPLES = 4096  # random unit vectors that the generator is asked about
WEAK = 0.05  # of the strongest: directions in which the linear head alone is not inverted
STEPS, EACH, DAMPING = 2, 2, 1e-5  # Jacobians, steps by each of them, damping as a share of the mean curvature
TOGETHER = 8  # people whose Jacobians are held at a time
FMR = 1e-3


def head(hgen: HGen, e: Tensor) -> Tensor:
    """The head's weights (N, n) of embeddings e (N, d); nothing else is written where θ takes one step."""
    (t,) = (t for t in hgen.spec.tensors if t.name == "head.weight")
    own = slice(t.offset, t.offset + t.size)
    if hgen.shape.refine > 1:
        return hgen.raw(e)[:, own]
    written: Tensor = hgen.base()[own] + hgen.head(hgen._hidden(hgen.reader(e), 0, None))
    return written if hgen.linear is None else written + e @ hgen.linear.T


def int8(hgen: HGen, heads: Tensor) -> Tensor:
    """The integers of heads (N, n), as float32."""
    rows = heads.numpy().astype(np.float64)
    return torch.from_numpy(np.stack([quantize_head(hgen.spec, w, 0.0, 1.0).weight for w in rows])).float()


def affine(hgen: HGen, samples: Tensor) -> tuple[Tensor, Tensor]:
    """(slope (n, d), offset (n,)) of the affine map nearest to the head over unit vectors `samples` (K, d), K > d."""
    known = torch.cat([samples, torch.ones(len(samples), 1)], 1)
    found = torch.linalg.lstsq(known, head(hgen, samples)).solution
    return found[:-1].T, found[-1]


def linear_head(hgen: HGen, samples: Tensor) -> tuple[Tensor, Tensor]:
    """(slope, offset) of the linear head alone; offset: the mean of all else over unit vectors `samples` (K, d).

    Raises UserError for a generator that has none.
    """
    if hgen.linear is None:
        raise UserError("generator", "no linear head to invert", "the residual form θ0 + Δ(e)", "the plain form")
    return hgen.linear, (head(hgen, samples) - samples @ hgen.linear.T).mean(0)


def invert(slope: Tensor, offset: Tensor, heads: Tensor, weak: float = 0.0) -> Tensor:
    """Unit embeddings (N, d) of heads (N, n) of unknown length: least squares of slope·e + offset = s·head, |e| = 1.

    slope (n, d), offset (n,); weak: share of the largest singular value below which a direction is left out.
    """
    inverse = torch.linalg.pinv(slope.double(), rtol=max(weak, 1e-9)).T
    a, b = heads.double() @ inverse, offset.double() @ inverse
    square, mixed, rest = a.square().sum(1), a @ b, b.square().sum() - 1  # |s·a − b| = 1 has one positive s
    s = (mixed + (mixed.square() - square * rest).clamp(min=0).sqrt()) / square
    return F.normalize(s[:, None] * a - b, dim=1).float()


def refine(hgen: HGen, heads: Tensor, start: Tensor, steps: int = STEPS) -> Tensor:
    """Unit embeddings (N, d), from `start` (N, d) on, for which the generator writes the directions of heads (N, n)."""

    def direction(e: Tensor) -> Tensor:
        return F.normalize(head(hgen, F.normalize(e[None], dim=1)), dim=1)[0]

    def moved(wanted: Tensor, e: Tensor) -> Tensor:
        jacobian = torch.func.vmap(torch.func.jacfwd(direction))(e)
        curved = (jacobian.mT @ jacobian).double()
        damping = DAMPING * curved.diagonal(dim1=1, dim2=2).mean(1)
        factor = torch.linalg.cholesky(curved + damping[:, None, None] * torch.eye(e.shape[1], dtype=curved.dtype))
        for _ in range(EACH):
            off = wanted - torch.func.vmap(direction)(e)
            change = torch.cholesky_solve((jacobian.mT @ off[:, :, None]).double(), factor)
            e = F.normalize(e + change.squeeze(2).float(), dim=1)
        return e

    parts = []
    wanted = F.normalize(heads, dim=1)
    for i in range(0, len(heads), TOGETHER):
        e = start[i : i + TOGETHER]
        for _ in range(steps):
            e = moved(wanted[i : i + TOGETHER], e)
        parts.append(e)
    return torch.cat(parts)


def said(found: Tensor, true: Tensor, gallery: Tensor, threshold: float) -> dict[str, float]:
    """How near found embeddings (N, d) are to the true ones (N, d), and what they are good for: `rank_1`, the share
    nearest to the same person's other photo in gallery (N, d), and `accepted` there by the backbone's threshold."""
    cosine, scores = (found * true).sum(1).numpy(), found @ gallery.T
    one, five = np.percentile(cosine, (1, 5))
    return {
        "cosine_mean": float(cosine.mean()),
        "cosine_percentile_1": float(one),
        "cosine_percentile_5": float(five),
        "rank_1": float((scores.argmax(1) == torch.arange(len(true))).float().mean()),
        "accepted": float((scores.diagonal() >= threshold).float().mean()),
    }


def noised(e: NDArray[np.float32], length: float, seed: int = 0) -> NDArray[np.float32]:
    """Unit embeddings (N, d) to which a random vector of that length was added."""
    noise = np.random.default_rng(seed).normal(size=e.shape)
    moved = e + length * noise / np.linalg.norm(noise, axis=1, keepdims=True)
    unit: NDArray[np.float32] = (moved / np.linalg.norm(moved, axis=1, keepdims=True)).astype(np.float32)
    return unit


def linked(heads: Tensor, identity: NDArray[np.str_]) -> dict[str, float]:
    """Whether two nets are of one person: mean cosines of their heads (N, n), about the mean head and as they are."""
    out: dict[str, float] = {}
    for name, x in (("", heads), ("centred_", heads - heads.mean(0))):
        unit = F.normalize(x, dim=1)
        genuine, impostor = all_pairs((unit @ unit.T).numpy(), identity)
        out |= {f"{name}same": float(genuine.mean()), f"{name}different": float(impostor.mean())}
        out[f"{name}eer"] = equal_error(genuine, impostor).eer
    return out


def errors(g: generator.Generator, faces: Faces) -> dict[str, float]:
    """EER of the float nets by the length of the noise with which all people were enrolled."""
    pairs, size, lengths = val_pairs(faces), len(faces.embeddings), (0.0, *NOISE)
    rows, place = np.unique(pairs.enrol, return_inverse=True)
    both = [np.repeat(noised(faces.enrolled(rows), n)[:, None], 2, 1).astype(np.float16) for n in lengths]
    more = replace(faces, embeddings=np.concatenate([faces.embeddings, *both]))
    enrol, probe = (
        np.concatenate([size + k * len(rows) + place for k in range(len(lengths))]),
        np.concatenate([pairs.probe] * len(lengths)),
    )
    same, fold = np.concatenate([pairs.same] * len(lengths)), np.concatenate([pairs.fold] * len(lengths))
    scores = evaluate.score_pairs(g.spec, g.weights, None, more, Pairs(enrol, probe, same, fold))["float"]
    parts = zip(lengths, np.split(scores, len(lengths)), strict=True)
    return {f"{n:g}": equal_error(part[pairs.same], part[~pairs.same]).eer for n, part in parts}


def measured(g: generator.Generator, hgen: HGen, faces: Faces) -> dict[str, Any]:
    """All figures."""
    index = faces.select("val")
    identity = faces.identity[index]
    own = [rows[:2] for name in np.unique(identity) if len(rows := index[identity == name]) > 1]
    first, second = (faces.enrolled(np.array(rows)) for rows in zip(*own, strict=True))
    scores, alike = first @ second.T, np.eye(len(own), dtype=bool)
    threshold = tar_at_fmr(scores[alike], scores[~alike], FMR).threshold
    if threshold is None:
        raise UserError("faces", "too few held-out people for a threshold", f"pairs that show FMR {FMR:g}", len(own))
    true, gallery = torch.from_numpy(first), torch.from_numpy(second)

    def tell(name: str, found: Tensor) -> dict[str, float]:
        figures = said(found, true, gallery, threshold)
        print(f"{name:18}" + " ".join(f"{k} {v:.4f}" for k, v in figures.items()), flush=True)
        return figures

    seeded = torch.Generator().manual_seed(0)
    samples = F.normalize(torch.randn(SAMPLES, faces.dimension, generator=seeded), dim=1)
    near, real = affine(hgen, samples), head(hgen, true)
    heads = {"float": real, "int8": int8(hgen, real)}
    out: dict[str, Any] = {"people": len(own), "backbone_threshold": threshold, "true": tell("true", true)}
    if hgen.linear is None:
        out["linear_head"] = "this generator has none"
        print("linear_head: this generator has none; `affine` is fitted to it all the same", flush=True)
    else:
        alone = linear_head(hgen, samples)
        out["linear_head"] = {k: tell(f"linear_head {k}", invert(*alone, x, WEAK)) for k, x in heads.items()}
    found = {k: invert(*near, x) for k, x in heads.items()}
    out["affine"] = {k: tell(f"affine {k}", e) for k, e in found.items()}
    out["refined"] = {k: tell(f"refined {k}", refine(hgen, x, found[k])) for k, x in heads.items()}
    all_heads = [int8(hgen, head(hgen, torch.from_numpy(faces.enrolled(r)))) for r in np.array_split(index, 16)]
    out["linked"] = linked(torch.cat(all_heads), identity)
    out["linked_by_embedding"] = linked(torch.from_numpy(faces.enrolled(index)), identity)
    print(json.dumps([out["linked"], out["linked_by_embedding"]]), flush=True)
    out["noise"] = {}
    for length, eer in errors(g, faces).items():
        e = torch.from_numpy(noised(first, float(length)))
        attacked = invert(*near, int8(hgen, head(hgen, e)))
        print(f"noise {length}: EER {eer:.2%}", flush=True)
        out["noise"][length] = {"eer_float": eer, "noisy": tell("  noisy", e), "affine": tell("  affine", attacked)}
    return out


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description="What a net gives away of the embedding that wrote it.")
    parser.add_argument("--faces", type=Path, required=True, help="folder with train.csv")
    parser.add_argument("--cache", type=Path, default=Path(".cache/hypertrain"))
    parser.add_argument("--generator", type=Path, default=generator.SHIPPED)
    parser.add_argument("--save", type=Path, help="write the figures as JSON")
    o = parser.parse_args()
    g = generator.load(o.generator)
    hgen = export.restore(o.generator)[0].requires_grad_(False)
    if hgen.shape.embedding != hgen.shape.dimension:
        raise UserError(o.generator, "reads more than one embedding", "e alone", f"{hgen.shape.dimension} numbers")
    figures = measured(g, hgen, data.load(o.faces, o.cache, backbone(g.backbone)))
    if o.save:
        o.save.write_text(json.dumps({**about(o.faces), "generator_sha256": g.sha256, **figures}, indent=2) + "\n")


if __name__ == "__main__":
    main()
