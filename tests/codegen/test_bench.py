"""Costs by layer add up to the whole, are the same in both emulators, and do not depend on image or person."""

from __future__ import annotations

import numpy as np
import pytest
from fake_model import missing
from people import OTHER, TINY, net, person

from hyper_mcu.codegen import bench
from hyper_mcu.codegen.bench import generated, measure, seeded, varying
from hyper_mcu.codegen.emit_c import emit
from hyper_mcu.codegen.errors import UserError
from hyper_mcu.codegen.instructions import Call, Point
from hyper_mcu.codegen.presets import preset
from hyper_mcu.codegen.run import run_model
from hyper_mcu.codegen.stack import deepest
from hyper_mcu.codegen.targets import TARGETS

NANO = preset("nano")
EMULATED = [t for t in TARGETS.values() if not t.is_host]


def costs(p, target, n=1, **options):
    """Costs on a target by name; skips the test by the name of what is not installed."""
    if why := missing(target, ("auto", target)):
        pytest.skip(why)
    found = measure(p, TARGETS[target], generated(p.qnet.spec, n), **options)
    if not found.runs and target != "host":
        pytest.skip(f"{found.emulator} not counted: a host compiler, or plugins in QEMU")
    return found


@pytest.mark.parametrize("target", [t.name for t in EMULATED])
def test_parts_add_up_to_what_the_whole_takes(tmp_path, target):
    p = seeded(NANO)
    found = costs(p, target)
    header = tmp_path / "model.h"
    header.write_text(emit(p))
    (run,), report = run_model(header, generated(NANO, 1)[0].tobytes(), target)
    assert found.instructions == sum(part.instructions for part in found.parts) == run.instructions
    assert (found.person_bytes, found.text_bytes + found.rodata_bytes) == (report.person_bytes, report.code_bytes)
    assert (found.session_bytes, found.stack_bytes) == (run.session_bytes, run.stack_bytes)
    assert [part.stage for part in found.parts] == [None, None, *range(len(NANO.stages)), None]
    assert sum(part.macs for part in found.parts) == NANO.macs
    assert all(part.instructions > part.macs / 16 for part in found.parts), "no core multiplies more at once"
    assert (found.cycles is None) == (target != "m4")


@pytest.mark.parametrize("target", ["m4", "rv32imc"])
def test_both_emulators_tell_the_same_of_every_part(monkeypatch, target):
    if why := missing(target, ("unicorn", target), ("qemu", target)):
        pytest.skip(why)
    one = costs(seeded(NANO), target)
    assert one.emulator.startswith("unicorn ")
    run = bench.run_program
    monkeypatch.setattr(bench, "run_program", lambda *words, **more: run(*words, **more, emulator="qemu"))
    other = costs(seeded(NANO), target)
    assert other.emulator.startswith("QEMU ")
    assert one.runs == other.runs


@pytest.mark.parametrize("spec", [TINY, OTHER], ids=lambda s: s.id)
def test_stages_take_the_same_whatever_the_integers_are(spec):
    found, again = (costs(person(net(spec, seed)), "m4") for seed in (1, 5))
    assert [p.instructions for p in found.parts[:-1]] == [p.instructions for p in again.parts[:-1]]


@pytest.mark.parametrize("target", ["m3", "m4", "m55", "rv32imc"])
def test_no_layer_tells_image_or_person_by_its_instructions(target):
    """Several people, several images, black and white among them."""
    images = [*generated(NANO, 3), np.zeros((32, 32, 3), np.uint8), np.full((32, 32, 3), 255, np.uint8)]
    if why := missing(target, ("auto", target)):
        pytest.skip(why)
    found = [measure(seeded(NANO, seed), TARGETS[target], images) for seed in (1, 2, 3)]
    if not all(c.runs for c in found):
        pytest.skip(f"{found[0].emulator} not counted: a host compiler, or plugins in QEMU")
    assert varying(found) == {}


