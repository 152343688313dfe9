"""Reading other people's checkpoints: tensors alone, no code of theirs, and every one where it belongs."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from hyper_mcu.codegen.errors import UserError

COUNTER = "num_batches_tracked"  # of batch norm: no forward pass reads it, and some conversions drop it


class _Unread:
    """Stands for every class that a checkpoint mentions beside its tensors, such as Lightning's: it keeps nothing."""

    def __init__(self, *_: object, **__: object) -> None: ...

    def __setstate__(self, _: object) -> None: ...


def read(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file or of what torch.save wrote, by name, those of its `state_dict` if it has one.

    torch's weights-only reader decodes it; classes that it does not know become empty ones instead of being imported.
    Raises UserError where the file is missing, damaged, or holds none.
    """
    if not path.is_file():
        raise UserError(path, "no checkpoint", "a file", "a folder" if path.is_dir() else "no such file")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        names = torch.serialization.get_unsafe_globals_in_checkpoint(path) if _zipped(path) else []
        with torch.serialization.safe_globals([(_Unread, name) for name in names]):
            stored = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, SafetensorError, RuntimeError, EOFError, ValueError, KeyError, OSError) as e:
        raise UserError(path, "not a checkpoint", "a file of torch.save or safetensors", type(e).__name__) from e
    state = stored.get("state_dict", stored) if isinstance(stored, dict) else {}
    found = {str(k): v for k, v in state.items() if isinstance(v, torch.Tensor)} if isinstance(state, dict) else {}
    if not found:
        raise UserError(path, "not a checkpoint", "tensors by name", type(stored).__name__)
    return found


def fill(module: nn.Module, state: dict[str, torch.Tensor], where: Path) -> nn.Module:
    """`module`, made without values, with those of `state` in float32, ready to infer.

    Raises UserError naming the first parameter or buffer that is missing, of another shape, or too many.
    """
    expected = module.state_dict()
    state = {**{k: torch.zeros(v.shape) for k, v in expected.items() if k.endswith(COUNTER)}, **state}
    for name, value in expected.items():
        want, got = f"{name} {tuple(value.shape)}", tuple(state[name].shape) if name in state else "none"
        if got != tuple(value.shape):
            raise UserError(where, "checkpoint of another net", want, got)
    for name in state:
        if name not in expected:
            raise UserError(where, "checkpoint of another net", f"{len(expected)} tensors", f"{name} besides")
    for name, value in state.items():
        if not torch.isfinite(value).all():
            raise UserError(where, "damaged checkpoint", f"finite numbers in {name}", "others")
    module.load_state_dict({k: v.float() for k, v in state.items()}, assign=True)
    return module.eval().requires_grad_(False)


def _zipped(path: Path) -> bool:
    """Whether it is torch's format since 1.6; in the older one classes cannot be listed beforehand."""
    with path.open("rb") as f:
        return f.read(4) == b"PK\x03\x04"
