"""Stage 1: one shared trunk θ0 and a linear head W distilled from the frozen backbone.

A trunk's last map u(x) is compared with W·e, where e is the backbone's embedding of an enrolment image: their cosine is
the CosDot score. It is trained to equal the teacher's similarity ⟨e_i, e_k⟩ over all pairs of the batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.netspec import NetSpec
from hyper_mcu.codegen.progress import Progress, silent
from hyper_mcu.hypertrain import augment, checkpoint
from hyper_mcu.hypertrain.data import MARGIN, Faces
from hyper_mcu.hypertrain.journal import Journal
from hyper_mcu.hypertrain.metrics import equal_error, ten_folds
from hyper_mcu.hypertrain.net import Statistics, features, flatten, he_init
from hyper_mcu.hypertrain.optimise import adamw
from hyper_mcu.hypertrain.protocol import Pairs, all_pairs
from hyper_mcu.hypertrain.settings import at_least


@dataclass(frozen=True)
class Config:
    """Hyper-parameters of stage 1. Losses: `direct` on 1 − cos(u_k, W e_k), `relation` on squared differences of
    similarities, `contrast` on the cross-entropy between softmax(teacher/τ) and softmax(student/τ) over the batch, both
    ways, `isometry` on ‖WᵀW − I‖² (so that the student's cosine stays the teacher's).
    `partner` is the share of probes whose enrolled photo is another one of the same person, where there is one.
    """

    steps: int = 2000
    batch: int = 256
    lr: float = 3e-3
    weight_decay: float = 1e-4
    warmup: int = 100
    direct: float = 1.0
    relation: float = 5.0
    contrast: float = 1.0
    temperature: float = 0.07
    isometry: float = 0.1
    partner: float = 0.75
    seed: int = 0
    every: int = 500  # steps between checks on the held-out people

    def __post_init__(self) -> None:
        at_least("trunk", self, steps=1, batch=2, every=1, warmup=0, lr=0, weight_decay=0, temperature=1e-3, partner=0)
        if self.partner > 1:
            raise UserError("trunk.partner", "out of range", "a share of 0…1", self.partner)
        at_least("trunk", self, direct=0, relation=0, contrast=0, isometry=0, seed=0)


class Trunk(torch.nn.Module):
    """θ0 (params,), the shared channel statistics, and the linear head W (n, d)."""

    def __init__(self, spec: NetSpec, dimension: int, seed: int) -> None:
        super().__init__()
        g = torch.Generator().manual_seed(seed)
        self.spec = spec
        self.theta = torch.nn.Parameter(he_init(spec, g))
        self.stats = Statistics(spec)
        w = torch.randn(spec.head_size, dimension, generator=g)
        self.head = torch.nn.Parameter(torch.linalg.qr(w if w.shape[0] >= w.shape[1] else w.T)[0].reshape(w.shape))

    def look(self, x: Tensor, training: bool) -> Tensor:
        """û(x) (M, n) of images x (M, 3, H, W): unit vectors for CosDot; for Dot divided by √n, their expected norm."""
        with torch.autocast("cpu", torch.bfloat16):
            maps = features(self.spec, self.theta, self.stats, x, training=training)
        u = flatten(self.spec, maps)
        return F.normalize(u, dim=1) if self.spec.head.kind == "cosdot" else u / u.shape[1] ** 0.5

    def enrol(self, e: Tensor) -> Tensor:
        """Unit head vectors (N, n) of embeddings e (N, d)."""
        return F.normalize(e @ self.head.T, dim=1)


def enrol_embeddings(faces: Faces) -> NDArray[np.float32]:
    """Unit mean of the embeddings of a crop and of its mirror image, float32 (N, d): what enrolment uses."""
    e = faces.embeddings.astype(np.float32).mean(1)
    return e / np.linalg.norm(e, axis=1, keepdims=True)


def albums(faces: Faces) -> list[NDArray[np.int64]]:
    """For each image all images of its person, itself included; alone where it has no label."""
    by_name: dict[str, list[int]] = {}
    for i, name in enumerate(faces.identity.tolist()):
        by_name.setdefault(name or f"unlabelled {i}", []).append(i)
    album = {name: np.array(v) for name, v in by_name.items()}
    return [album[name or f"unlabelled {i}"] for i, name in enumerate(faces.identity.tolist())]


def partners(
    rows: NDArray[np.int64], album: list[NDArray[np.int64]], share: float, rng: np.random.Generator
) -> NDArray[np.int64]:
    """The enrolled image of each probed one: with probability `share` a random image of its person, else itself."""
    changed = rng.random(len(rows)) < share
    return np.array([rng.choice(album[k]) if c else k for k, c in zip(rows, changed, strict=True)])


def loss(c: Config, student: Tensor, teacher: Tensor, head: Tensor) -> tuple[Tensor, dict[str, float]]:
    """Total loss and its parts of similarities student, teacher (N, N), rows enrolled, columns probed."""
    gram = head.T @ head

    def soft(s: Tensor, t: Tensor) -> Tensor:
        return F.cross_entropy(s / c.temperature, F.softmax(t / c.temperature, 1))

    parts = {
        "direct": (1 - student.diagonal()).mean(),
        "relation": (student - teacher).square().mean(),
        "contrast": (soft(student, teacher) + soft(student.T, teacher.T)) / 2,
        "isometry": (gram - torch.eye(len(gram))).square().sum() / len(gram),
    }
    total = torch.stack([getattr(c, k) * v for k, v in parts.items()]).sum()
    return total, {k: float(v.detach()) for k, v in parts.items()}


def orders(count: int, c: Config) -> Iterator[NDArray[np.int64]]:
    """Index arrays of `steps` batches, epoch after epoch without replacement."""
    rng, queue = np.random.default_rng(c.seed), np.empty(0, np.int64)
    for _ in range(c.steps):
        while len(queue) < c.batch:
            queue = np.concatenate([queue, rng.permutation(count)])
        yield queue[: c.batch]
        queue = queue[c.batch :]


@torch.no_grad()
def look_all(trunk: Trunk, crops: NDArray[np.uint8], batch: int = 512) -> NDArray[np.float32]:
    """û of the central crops, float32 (N, n)."""
    out = []
    for i in range(0, len(crops), batch):
        x = augment.to_input(crops[i : i + batch, MARGIN:-MARGIN, MARGIN:-MARGIN])
        out.append(trunk.look(x, False).numpy())
    return np.concatenate(out)


@torch.no_grad()
def check(trunk: Trunk, faces: Faces, index: NDArray[np.int64]) -> dict[str, float]:
    """EER over all pairs of the held-out images."""
    heads = trunk.enrol(torch.from_numpy(enrol_embeddings(faces)[index])).numpy()
    genuine, impostor = all_pairs(heads @ look_all(trunk, faces.crops[index]).T, faces.identity[index])
    return {"val_eer": equal_error(genuine, impostor).eer}


@torch.no_grad()
def check_pairs(trunk: Trunk, faces: Faces, pairs: dict[str, Pairs]) -> dict[str, float]:
    """Ten-fold accuracy of the shared trunk for each named set of pairs."""
    heads = trunk.enrol(torch.from_numpy(enrol_embeddings(faces))).numpy()
    looks = look_all(trunk, faces.crops)
    return {k: ten_folds((heads[p.enrol] * looks[p.probe]).sum(1), p.same, p.fold)[0] for k, p in pairs.items()}


def train(
    spec: NetSpec, faces: Faces, c: Config, out: Path, start: Path | None = None, progress: Progress = silent
) -> Trunk:
    """Trains a trunk on the `train` and `unlabelled` images; logs to out/log.jsonl, saves out/trunk.pt at checks.

    `start`: a trunk.pt to go on from. Raises UserError for a set or a start that does not fit.
    """
    if faces.crops.shape[1] - 2 * MARGIN != spec.height or spec.height != spec.width:
        size = f"{faces.crops.shape[1] - 2 * MARGIN}×{faces.crops.shape[2] - 2 * MARGIN}"
        raise UserError(spec.id, "input of another size than the crops", size, f"{spec.height}×{spec.width}")
    if len(faces.select("train")) == 0 or len(np.unique(faces.identity[faces.select("val")])) < 2:
        raise UserError("train.csv", "no people to train or to check on", "splits train and val", "neither or one")
    index = np.concatenate([faces.select("train"), faces.select("unlabelled")])
    val = faces.select("val")
    e = torch.from_numpy(enrol_embeddings(faces))
    trunk, rng = Trunk(spec, e.shape[1], c.seed), np.random.default_rng(c.seed)
    album = albums(faces)
    if start is not None:
        checkpoint.load(start, trunk, spec, faces.backbone_sha256)
    optimiser, schedule = adamw([{"params": trunk.parameters()}], c.lr, c.weight_decay, c.warmup, c.steps)
    settings = {"spec": spec.id, "spec_sha256": spec.sha256, **asdict(c)}
    journal = Journal(out, "trunk", c.steps, settings, progress)
    batches = augment.batches(faces.crops, (index[o] for o in orders(len(index), c)), c.seed)
    for step, (rows, x) in enumerate(batches, 1):
        enrolled, probed = e[torch.from_numpy(partners(rows, album, c.partner, rng))], e[torch.from_numpy(rows)]
        student = trunk.enrol(enrolled) @ trunk.look(x, True).T
        teacher = (enrolled @ probed.T).fill_diagonal_(1.0)  # a pair of one person, whatever the teacher thinks
        total, parts = loss(c, student, teacher, trunk.head)
        optimiser.zero_grad(set_to_none=True)
        total.backward()
        optimiser.step()
        schedule.step()
        checked = step % c.every == 0 or step == c.steps
        if checked or step % 50 == 0:
            row = {"loss": float(total.detach()), **parts}
            if checked:
                row |= check(trunk, faces, val)
                checkpoint.save(out / "trunk.pt", trunk, spec, faces.backbone_sha256)
            journal(step, **row)
    return trunk