def test_what_varies_is_named_with_least_and_most():
    part = bench.Part("score", None, None, 0, 10, 0)
    stage = bench.Part("3x3", 4, "3x3", 9, 100, 0)
    more = bench.Part("3x3", 4, "3x3", 9, 103, 0)
    one, other = (bench.Costs("m4", "", "", ((part, x),), 0, 0, None, 0, 0, 0) for x in (stage, more))
    assert varying([one, other]) == {"stage 4": (100, 103)}
    assert varying([one, one]) == {}


@pytest.mark.parametrize("target", ["m0", "m3", "m4", "m33", "m55", "rv32imc"])
def test_no_stack_is_touched_beyond_the_bound(target):
    found = costs(seeded(NANO), target)
    if "gcc" not in found.toolchain:
        pytest.skip("a compiler that tells what functions need")
    if found.stack_bound is None:
        assert target == "m0", "only a Cortex-M0 needs functions of the compiler's library"
        return
    assert found.stack_bytes <= found.stack_bound <= found.stack_bytes + 64


GRAPH = """graph: { title: "a.c"
node: { title: "a.c:verify" label: "verify\\na.c:1:1\\n8 bytes (static)" }
node: { title: "one" label: "one\\na.c:2:1\\n16 bytes (static)" }
node: { title: "two" label: "two\\na.c:3:1\\n100 bytes (%s)" }
edge: { sourcename: "a.c:verify" targetname: "one" label: "a.c:1:9" }
edge: { sourcename: "a.c:verify" targetname: "two" label: "a.c:1:10" }
edge: { sourcename: "one" targetname: "three" label: "a.c:2:10" }
}
"""
OTHER_GRAPH = 'node: { title: "three" label: "three\\nb.c:2:1\\n40 bytes (static)" }\n'


@pytest.mark.parametrize(
    ("graphs", "most"),
    [
        ([GRAPH % "static", OTHER_GRAPH], 108),
        ([(GRAPH % "static").replace("100", "20"), OTHER_GRAPH], 64),
        ([GRAPH % "static"], None),  # nobody knows what three needs
        ([GRAPH % "dynamic", OTHER_GRAPH], None),
        ([GRAPH % "static", OTHER_GRAPH + 'edge: { sourcename: "three" targetname: "one" }\n'], None),  # a circle
        ([OTHER_GRAPH], None),
    ],
)
def test_the_deepest_path_of_calls_is_the_bound_and_what_is_not_known_is_none(graphs, most):
    assert deepest(graphs, "verify") == most


def test_this_machine_has_sizes_and_no_counts():
    found = costs(seeded(NANO), "host")
    assert (found.runs, found.instructions, found.cycles, found.stack_bound) == ((), None, None, None)
    assert found.session_bytes > 0
    assert found.text_bytes > 0


def test_strips_out_of_the_schedules_order_are_refused():
    order = bench.counter_order(TINY)
    rows = range(100, 100 + 2 * (len(TINY.stages) + 1))
    stores = [Point(100 + 2 * counter, 10 * i, 20 * i) for i, counter in enumerate(order, 1)]
    noise = Point(100, 3, 3)  # the counters are cleared before, and wiped behind
    told = bench.parts(TINY, Call(1000, 2000, (noise, *stores, noise)), rows)
    assert sum(p.instructions for p in told) == 1000
    assert told[0].instructions == 10
    assert told[-1].instructions == 1000 - 10 * len(order)
    with pytest.raises(UserError, match="the engine's strips; expected the schedule's order"):
        bench.parts(TINY, Call(1000, 2000, tuple(reversed(stores))), rows)


def test_another_logit_than_the_oracles_is_refused(monkeypatch):
    one, other, right = seeded(NANO), seeded(NANO, 2), bench.oracle.run
    monkeypatch.setattr(bench.oracle, "run", lambda _, image: right(other.qnet, image))
    with pytest.raises(UserError, match=r"seed1\.h on host: logit; expected the oracle's, "):
        measure(one, TARGETS["host"], generated(NANO, 1))
