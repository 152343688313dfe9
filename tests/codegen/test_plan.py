"""The plan of the maps, checked by playing it: every byte that a stage reads is the one that was written for it."""

from __future__ import annotations

import pytest
from people import OTHER, TINY
from played_plan import play

from hyper_mcu.codegen.netspec import Add, Conv, Head, NetSpec, Shuffle
from hyper_mcu.codegen.presets import PRESETS


def chain(*layers):
    return NetSpec("x", layers, Head("dot", pool=True), height=16, width=16)


@pytest.mark.parametrize("spec", [TINY, OTHER, *PRESETS.values()], ids=lambda s: s.id)
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
    assert where.total == 2 * 16 * 16 * 8 + where.scratch[1].size


def test_a_shuffled_sum_does_not():
    spec = chain(Conv(3, 1, "same", 3, 8), Conv(3, 1, "same", 8, 8), Add(0), Shuffle(2), Conv(1, 1, "same", 8, 8, 2))
    where = play(spec)
    assert where.maps[2].offset not in (where.maps[0].offset, where.maps[1].offset)


def test_sums_that_reach_back_over_others_are_kept_apart():
    conv = Conv(3, 1, "same", 8, 8)
    where = play(chain(Conv(3, 1, "same", 3, 8), conv, Add(0), conv, Add(0), Add(1), conv, Add(2), Add(0)))
    assert len({where.maps[i].offset for i in (0, 1, 2)}) == 3  # all three are read again at stage 5 or later
