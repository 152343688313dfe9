"""Many processes under torchrun: who this one is, and what all of them agree on. Alone, everything is trivial.

To begin again after one has died (--max-restarts), torchrun needs TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 in its
environment: else the new processes read the addresses of the old ones (torch 2.5 to 2.13, pytorch/pytorch#135712).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn

from hyper_mcu.codegen.errors import UserError

Number = TypeVar("Number", np.int64, np.float64)


@contextmanager
def joined() -> Iterator[None]:
    """Joins the processes that torchrun started, if it did: gloo on the CPU, NCCL on CUDA. Raises UserError in those
    that another one's end has stopped."""
    if "RANK" not in os.environ or int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield
    except RuntimeError as e:
        if not isinstance(e, dist.DistError) and "gloo" not in str(e):  # gloo has no type of its own
            raise
        what = "another process has ended, which says why, if it could"
        raise UserError(f"process {rank() + 1} of {size()}", what) from e
    finally:
        dist.destroy_process_group()


def rank() -> int:
    """Number of this process, 0…size − 1."""
    return dist.get_rank() if dist.is_initialized() else 0


def local_rank() -> int:
    """Number of this process on its machine."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def size() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def highest(mine: int) -> int:
    """The highest of all processes' numbers."""
    if size() == 1:
        return mine
    number = torch.tensor([mine])
    dist.all_reduce(number, dist.ReduceOp.MAX)
    return int(number.item())


def wait() -> None:
    """Until all are here."""
    if size() > 1:
        dist.barrier()


def share(count: int) -> slice:
    """The part of `count` items that is this process's: parts of equal size, which `count` must allow."""
    each = count // size()
    return slice(rank() * each, (rank() + 1) * each)


def check_share(where: str, count: int) -> None:
    """Raises UserError where so many cannot be shared evenly."""
    if count % size():
        raise UserError(where, "not shared evenly", f"a multiple of {size()}", count)


def gather(x: Tensor) -> Tensor:
    """The tensors of all processes behind each other, (size·M, …), with gradients into each."""
    if size() == 1:
        return x
    gathered: Tensor = _Gathered.apply(x)
    return gathered


class _Gathered(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        parts = [torch.empty_like(x, memory_format=torch.contiguous_format) for _ in range(size())]
        dist.all_gather(parts, x.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        total = grad.contiguous().clone()  # of the sum of all processes' losses
        dist.all_reduce(total)
        return total[share(len(total))]


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Averages the gradients of parameters that DistributedDataParallel does not see."""
    for p in parameters:
        if p.grad is not None:
            averaged(p.grad)


def averaged(x: Tensor) -> Tensor:
    """x itself, its numbers now the means over all processes."""
    if size() > 1:
        dist.all_reduce(x)
        x /= size()
    return x


def parallel(module: nn.Module, without: Sequence[str] = ()) -> nn.Module:
    """The module itself, or DistributedDataParallel around it, but for the parameters named in `without`. All others
    must take part in every forward pass; buffers are the first process's."""
    if size() == 1:
        return module
    wrapper = nn.parallel.DistributedDataParallel
    wrapper._set_params_and_buffers_to_ignore_for_model(module, list(without))
    return wrapper(module)


def agreed(x: NDArray[Number]) -> NDArray[Number]:
    """The first process's array, in all of them."""
    if size() == 1:
        return x
    shared = torch.from_numpy(x)
    dist.broadcast(shared, 0)
    return shared.numpy()


@torch.no_grad()
def alike(tensors: Iterable[Tensor]) -> None:
    """Gives the tensors of all processes the numbers of the first one's."""
    if size() > 1:
        for x in tensors:
            dist.broadcast(x.detach(), 0)


def mean(numbers: Mapping[str, float]) -> dict[str, float]:
    """Means over all processes, which name the same numbers."""
    if size() == 1:
        return dict(numbers)
    total = torch.tensor([*numbers.values()], dtype=torch.float64)
    dist.all_reduce(total)
    return dict(zip(numbers, (total / size()).tolist(), strict=True))
