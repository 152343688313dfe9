"""Random nets with an image each, several in a program for the compiler's time, and C held against the oracle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from c_programs import HOST, answers
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from people import person
from strategies import images, qnets

from hyper_mcu.codegen import oracle
from hyper_mcu.codegen.person import Person
from hyper_mcu.codegen.qnet import QNet

NETS_A_PROGRAM = 8
Net = tuple[QNet, NDArray[np.uint8]]


@st.composite
def nets_and_images(draw: st.DrawFn) -> Net:
    """A QNet and an image for it."""
    qnet = draw(qnets())
    return qnet, draw(images(qnet.spec))


PROGRAMS = st.lists(nets_and_images(), min_size=NETS_A_PROGRAM, max_size=NETS_A_PROGRAM)


def a_few(n: int, *, derandomize: bool = True) -> settings:
    """n examples, the same every time, as the compiler takes a second for each; none is made smaller."""
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]
    checks.append(HealthCheck.function_scoped_fixture)
    phases = [Phase.explicit, Phase.generate]
    return settings(
        max_examples=n, derandomize=derandomize, deadline=None, database=None, phases=phases,
        suppress_health_check=checks,
    )  # fmt: skip


def people(nets: Sequence[Net]) -> tuple[list[Person], list[oracle.Result]]:
    """A person of each net, the threshold at or beside the logit of its image, and what the oracle says of that."""
    expected = [oracle.run(qnet, image) for qnet, image in nets]
    thresholds = [min(max(r.logit + i % 3 - 1, -(2**31) + 1), 2**31 - 1) for i, r in enumerate(expected)]
    return [person(qnet, threshold=t) for (qnet, _), t in zip(nets, thresholds, strict=True)], expected


def check(folder: Path, nets: Sequence[Net], *options: str, compiler: Sequence[str] = (HOST,)) -> None:
    """Every byte of every stage, the logit, the match at and beside the logit, the self-test."""
    made, expected = people(nets)
    said = answers(folder, made, [x for _, x in nets], *options, compiler=compiler)
    for p, a, e in zip(made, said, expected, strict=True):
        spec = p.qnet.spec
        for i, (c, o) in enumerate(zip(a.layers, e.layers, strict=True)):
            assert c == np.ascontiguousarray(o).tobytes(), f"stage {i} of {spec.to_json()}"
        assert a.logit == e.logit, spec.to_json()
        assert a.match is (e.logit >= p.threshold)
        assert a.known_answer == 0
