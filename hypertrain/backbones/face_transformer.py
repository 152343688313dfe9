"""Face Transformer (Zhong and Deng, 2021), its parameters named as in the checkpoints of zhongyy/Face-Transformer.

112×112 RGB, 0…255 as they are → 14×14 patches at a stride of 8, each projected to 512 numbers (ViT-P8S8: patches of
8×8; ViT-P12S8: overlapping ones of 12×12) → a class token before them → 20 transformer blocks. The official embedding
is the class token after a LayerNorm. Here every token goes through that LayerNorm and is scaled to unit length, so that
the first one is the embedding and the others are of its size: T = 197 tokens of 512.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

DIMENSION, DEPTH, HEADS, HIDDEN = 512, 20, 8, 2048
SIDE, STRIDE = 112, 8
TOKENS = (SIDE // STRIDE) ** 2 + 1
LOSS = "loss."  # keys of the training loss, which no embedding needs


class Normed(nn.Module):
    """fn(norm(x)), named as in the official net."""

    def __init__(self, fn: nn.Module) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(DIMENSION)
        self.fn = fn

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, T, 512) → (N, T, 512)."""
        return self.fn(self.norm(x))


class Residual(nn.Module):
    """x + fn(x)."""

    def __init__(self, fn: nn.Module) -> None:
        super().__init__()
        self.fn = fn

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, T, 512) → (N, T, 512)."""
        return x + self.fn(x)


class Attention(nn.Module):
    """Self-attention with 8 heads of 64; products are scaled by 512^−½ as in the official net, not by 64^−½."""

    def __init__(self) -> None:
        super().__init__()
        self.to_qkv = nn.Linear(DIMENSION, 3 * DIMENSION, bias=False)
        self.to_out = nn.Sequential(nn.Linear(DIMENSION, DIMENSION), nn.Dropout(0.1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, T, 512) → (N, T, 512)."""
        q, k, v = (part.unflatten(2, (HEADS, -1)).transpose(1, 2) for part in self.to_qkv(x).chunk(3, 2))
        seen = functional.scaled_dot_product_attention(q, k, v, scale=DIMENSION**-0.5)
        return self.to_out(seen.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """Two linear layers with GELU between them."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(DIMENSION, HIDDEN), nn.GELU(), nn.Dropout(0.1), nn.Linear(HIDDEN, DIMENSION), nn.Dropout(0.1)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, T, 512) → (N, T, 512)."""
        return self.net(x)


class Transformer(nn.Module):
    """`depth` blocks of attention and feed-forward."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        parts = [(Residual(Normed(Attention())), Residual(Normed(FeedForward()))) for _ in range(depth)]
        self.layers = nn.ModuleList(nn.ModuleList(pair) for pair in parts)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, T, 512) → (N, T, 512)."""
        for layer in self.layers:
            for part in layer.children():
                x = part(x)
        return x


class FaceTransformer(nn.Module):
    """The net for patches of `patch` pixels: 8, or 12 at a margin of 4, which the official code sets at training."""

    def __init__(self, patch: int = 8, depth: int = DEPTH) -> None:
        super().__init__()
        self.patch = patch
        self.pos_embedding = nn.Parameter(torch.empty(1, TOKENS, DIMENSION))
        self.cls_token = nn.Parameter(torch.empty(1, 1, DIMENSION))
        self.patch_to_embedding = nn.Linear(3 * patch * patch, DIMENSION)
        self.transformer = Transformer(depth)
        self.mlp_head = nn.Sequential(nn.LayerNorm(DIMENSION))

    def patches(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, 112, 112) → (N, 196, 3·patch²), patches row by row.

        A patch's numbers lie pixel by pixel for P8S8 and colour by colour for P12S8, as the official nets have them.
        """
        pad = 4 if self.patch > STRIDE else 0
        found = functional.unfold(x, self.patch, padding=pad, stride=STRIDE).transpose(1, 2)
        return found if pad else found.unflatten(2, (3, -1)).transpose(2, 3).flatten(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, 112, 112) → (N, 197·512): unit tokens, the embedding first."""
        seen = self.patch_to_embedding(self.patches(x))
        tokens = torch.cat([self.cls_token.expand(len(x), -1, -1), seen], 1) + self.pos_embedding
        return functional.normalize(self.mlp_head(self.transformer(tokens)), dim=2).flatten(1)


def build(state: dict[str, Any]) -> tuple[nn.Module, dict[str, Any]]:
    """The variant that a checkpoint is of, without values, and what of the checkpoint belongs to it."""
    own = {key: value for key, value in state.items() if not key.startswith(LOSS)}
    projection = own.get("patch_to_embedding.weight")
    overlapping = projection is not None and tuple(projection.shape) == (DIMENSION, 3 * 12 * 12)
    with torch.device("meta"):
        return FaceTransformer(12 if overlapping else 8), own
