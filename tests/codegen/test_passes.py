"""Passes change how a net is computed, never a byte of what it computes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from people import OTHER, TINY, net
from played_program import play
from strategies import images, qnets

from hyper_mcu.codegen import oracle, passes
from hyper_mcu.codegen.layout import unpacked
from hyper_mcu.codegen.netspec import Conv, Head, NetSpec, Shuffle
from hyper_mcu.codegen.program import lower
from hyper_mcu.codegen.qnet import QNet

SHUFFLED = NetSpec(
    "shuffled@1",
    (
        Conv(3, 1, "same", 3, 12),
        Shuffle(3),  # behind a dense Conv
        Conv(3, 2, "same", 12, 12, 12),
        Shuffle(4),  # behind a depthwise one
        Conv(1, 1, "same", 12, 6, 2),
    ),
    Head("dot"),
    height=7,
    width=6,
)


@pytest.mark.parametrize("count", range(len(passes.PASSES) + 1))
@given(data=st.data())
def test_after_any_number_of_passes_every_layer_is_the_oracles(count: int, data: st.DataObject) -> None:
    q = data.draw(qnets())
    image = data.draw(images(q.spec))
    program = lower(q)
    for each in passes.PASSES[:count]:
        program = each(program)
    got, expected = play(program, q, image), oracle.run(q, image)
    assert got.logit == expected.logit
    for index, (ours, theirs) in enumerate(zip(got.layers, expected.layers, strict=True)):
        assert (ours == theirs).all(), f"stage {index}"


@given(qnets())
def test_what_is_packed_unpacks_to_the_same_net(q: QNet) -> None:
    program = passes.compiled(q)
    arrays = {a.name: np.atleast_1d(a.values).astype(np.int64).ravel() for a in program.arrays}
    spec, convs = q.spec, [c for _, c in q.convs]
    scales = np.concatenate([c.weight_scale for c in convs])
    again = unpacked(spec, arrays, scales, [float(c.out_scale) for c in convs], float(q.head.weight_scale))
    assert again.sha256() == q.sha256()
    assert all((a.weight_scale == b.weight_scale).all() for (_, a), b in zip(again.convs, convs, strict=True))


def test_the_image_enters_as_bytes() -> None:
    before, after = lower(net(OTHER)).steps[0], passes.compiled(net(OTHER)).steps[0]
    assert (before.zero, after.zero) == (128, 0)
    assert before.q is not None
    assert after.q is not None
    assert (after.q.bias == before.q.bias - 128 * before.q.weight.reshape(4, -1).sum(1, dtype=np.int64)).all()


def test_a_shuffle_behind_a_dense_conv_becomes_the_order_of_its_channels() -> None:
    q = net(SHUFFLED)
    first = passes.compiled(q).steps[0]
    assert (first.kind, first.store) == ("conv", 1)
    assert first.q is not None
    assert (first.q.multiplier == q.convs[0][1].multiplier[[0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]]).all()


def test_another_shuffle_becomes_the_address_of_a_store() -> None:
    program = passes.compiled(net(SHUFFLED))
    assert [s.kind for s in program.steps] == ["conv", "conv", "conv"]
    assert [s.store for s in program.steps] == [1, 4, 1]
    assert [s.store for s in passes.compiled(net(TINY)).steps if s.kind == "add"] == [2]


def test_after_all_passes_a_step_is_a_stage() -> None:
    for spec in (TINY, OTHER, SHUFFLED):
        assert [s.stage for s in passes.compiled(net(spec)).steps] == list(spec.stages)
