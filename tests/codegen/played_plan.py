"""A plan of the rows, played on a memory that only remembers who wrote each byte. It knows nothing of lives."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hyper_mcu.codegen.kernels.kernel import kernels
from hyper_mcu.codegen.kernels.variants import scratch
from hyper_mcu.codegen.netspec import Add, NetSpec
from hyper_mcu.codegen.plan import Plan, plan

IMAGE, NOBODY, SCRATCH = -1, (-2, 0), (-3, 0)


def play(spec: NetSpec) -> Plan:
    """Runs the net on such a memory; fails where somebody reads another's byte, or a row that is not there."""
    where = plan(spec)
    memory: NDArray[np.int64] = np.full((where.total, 2), NOBODY)
    shapes = [
        (spec.height, spec.width * spec.channels),
        *((h, w * c) for h, w, c in (s.out_shape for s in spec.stages)),
    ]
    made, newest = [0] * len(shapes), 0

    def bytes_of(offset: int | None, size: int) -> NDArray[np.int64]:
        assert offset is not None
        assert offset % 8 == 0
        assert 0 <= offset <= where.total - size
        return memory[offset : offset + size]

    def row(stage: int, y: int) -> NDArray[np.int64]:
        return bytes_of(where.row(stage, y), shapes[stage + 1][1])

    for strip in where.schedule.order:
        assert strip.first == made[strip.stage + 1], "rows come in order"
        made[strip.stage + 1] += strip.n
        if strip.stage == IMAGE:
            assert (strip.first, strip.n) == (newest, 1)
            if where.row(IMAGE, newest) is not None:
                row(IMAGE, newest)[:] = (IMAGE, newest)
            newest += 1
            continue
        stage, kernel = spec.stages[strip.stage], kernels(spec, where.schedule.strips)[strip.stage]
        assert 1 <= strip.n <= kernel.strip
        ours = range(strip.first, strip.first + strip.n)
        under = [(stage.index - 1, y * kernel.stride - stage.pad_before[0] + i) for y in ours for i in range(kernel.k)]
        under += [(stage.layer.of, y) for y in ours] if isinstance(stage.layer, Add) else []
        works = bytes_of(where.scratch[stage.index], scratch(kernel))
        works[:] = SCRATCH
        for y in ours:
            row(stage.index, y)[:] = (stage.index, y)
        for of, y in under:
            if 0 <= y < shapes[of + 1][0] and (of, y) != (IMAGE, newest):
                assert (row(of, y) == (of, y)).all(), f"stage {stage.index} reads row {y} of map {of}"
        assert (works == SCRATCH).all()
        assert all((row(stage.index, y) == (stage.index, y)).all() for y in ours)
    assert made == [height for height, _ in shapes]
    return where
