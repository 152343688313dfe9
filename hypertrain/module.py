"""f of one person as an ordinary torch module: what others' tools count, map and compare."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from hyper_mcu.codegen.netspec import RUN_TIME_NORMS, Conv, NetSpec
from hyper_mcu.hypertrain.net import normalise, pad_same, shuffle, split


class Net(nn.Module):
    """f of one person as an ordinary module: real scores (M,) of images x (M, C, H, W). What it is made with means
    nothing: its parameters are given at every call (`functional_call`) as `named` lays them out, folded."""

    def __init__(self, spec: NetSpec, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.spec, self.folds = spec, spec.norm not in RUN_TIME_NORMS
        self.convs, self.shifts = nn.ModuleDict(), nn.ParameterDict()
        for s in spec.stages:
            if isinstance(c := s.layer, Conv):
                conv = nn.Conv2d(c.cin, c.cout, c.k, c.stride, 0, 1, c.groups, self.folds, dtype=dtype)
                self.convs[str(s.index)] = conv
                if not self.folds:  # the bias comes behind the normalisation
                    self.shifts[str(s.index)] = nn.Parameter(torch.zeros(c.cout, dtype=dtype))
        self.head = nn.Linear(spec.head_size, 1, spec.head.kind == "dot", dtype=dtype)

    def named(self, theta: Tensor) -> dict[str, Tensor]:
        """θ (..., params) as the module's parameters."""
        out = {}
        for name, v in split(self.spec, theta).items():
            where, what = name.split(".")
            index = where.removeprefix("stage")
            if where == "head":
                out[name] = v.unsqueeze(-2) if what == "weight" else v
            elif what == "weight":
                out[f"convs.{index}.weight"] = v.movedim(-1, -3)
            else:
                out[f"convs.{index}.bias" if self.folds else f"shifts.{index}"] = v
        return out

    def forward(self, x: Tensor) -> Tensor:
        maps = dict[int, Tensor]()
        for s in self.spec.stages:
            if isinstance(c := s.layer, Conv):
                x = self.convs[str(s.index)](pad_same(x, s))
                if not self.folds:
                    x = normalise(self.spec, x) + self.shifts[str(s.index)][:, None, None]
                x = F.relu(x) if c.relu else x
            else:
                x = x + maps[c.of]
            maps[s.index] = x = shuffle(x, s.shuffle)
        u = x.sum((2, 3)) if self.spec.head.pool else x.permute(0, 2, 3, 1).flatten(1)
        if self.spec.head.kind == "dot":
            scores: Tensor = self.head(u)[:, 0]
            return scores
        return F.linear(F.normalize(u, dim=1), F.normalize(self.head.weight, dim=1))[:, 0]
