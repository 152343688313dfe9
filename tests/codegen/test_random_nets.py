"""Random legal nets: plan, C and reading back against the oracle. Nets share programs, for the compiler's time."""

from __future__ import annotations

import pytest
from c_programs import HOST, HOST_COMPILERS, SANITIZED, sanitizes, zig
from hypothesis import given, settings
from people import person, same_person
from played_plan import play
from random_nets import PROGRAMS, a_few, check
from strategies import net_specs, qnets

from hyper_mcu.codegen.emit_c import emit
from hyper_mcu.codegen.parse_header import parse_text


@pytest.mark.skipif(not HOST, reason="no gcc, clang or cc on PATH")
@a_few(6)
@given(nets=PROGRAMS)
def test_c_equals_the_oracle_on_every_stage(tmp_path, nets):
    check(tmp_path, nets, "-O2")


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@a_few(4)
@given(nets=PROGRAMS)
def test_c_does_nothing_undefined(tmp_path, compiler, nets):
    if not sanitizes(compiler):
        pytest.skip(f"no {compiler} with sanitizers on PATH")
    check(tmp_path, nets, *SANITIZED, compiler=(compiler,))


@pytest.mark.skipif("clang" not in HOST_COMPILERS, reason="no clang on PATH")
@a_few(2)
@given(nets=PROGRAMS)
def test_another_compiler_at_another_level_agrees(tmp_path, nets):
    check(tmp_path, nets, "-O3", compiler=("clang",))


@pytest.mark.skipif(zig() is None, reason="the ziglang package is not installed")
@a_few(1)
@given(nets=PROGRAMS)
def test_zig_agrees(tmp_path, nets):
    check(tmp_path, nets, "-Os", compiler=zig())


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
