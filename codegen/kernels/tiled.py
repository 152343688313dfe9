"""Tiles of sums in registers, for cores without packed arithmetic: four channels of two pixels, or of four."""

from __future__ import annotations

from typing import Any

from hyper_mcu.codegen.kernels.kernel import Kernel

CORE = ("hm_tiled.h", "hm_tiled_pairs.h", "hm_tiled_rv32.h", "hm_tiled_strip.h")  # of firmware/core
CHANNELS, PIXELS = 4, 4  # of a tile, at most
PIXEL, CELL, FOUR = 8, 20, 92  # bytes of hm_tiled_pixel, of a cell, of what lies behind four channels' cells
MOST = 0xFFFF  # of what hm_tiled holds in 16 bits


def serves(kernel: Kernel) -> bool:
    """Convolutions of four or more outputs a group whose rows of taps, k·in_g each, divide into cells of four or three.

    A shuffle must keep the channels of a tile at one distance. The rows of a pointwise kernel must lie in one array,
    the session, as their pixels are told by distance: so not the image's."""
    k = kernel
    if k.kind == "add" or k.out_g < CHANNELS or not _cell(k) or max(facts(k)["shape"]) > MOST:
        return False
    if k.shuffle > 1 and (k.out_g % CHANNELS or k.out_c // k.shuffle % CHANNELS):
        return False
    return k.k > 1 or k.padding == 0


def scratch(kernel: Kernel) -> int:
    """Bytes, as hm_tiled_strip divides them and each kernel's C asserts: the pixels, four channels' weights, what turns
    their sums into bytes, and one group's input under a strip, which a pointwise kernel reads in its place."""
    pixels, cells, planes = _parts(kernel)
    return pixels * PIXEL + cells * CELL + FOUR + planes


def facts(kernel: Kernel) -> dict[str, Any]:
    """What the templates need to know beside the kernel: `shape`, the members of hm_tiled in order; `scratch`, how many
    pixels, cells and bytes of input it holds, and all its bytes."""
    k = kernel
    sizes = (k.in_w, k.in_c, k.in_g, k.out_w, k.out_c, k.out_g, k.groups, k.out_c // k.shuffle, _pitch(k))
    window = (k.taps // _cell(k), _cell(k), k.k, k.stride, k.left, k.right, k.padding, int(k.relu))
    return {"shape": (*sizes, *window), "scratch": (*_parts(k), scratch(k))}


def _parts(k: Kernel) -> tuple[int, int, int]:
    """Pixels of a strip in whole tiles, cells of a sum, bytes of one group's input in scratch."""
    pixels = -(-k.strip * k.out_w // PIXELS) * PIXELS
    return pixels, k.taps // _cell(k), k.in_rows * _pitch(k) if k.k > 1 else 0


def _cell(k: Kernel) -> int:
    """Taps of a cell, into which a row of taps divides: four, else three, else 0."""
    return next((n for n in (4, 3) if k.k * k.in_g % n == 0), 0)


def _pitch(k: Kernel) -> int:
    """Bytes of a row of one group's input in scratch, a multiple of 4; of a pixel's where that is read in its place."""
    return -(-k.padded_w * k.in_g // 4) * 4 if k.k > 1 else k.in_g
