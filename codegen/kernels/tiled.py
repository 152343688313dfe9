"""Tiles of sums in registers, for cores without packed arithmetic: four channels of two pixels, or of four."""

from __future__ import annotations

from typing import Any

from hyper_mcu.codegen.kernels.kernel import Kernel

CORE = ("hm_tiled.h",)  # of firmware/core
CHANNELS, CHANNEL = 4, 16  # of a tile, and bytes of hm_tiled_channel
MOST = 0xFFFF  # of what hm_tiled holds in 16 bits


def serves(kernel: Kernel) -> bool:
    """Convolutions of four or more channels a group, over channels in fours, or over the three of an image. A shuffle
    must keep the channels of a tile at one distance."""
    if kernel.kind == "add" or kernel.out_g < CHANNELS or max(facts(kernel)["shape"]) > MOST:
        return False
    if kernel.shuffle > 1 and (kernel.out_g % CHANNELS or kernel.out_c // kernel.shuffle % CHANNELS):
        return False
    return kernel.in_g % 4 == 0 or (kernel.k > 1 and kernel.in_c == 3 and kernel.groups == 1)


def scratch(kernel: Kernel) -> int:
    """Bytes: what turns four channels' sums into bytes, their weights, and one group's input under a strip."""
    return CHANNELS * (CHANNEL + kernel.taps) + _planes(kernel)


def facts(kernel: Kernel) -> dict[str, Any]:
    """What the templates need to know beside the kernel: the members of hm_tiled."""
    k, slot, cell = kernel, _slot(kernel), _cell(kernel)
    blocks, line, row, right = k.in_g // slot, _line(k), _row(k), _right(k)
    read = (k.out_w, k.stride * k.in_c, slot) if k.k == 1 else (k.in_w, k.in_c, k.stride * slot)
    apart = 2 * cell // read[2]
    maps = (k.out_w, k.out_c, k.in_g, k.out_g, k.groups, k.out_c // k.shuffle)
    padding = (k.stride if k.k == 1 else 1, k.left, right)
    cells = slot // cell if k.k == 1 else k.k
    shape = (*read, slot, blocks, line, row, k.k * blocks, *maps, k.k, k.stride, *padding, cell, cells, apart)
    return {"shape": (*shape, k.padding, int(k.relu))}


def _cell(k: Kernel) -> int:
    """Channels of a pixel in a cell."""
    return 4 if k.in_g % 4 == 0 else 3


def _slot(k: Kernel) -> int:
    """Bytes of a pixel that lie together: a cell, or two, so that neighbouring pixels are two cells apart."""
    return 8 if k.k == 1 and k.in_g % 8 == 0 else _cell(k)


def _right(k: Kernel) -> int:
    """Padding columns behind a row."""
    return max((k.out_w - 1) * k.stride + k.k - k.left - k.in_w, 0) if k.k > 1 else 0


def _line(k: Kernel) -> int:
    """Bytes from one slot of a pixel to its next one: a row of slots, or of a pointwise kernel all rows."""
    if k.k == 1:
        return k.strip * k.out_w * _slot(k)
    return -(-(k.left + k.in_w + _right(k)) * _slot(k) // 4) * 4


def _row(k: Kernel) -> int:
    """Bytes from row to row."""
    return k.out_w * _slot(k) if k.k == 1 else k.in_g // _slot(k) * _line(k)


def _planes(k: Kernel) -> int:
    """Bytes of one group's input, and of a pixel behind it that is read and not used."""
    return (k.in_g // _slot(k) * _line(k) if k.k == 1 else k.in_rows * _row(k)) + 2 * _cell(k)
