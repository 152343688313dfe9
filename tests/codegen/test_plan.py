"""The plan of the rows, checked by playing it: every byte that a stage reads is the one that was written for it."""

from __future__ import annotations

import pytest
from people import OTHER, TINY
from played_plan import play

from hyper_mcu.codegen.netspec import Add, Conv, Head, NetSpec, Shuffle
from hyper_mcu.codegen.plan import plan
from hyper_mcu.codegen.presets import PRESETS, preset
from hyper_mcu.codegen.schedule import ROOM, aligned, lives, schedule, scratches


def chain(*layers, size=16):
    return NetSpec("x", layers, Head("dot", pool=True), height=size, width=size)


@pytest.mark.parametrize("spec", [TINY, OTHER, *PRESETS.values()], ids=lambda s: s.id)
def test_nobody_reads_what_another_wrote(spec):
    where = play(spec)
    assert where.bound <= where.total <= where.bound * 1.0125


def test_no_more_than_the_rows_of_a_window_are_kept():
    """When stage 1 computes: one row of the image, three of the map between, one of its own, what it works in."""
    spec = chain(Conv(3, 1, "same", 3, 8), Conv(3, 1, "same", 8, 8), size=64)
    work = aligned(scratches(spec, schedule(spec))[1])
    assert play(spec).bound == 64 * 3 + 3 * 64 * 8 + 64 * 8 + work


def test_a_stage_keeps_the_rows_that_a_later_sum_adds():
    conv = Conv(3, 1, "same", 8, 8)
    spec = chain(Conv(3, 1, "same", 3, 8), conv, conv, Add(0), size=64)
    kept = [r for r in lives(spec, schedule(spec).order) if r.stage == 0]
    assert all(any(o.y == r.y + 2 and o.first <= r.last for o in kept) for r in kept[:-2])
    play(spec)


def test_sums_that_reach_back_over_others_are_kept_apart():
    conv = Conv(3, 1, "same", 8, 8)
    grouped = Conv(3, 1, "same", 8, 8, 4)
    spec = chain(Conv(3, 1, "same", 3, 8), conv, Add(0), conv, Add(0), Add(1), Shuffle(2), grouped, Add(2), Add(0))
    order, where = schedule(spec).order, play(spec)
    t = next(t for t, strip in enumerate(order) if strip.stage == 4)
    kept = [r for r in lives(spec, order) if r.first <= t <= r.last]
    places = {(r.stage, r.y): where.row(r.stage, r.y) for r in kept}
    assert {0, 1, 2} <= {stage for stage, _ in places}, "read again by stages 5, 7 and 8"
    assert len(set(places.values())) == len(places)


def test_stages_of_few_pixels_a_row_compute_several_rows_at_a_time():
    found = plan(preset("paper")).schedule
    widths = [s.out_shape[1] for s in preset("paper").stages]
    assert {strip for strip, width in zip(found.strips, widths, strict=True) if width >= 56} == {1}
    assert all(strip >= 2 for strip, width in zip(found.strips, widths, strict=True) if width <= 14)


def test_paper_keeps_room_for_the_stack_in_14_kib():
    assert plan(preset("paper")).bound <= ROOM


def test_a_kernel_that_waits_for_rows_takes_no_more_room_than_the_net_needs_anyway():
    wide = chain(Conv(3, 1, "same", 3, 64), Conv(3, 2, "same", 64, 64), Conv(3, 2, "same", 64, 64), size=112)
    assert set(schedule(wide).waits) == {1}
    play(wide)
