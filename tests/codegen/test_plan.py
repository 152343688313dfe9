"""The plan of the maps, checked by playing it: every byte that a stage reads is the one that was written for it."""

from __future__ import annotations

import numpy as np
import pytest
from people import OTHER, TINY

from hyper_mcu.codegen.netspec import Add, Conv, Head, NetSpec, Shuffle
from hyper_mcu.codegen.plan import plan
from hyper_mcu.codegen.presets import preset

PIXELS, ROW, NOBODY = -1, -2, -3  # owners of bytes that are no map


def play(spec):
    """Runs the net on a memory that only remembers who wrote each byte; fails where somebody reads another's byte."""
    where = plan(spec)
    memory = np.full(where.total, NOBODY)

    def part(buffer):
        assert buffer.offset >= 0
        assert buffer.end <= where.total
        return memory[buffer.offset : buffer.offset + buffer.size]

    part(where.image_rows)[:] = PIXELS
    part(where.image_row)[:] = ROW
    for s in spec.stages:
        out = where.maps[s.index]
        assert out.size == np.prod(s.out_shape)
        inputs = [s.index - 1] if s.index else []
        if isinstance(s.layer, Add):
            inputs.append(s.layer.of)
        for i in inputs:
            assert (part(where.maps[i]) == i).all(), f"stage {s.index} reads map {i}"
        before = memory.copy()
        part(out)[:] = s.index
        in_place = isinstance(s.layer, Add) and s.shuffle == 1  # byte i is read, then written
        for i in inputs:
            same = where.maps[i].offset == out.offset
            assert (in_place and same) or (part(where.maps[i]) == i).all(), f"stage {s.index} writes over map {i}"
        if s.index == 0:
            assert (part(where.image_rows) == PIXELS).all()
            assert (part(where.image_row) == ROW).all()
        assert (before != memory).any()
    assert (part(where.maps[-1]) == len(spec.stages) - 1).all()
    return where


def chain(*layers):
    return NetSpec("x", layers, Head("dot", pool=True), height=16, width=16)


@pytest.mark.parametrize("spec", [TINY, OTHER, preset("nano"), preset("paper")], ids=lambda s: s.id)
def test_nobody_reads_what_another_wrote(spec):
    where = play(spec)
    assert where.bound <= where.total < where.bound + 8


def test_a_chain_needs_its_largest_pair_and_no_more():
    """First fit by size would take 27 units here; maps at alternating ends take 19."""
    widths = (10, 9, 8, 10)
    pairs = zip((3, *widths), widths, strict=False)
    where = play(chain(*(Conv(1, 1, "same", a, b) for a, b in pairs)))
    assert where.total == 16 * 16 * 19


def test_a_sum_takes_the_place_of_an_input_that_is_not_read_again():
    spec = chain(Conv(3, 1, "same", 3, 8), Conv(3, 1, "same", 8, 8), Add(0), Conv(1, 1, "same", 8, 8))
    where = play(spec)
    assert where.maps[2].offset in (where.maps[0].offset, where.maps[1].offset)
    assert where.total == 2 * 16 * 16 * 8


def test_a_shuffled_sum_does_not():
    spec = chain(Conv(3, 1, "same", 3, 8), Conv(3, 1, "same", 8, 8), Add(0), Shuffle(2), Conv(1, 1, "same", 8, 8, 2))
    where = play(spec)
    assert where.maps[2].offset not in (where.maps[0].offset, where.maps[1].offset)


def test_sums_that_reach_back_over_others_are_kept_apart():
    conv = Conv(3, 1, "same", 8, 8)
    play(chain(Conv(3, 1, "same", 3, 8), conv, Add(0), conv, Add(0), Add(1), conv, Add(2), Add(0)))
