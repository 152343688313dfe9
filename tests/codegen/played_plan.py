"""A plan of the maps, played on a memory that only remembers who wrote each byte."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hyper_mcu.codegen.netspec import Add, NetSpec
from hyper_mcu.codegen.plan import Buffer, Plan, plan

PIXELS, ROW, NOBODY = -1, -2, -3  # owners of bytes that are no map


def play(spec: NetSpec) -> Plan:
    """Runs the net on such a memory; fails where somebody reads another's byte."""
    where = plan(spec)
    memory = np.full(where.total, NOBODY)

    def part(buffer: Buffer) -> NDArray[np.int64]:
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
