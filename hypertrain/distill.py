"""Stage `distill`: one shared trunk θ0 and a linear head W distilled from the frozen backbone.

A trunk's last map u(x) is compared with W·e, where e is the backbone's embedding of an enrolment image: their cosine is
the CosDot score. It is trained to equal the teacher's similarity ⟨e_i, e_k⟩ over all pairs of the batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor

from hyper_mcu.codegen.netspec import NetSpec
from hyper_mcu.hypertrain import augment, processes, sampling, schedule
from hyper_mcu.hypertrain.data import Crops, Faces
from hyper_mcu.hypertrain.loop import Run
from hyper_mcu.hypertrain.loss import contrast
from hyper_mcu.hypertrain.metrics import equal_error
from hyper_mcu.hypertrain.net import Statistics, features, flatten, he_init
from hyper_mcu.hypertrain.protocols import all_pairs
from hyper_mcu.hypertrain.settings import at_least, share, warmup_within
from hyper_mcu.hypertrain.views import Views


@dataclass(frozen=True)
class Settings:
    """Hyper-parameters of the stage; 0 steps leave it out. Losses: `direct` on 1 − cos(u_k, W e_k), `relation` on
    squared differences of similarities, `contrast` on the divergence of softmax(student/τ) from
    softmax(teacher/τ) over the batch, both ways, `isometry` on ‖WᵀW − I‖² (so that the student's cosine stays the
    teacher's). `partner` is the share of probes whose enrolled photo is a random one of the same person, of n one time
    in n the very one. `strangers` are so many further photos that are enrolled in a step, drawn from all to learn from:
    an embedding costs no pass of the trunk. Of the few that show a person of the step the teacher's cosine is asked.
    `photos` is the share of the steps that look at photos as they are where there are views.
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
    strangers: int = 0
    photos: float = 0.0

    def __post_init__(self) -> None:
        at_least("distill", self, steps=0, batch=2, warmup=0, lr=0, weight_decay=0, temperature=1e-3)
        at_least("distill", self, direct=0, relation=0, contrast=0, isometry=0, strangers=0)
        share("distill", self, "partner", "photos")
        warmup_within("distill", self)


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

    def look(self, x: Tensor, training: bool = False, amp: bool = True) -> Tensor:
        """û(x) (M, n) of images x (M, 3, H, W): unit vectors for CosDot; for Dot divided by √n, their expected norm."""
        with torch.autocast(x.device.type, torch.bfloat16, enabled=amp):
            maps = features(self.spec, self.theta, self.stats, x, training=training, synchronise=processes.size() > 1)
        u = flatten(self.spec, maps)
        return F.normalize(u, dim=1) if self.spec.head.kind == "cosdot" else u / u.shape[1] ** 0.5

    def enrol(self, e: Tensor) -> Tensor:
        """Unit head vectors (N, n) of embeddings e (N, d)."""
        return F.normalize(e @ self.head.T, dim=1)

    def forward(self, x: Tensor, e: Tensor, amp: bool) -> tuple[Tensor, Tensor]:
        """(û, head vectors), as in training."""
        return self.look(x, True, amp), self.enrol(e)


def taught(faces: Faces) -> NDArray[np.int64]:
    """The images that the stage learns from: those to train on, and those of nobody known."""
    return np.concatenate([faces.select("train"), faces.select("unlabelled")])


def albums(faces: Faces) -> list[NDArray[np.int64]]:
    """For each image all images of its person, itself included; alone where it has no label."""
    found = [np.array([i]) for i in range(len(faces.identity))]
    people = sampling.album(faces.identity, np.flatnonzero(faces.identity != ""))
    for person in range(len(people.names)):
        for i in people.of(person):
            found[i] = people.of(person)
    return found


def partners(
    rows: NDArray[np.int64], album: list[NDArray[np.int64]], share: float, rng: np.random.Generator
) -> NDArray[np.int64]:
    """The enrolled image of each probed one: with probability `share` a random image of its person, else itself."""
    changed = rng.random(len(rows)) < share
    return np.array([rng.choice(album[k]) if c else k for k, c in zip(rows, changed, strict=True)])


def loss(c: Settings, student: Tensor, teacher: Tensor, head: Tensor, known: Tensor) -> dict[str, Tensor]:
    """Weighted parts of the loss of similarities student, teacher (N + M, N), rows enrolled, the last M of them
    strangers, columns probed; known (N,): pairs of the diagonal that are of one person."""
    gram, n = head.T @ head, student.shape[1]
    both = contrast(student[:n], teacher[:n], c.temperature) + contrast(student.T, teacher.T, c.temperature)
    return {
        "direct": c.direct * ((1 - student.diagonal()) * known).sum() / len(known),
        "relation": c.relation * (student - teacher).square().mean(),
        "contrast": c.contrast * both / 2,
        "isometry": c.isometry * (gram - torch.eye(len(gram), device=gram.device)).square().sum() / len(gram),
    }


@torch.no_grad()
def look_all(trunk: Trunk, faces: Faces, index: NDArray[np.int64], batch: int = 512) -> NDArray[np.float32]:
    """û of the central crops of some images, float32 (N, n)."""
    device = trunk.theta.device
    parts = [augment.plain(faces.crops[index[i : i + batch]], trunk.spec.height) for i in range(0, len(index), batch)]
    return np.concatenate([trunk.look(x.to(device)).float().cpu().numpy() for x in parts])


@torch.no_grad()
def check(trunk: Trunk, faces: Faces, index: NDArray[np.int64]) -> dict[str, float]:
    """EER over all pairs of the held-out images."""
    e = torch.from_numpy(faces.enrolled()[index][:, : faces.dimension]).to(trunk.head.device)
    scores = trunk.enrol(e).cpu().numpy() @ look_all(trunk, faces, index).T
    genuine, impostor = all_pairs(scores, faces.identity[index])
    return {"val_eer": equal_error(genuine, impostor).eer}


class Distill:
    """The stage as the loop runs it (loop.Stage)."""

    name = "distill"
    unit = "pairs"  # of an embedding and an image

    def __init__(self, trunk: Trunk, faces: Faces, c: Settings, run: Run, views: Views | None = None) -> None:
        """views: of the images to train on, to be looked at instead of these but for the steps of `photos`. Raises
        UserError for a batch that processes cannot share."""
        processes.check_share("distill.batch", c.batch)
        self.steps, self.c, self.run, self.faces, self._views = c.steps, c, run, faces, views
        self.device = run.on()
        self.module: Trunk = trunk.to(self.device)
        self._parallel = processes.parallel(self.module)
        self._val = faces.select("val")
        self._taught = taught(faces)
        self._e = torch.from_numpy(faces.enrolled()[:, : faces.dimension])
        self._album = albums(faces)

    def optimiser(self) -> torch.optim.Optimizer:
        return schedule.build_optimiser([{"params": list(self.module.parameters())}], "adamw", self.c.weight_decay)

    def rate(self, step: int) -> float:
        return schedule.lr(step, self.c.lr, self.c.warmup, self.steps)

    def shown(self, step: int) -> tuple[Crops, bool]:
        return (v.crops, True) if (v := self._seen(step)) else (self.faces.crops, False)

    def _seen(self, step: int) -> Views | None:
        """The views, unless there are none or the step is one of those that look at photos."""
        photos = self.c.photos and sampling.rng(self.run.seed, step, "photos").random() < self.c.photos
        return None if photos else self._views

    def rows(self, step: int) -> NDArray[np.int64]:
        index = np.arange(len(v.crops)) if (v := self._seen(step)) else self._taught
        return index[sampling.epoch_rows(len(index), self.c.batch, self.run.seed, step)]

    def part(self, count: int) -> slice:
        return processes.share(count)

    def backward(self, step: int, rows: NDArray[np.int64], x: Tensor) -> tuple[dict[str, Tensor], int]:
        rng = sampling.rng(self.run.seed, step, "partners")
        enrolled, probed, blend = (t.to(self.device) for t in self._said(self._seen(step), rows, rng))
        strangers = rng.choice(self._taught, self.c.strangers)
        enrolled = torch.cat([enrolled, self._e[torch.from_numpy(strangers)].to(self.device)])
        looks, heads = self._parallel(x, enrolled, self.run.amp)
        student = heads @ processes.gather(looks).T
        teacher = enrolled @ probed.T
        own = teacher.diagonal()
        own[~blend] = 1.0  # a pair of one person, whatever the teacher thinks
        parts = loss(self.c, student, teacher, self.module.head, ~blend)
        torch.stack([*parts.values()]).sum().backward()
        return parts, student.numel()

    def _said(
        self, v: Views | None, rows: NDArray[np.int64], rng: np.random.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Embeddings (N, d) that are enrolled, those of what is probed, and whether that is a blend of people (N,)."""
        if v is None:
            enrolled = self._e[torch.from_numpy(partners(rows, self._album, self.c.partner, rng))]
            return enrolled, self._e[torch.from_numpy(rows)], torch.zeros(len(rows), dtype=torch.bool)
        probed = torch.from_numpy(v.teacher[rows]).float()
        blend, weight = v.first[rows] != v.second[rows], torch.from_numpy(v.weight[rows])[:, None]
        of_first, of_second = (
            self._e[torch.from_numpy(partners(people[rows], self._album, 1.0, rng))] for people in (v.first, v.second)
        )
        other = torch.where(torch.from_numpy(blend)[:, None], weight * of_first + (1 - weight) * of_second, of_first)
        partnered = torch.from_numpy(rng.random(len(rows)) < self.c.partner)[:, None]
        return F.normalize(torch.where(partnered, other, probed), dim=1), probed, torch.from_numpy(blend)

    def check(self) -> dict[str, float]:
        return check(self.module, self.faces, self._val)
