"""Stage `direct`: f trained without h, as one embedding network for everybody (Table II, "Training f directly").

The flattened last map is the embedding; people of the training set are classes behind an adaptive angular margin
(AdaFace, Kim et al., CVPR 2022, equations 12 to 15: the margin follows the embedding's norm, a sign of image quality).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor, nn

from hyper_mcu.codegen.netspec import NetSpec
from hyper_mcu.hypertrain import augment, processes, sampling, schedule
from hyper_mcu.hypertrain.data import Crops, Faces
from hyper_mcu.hypertrain.loop import Run
from hyper_mcu.hypertrain.metrics import equal_error
from hyper_mcu.hypertrain.net import Statistics, features, flatten, he_init
from hyper_mcu.hypertrain.protocols import all_pairs
from hyper_mcu.hypertrain.settings import at_least, one_of, share, warmup_within


@dataclass(frozen=True)
class Settings:
    """Hyper-parameters of the stage; 0 steps leave it out. `margin` m, `concentration` h and `scale` s are AdaFace's;
    `memory` is the share of the running mean and deviation of norms that a batch replaces."""

    steps: int = 0
    batch: int = 256
    lr: float = 0.1
    optimiser: str = "sgd"
    weight_decay: float = 5e-4
    warmup: int = 100
    margin: float = 0.4
    concentration: float = 0.333
    scale: float = 64.0
    memory: float = 0.01

    def __post_init__(self) -> None:
        at_least("direct", self, steps=0, batch=2, lr=0, weight_decay=0, warmup=0, margin=0, scale=1e-3)
        at_least("direct", self, concentration=1e-3)
        share("direct", self, "memory")
        one_of("direct", self, optimiser=schedule.OPTIMISERS)
        warmup_within("direct", self)


class Classifier(nn.Module):
    """f's θ (params,), the shared channel statistics, a unit vector a class (n, classes), and what norms are usual."""

    norm_mean: Tensor
    norm_std: Tensor

    def __init__(self, spec: NetSpec, classes: int, seed: int) -> None:
        super().__init__()
        g = torch.Generator().manual_seed(seed)
        self.spec = spec
        self.theta = nn.Parameter(he_init(spec, g))
        self.stats = Statistics(spec)
        self.classes = nn.Parameter(torch.randn(spec.head_size, classes, generator=g) * 0.01)
        self.register_buffer("norm_mean", torch.tensor(20.0))
        self.register_buffer("norm_std", torch.tensor(100.0))

    def look(self, x: Tensor, training: bool = False, amp: bool = True) -> Tensor:
        """Embeddings (M, n) of images x (M, 3, H, W), not normalised."""
        with torch.autocast(x.device.type, torch.bfloat16, enabled=amp):
            maps = features(self.spec, self.theta, self.stats, x, training=training, synchronise=processes.size() > 1)
        return flatten(self.spec, maps)

    def forward(self, x: Tensor, labels: Tensor, c: Settings, amp: bool) -> Tensor:
        """The loss of a training batch: images x (M, 3, H, W), their people's numbers labels (M,)."""
        return self.margin_loss(self.look(x, True, amp), labels, c)

    def margin_loss(self, u: Tensor, labels: Tensor, c: Settings) -> Tensor:
        """Mean cross-entropy of AdaFace's logits; u (M, n), labels (M,).

        ẑ = clip((‖u‖ − μ)/σ·h, −1, 1); the angle of the own class grows by −m·ẑ, its cosine shrinks by m·ẑ + m.
        """
        norms = u.detach().norm(dim=1)
        with torch.no_grad():
            everyone = processes.gather(norms)
            self.norm_mean.lerp_(everyone.mean(), c.memory)
            self.norm_std.lerp_(everyone.std(correction=0), c.memory)
        quality = ((norms - self.norm_mean) / (self.norm_std + 1e-3) * c.concentration).clamp(-1, 1)
        cosine = F.normalize(u, dim=1) @ F.normalize(self.classes, dim=0)
        own = cosine.gather(1, labels[:, None])[:, 0].clamp(-1 + 1e-3, 1 - 1e-3)
        angle = (own.acos() - c.margin * quality).clamp(1e-3, torch.pi - 1e-3)
        target = angle.cos() - c.margin * (1 + quality)
        logits = cosine.scatter(1, labels[:, None], target[:, None])
        return F.cross_entropy(c.scale * logits, labels)


@torch.no_grad()
def embed(
    module: Classifier, faces: Faces, index: NDArray[np.int64], mirror: bool = False, batch: int = 512
) -> NDArray[np.float32]:
    """Unit embeddings float32 (N, n) of the central crops of some images, or of their mirror images."""
    found = []
    for i in range(0, len(index), batch):
        x = augment.plain(faces.crops[index[i : i + batch]], module.spec.height).to(module.theta.device)
        u = module.look(x.flip(3) if mirror else x).float()
        found.append(F.normalize(u, dim=1).cpu().numpy())
    return np.concatenate(found)


class Direct:
    """The stage as the loop runs it (loop.Stage)."""

    name = "direct"
    unit = "images"

    def __init__(self, spec: NetSpec, faces: Faces, c: Settings, run: Run) -> None:
        """Raises UserError for a batch that processes cannot share."""
        processes.check_share("direct.batch", c.batch)
        self.steps, self.c, self.run, self.faces = c.steps, c, run, faces
        self.device = run.on()
        self._index, self._val = faces.select("train"), faces.select("val")
        names, labels = np.unique(faces.identity[self._index], return_inverse=True)
        self.module = Classifier(spec, len(names), run.seed).to(self.device)
        self._parallel = processes.parallel(self.module)
        self._class = dict(zip(self._index.tolist(), labels.tolist(), strict=True))

    def optimiser(self) -> torch.optim.Optimizer:
        return schedule.build_optimiser(
            [{"params": list(self.module.parameters())}], self.c.optimiser, self.c.weight_decay
        )

    def rate(self, step: int) -> float:
        return schedule.lr(step, self.c.lr, self.c.warmup, self.steps)

    def shown(self, step: int) -> tuple[Crops, bool]:
        return self.faces.crops, False

    def rows(self, step: int) -> NDArray[np.int64]:
        return self._index[sampling.epoch_rows(len(self._index), self.c.batch, self.run.seed, step)]

    def part(self, count: int) -> slice:
        return processes.share(count)

    def backward(self, step: int, rows: NDArray[np.int64], x: Tensor) -> tuple[dict[str, Tensor], int]:
        mine = rows[self.part(len(rows))].tolist()
        labels = torch.tensor([self._class[r] for r in mine], device=self.device)
        loss = self._parallel(x, labels, self.c, self.run.amp)
        loss.backward()
        return {"margin": loss}, len(rows)

    def check(self) -> dict[str, float]:
        u = embed(self.module, self.faces, self._val)
        genuine, impostor = all_pairs(u @ u.T, self.faces.identity[self._val])
        return {"val_eer": equal_error(genuine, impostor).eer}
