"""Random legal nets: plan, C and reading back against the oracle. Nets share programs, for the compiler's time."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import numpy as np
import pytest
from c_programs import HOST, HOST_COMPILERS, SANITIZED, answers, sanitizes, zig
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from people import person, same_person
from played_plan import play
from strategies import images, net_specs, qnets

from hyper_mcu.codegen import oracle
from hyper_mcu.codegen.emit_c import emit
from hyper_mcu.codegen.parse_header import parse_text

NETS_A_PROGRAM = 8


@st.composite
def nets_and_images(draw):
    qnet = draw(qnets())
    return qnet, draw(images(qnet.spec))


PROGRAMS = st.lists(nets_and_images(), min_size=NETS_A_PROGRAM, max_size=NETS_A_PROGRAM)


def a_few(n):
    """The same n examples every time, as the compiler takes a second for each."""
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]
    checks.append(HealthCheck.function_scoped_fixture)
    phases = [Phase.explicit, Phase.generate]
    return settings(
        max_examples=n, derandomize=True, deadline=None, database=None, phases=phases, suppress_health_check=checks
    )


@pytest.fixture
def folder(tmp_path):
    """A new folder for each example."""
    numbers = count()

    def make() -> Path:
        new = tmp_path / str(next(numbers))
        new.mkdir()
        return new

    return make


def check(folder, nets, *options, compiler=(HOST,)):
    """Every byte of every stage, the logit, the match at and beside the logit, the self-test."""
    people, expected = [], []
    for i, (qnet, image) in enumerate(nets):
        result = oracle.run(qnet, image)
        people.append(person(qnet, threshold=min(max(result.logit + i % 3 - 1, -(2**31) + 1), 2**31 - 1)))
        expected.append(result)
    said = answers(folder, people, [x for _, x in nets], *options, compiler=compiler)
    for p, a, e in zip(people, said, expected, strict=True):
        spec = p.qnet.spec
        for i, (c, o) in enumerate(zip(a.layers, e.layers, strict=True)):
            assert c == np.ascontiguousarray(o).tobytes(), f"stage {i} of {spec.to_json()}"
        assert a.logit == e.logit, spec.to_json()
        assert a.match is (e.logit >= p.threshold)
        assert a.known_answer == 0


@pytest.mark.skipif(not HOST, reason="no gcc, clang or cc on PATH")
@a_few(6)
@given(nets=PROGRAMS)
def test_c_equals_the_oracle_on_every_stage(folder, nets):
    check(folder(), nets, "-O2")


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@a_few(4)
@given(nets=PROGRAMS)
def test_c_does_nothing_undefined(folder, compiler, nets):
    if not sanitizes(compiler):
        pytest.skip(f"no {compiler} with sanitizers on PATH")
    check(folder(), nets, *SANITIZED, compiler=(compiler,))


@pytest.mark.skipif("clang" not in HOST_COMPILERS, reason="no clang on PATH")
@a_few(2)
@given(nets=PROGRAMS)
def test_another_compiler_at_another_level_agrees(folder, nets):
    check(folder(), nets, "-O3", compiler=("clang",))


@pytest.mark.skipif(zig() is None, reason="the ziglang package is not installed")
@a_few(1)
@given(nets=PROGRAMS)
def test_zig_agrees(folder, nets):
    check(folder(), nets, "-Os", compiler=zig())


@settings(max_examples=40, deadline=None)
@given(qnets())
def test_what_was_emitted_is_read_back(qnet):
    p = person(qnet)
    assert same_person(parse_text(emit(p)).person, p)


@settings(max_examples=200, deadline=None)
@given(net_specs(max_stages=9))
def test_nobody_reads_what_another_wrote(spec):
    where = play(spec)
    assert where.bound <= where.total


@pytest.mark.slow
@pytest.mark.skipif(
    not HOST or not sanitizes(HOST), reason="the compiler on PATH has no sanitizers (gcc, libasan, libubsan)"
)
@a_few(60)
@given(nets=PROGRAMS)
def test_soak_of_sanitized_random_nets(folder, nets):
    check(folder(), nets, "-O1", *SANITIZED)
