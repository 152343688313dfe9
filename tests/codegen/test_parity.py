"""Parity finds what differs and where, says what has not run, and takes neither for the other."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from people import OTHER, TINY, net, person
from strategies import images, qnets

from hyper_mcu.codegen import oracle
from hyper_mcu.codegen.backends import Answers, Backend
from hyper_mcu.codegen.backends.table import BACKENDS, REFERENCE, backends_named
from hyper_mcu.codegen.errors import MissingToolError, UserError
from hyper_mcu.codegen.oracle import Result
from hyper_mcu.codegen.parity import Difference, Plan, combined, differs, identical, parity
from hyper_mcu.codegen.quantize import quantize

ALICE = person(net(TINY))
SHOWN = [oracle.known_image(TINY, seed) for seed in (1, 2, 3)]
EXPECTED = [oracle.run(ALICE.qnet, x) for x in SHOWN]


def played(results, exact=True):
    """A backend that gives these results."""
    return Backend("played", "in process", exact, lambda p, shown: Answers(tuple(results[: len(shown)]), "tape"))


def refusing(error, exact=True):
    """A backend that raises."""

    def ask(p, shown):
        raise error

    return Backend("refusing", "host", exact, ask)


def changed(image, stage, at, by):
    """The expected results but for one byte."""
    layers = [layer.copy() for layer in EXPECTED[image].layers]
    layers[stage][at] += by
    return [replace(r, layers=tuple(layers)) if i == image else r for i, r in enumerate(EXPECTED)]


def outcomes(*backends, p=ALICE, count=3):
    return list(parity(p, SHOWN, [Plan(b, count) for b in backends]))


def test_equal_bytes_are_identical_and_have_the_oracles_hash():
    ours, theirs = outcomes(REFERENCE, played(EXPECTED))
    assert (ours.status, theirs.status) == ("identical", "identical")
    assert ours.sha256 == theirs.sha256 == theirs.oracle_sha256
    assert (theirs.differing, theirs.first, theirs.verdicts) == (0, None, 0)
    assert theirs.elements == 3 * (sum(layer.size for layer in EXPECTED[0].layers) + 1)
    assert identical([ours, theirs])


def test_one_changed_byte_is_found_where_it_is():
    (o,) = outcomes(played(changed(1, 2, (3, 1, 4), 5)))
    want = int(EXPECTED[1].layers[2][3, 1, 4])
    assert o.status == "different"
    assert (o.differing, o.verdicts) == (1, 0)
    assert o.first == Difference(1, 2, (3, 1, 4), want, want + 5)
    assert str(o.first) == f"image 1, stage 2 at 3, 1, 4: want {want}, got {want + 5}"
    assert o.sha256 != o.oracle_sha256
    assert differs([o])
    assert not identical([o])


def test_a_logit_that_differs_alone_is_found_and_its_verdict_counted():
    threshold = max(r.logit for r in EXPECTED)
    said = [replace(r, logit=r.logit - 1) for r in EXPECTED]
    (o,) = outcomes(played(said), p=replace(ALICE, threshold=threshold))
    assert o.first == Difference(0, None, (), EXPECTED[0].logit, EXPECTED[0].logit - 1)
    assert o.differing == 3
    assert o.verdicts == sum(r.logit == threshold for r in EXPECTED) >= 1


def test_what_rounds_otherwise_is_counted_and_fails_nobody():
    ours, exact, other = outcomes(REFERENCE, played(EXPECTED), played(changed(0, 0, (0, 0, 0), 1), exact=False))
    assert (other.status, other.differing) == ("different", 1)
    assert identical([ours, exact, other])
    assert not identical([ours, other])


def test_what_is_missing_has_not_run_and_what_fails_differs():
    ours, gone, broken = outcomes(
        REFERENCE,
        refusing(MissingToolError("m99", "no emulator found", "one", "none")),
        refusing(UserError("m4", "crashed")),
    )
    assert (gone.status, gone.sha256) == ("not_run", "")
    assert gone.reason == "m99: no emulator found; expected one, got none"
    assert (broken.status, broken.reason, broken.sha256) == ("different", "m4: crashed", "")
    assert not differs([ours, gone])
    assert not identical([ours, gone])
    assert differs([ours, gone, broken])


def test_a_backend_may_be_asked_about_the_first_images_alone():
    few, all_of_them = parity(ALICE, SHOWN, [Plan(played(EXPECTED), 1), Plan(played(EXPECTED), 3)])
    assert (few.images, few.sha256) == (1, EXPECTED[0].layers_sha256)
    digests = b"".join(bytes.fromhex(r.layers_sha256) for r in EXPECTED)
    assert (all_of_them.images, all_of_them.sha256) == (3, hashlib.sha256(digests).hexdigest())
    assert combined([r.layers_sha256 for r in EXPECTED]) == all_of_them.sha256


def test_fewer_answers_than_images_are_a_fault_and_never_pass():
    (o,) = outcomes(played(EXPECTED[:2]))
    assert (o.status, o.sha256) == ("different", "")
    assert o.reason.startswith("ValueError: zip()")


def test_a_runtime_that_fails_in_its_own_way_differs_and_the_others_are_still_compared():
    ours, broken, exact = outcomes(REFERENCE, refusing(RuntimeError("no\nmemory")), played(EXPECTED))
    assert (broken.status, broken.reason) == ("different", "RuntimeError: no\\nmemory")
    assert exact.status == "identical"
    assert differs([ours, broken, exact])


def test_without_a_folder_to_build_in_c_has_not_run(tmp_path, monkeypatch):
    (tmp_path / "hyper-mcu").write_text("a file where the folder should be")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    ours, built = parity(ALICE, SHOWN[:1], [Plan(REFERENCE, 1), Plan(backends_named(["gcc-O2-c11"])[0], 1)])
    assert (built.status, built.sha256) == ("not_run", "")
    assert not differs([ours, built])
    assert not identical([ours, built])


def test_without_images_nothing_passes():
    with pytest.raises(UserError, match=r"parity: nothing to ask about; expected an image or more, got none"):
        list(parity(ALICE, [], [Plan(played([]), 0)]))


def test_names_are_told_apart_and_an_unknown_one_is_refused():
    names = [b.name for b in BACKENDS]
    assert len(names) == len(set(names))
    assert [b.name for b in backends_named(["m4", "oracle"])] == ["oracle", "m4"]
    with pytest.raises(
        UserError, match=r"backend: unknown; expected one of in-process, host, emulated, oracle, twin, onnx, .*, got m5"
    ):
        backends_named(["m5"])


@pytest.mark.parametrize("spec", [TINY, OTHER], ids=lambda s: s.id)
def test_backends_that_are_here_are_identical(spec):
    names = [b.name for b in BACKENDS if b.place == "in process"] + ["gcc-O2-c11", "zig-O2-c11", "m4"]
    theta = np.random.default_rng(1).normal(0, 0.3, spec.params).astype(np.float32)
    p = person(quantize(spec, theta, np.full(len(spec.stages), 0.02, np.float32)))
    shown = [oracle.known_image(spec, seed) for seed in (4, 5)]
    said = list(parity(p, shown, [Plan(b, 2) for b in backends_named(names)]))
    assert [(o.backend.name, o.first, o.reason) for o in said if o.backend.exact and o.status == "different"] == []
    assert all("; expected " in o.reason for o in said if o.status == "not_run")
    assert said[0].status == "identical"


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_torch_twin_gives_the_oracles_bytes_on_random_nets(one_thread, data):
    from hyper_mcu.codegen.backends.twin import twin

    q = data.draw(qnets())
    shown = [data.draw(images(q.spec)) for _ in range(3)]
    said = twin(person(q), shown).results
    for got, want in zip(said, [oracle.run(q, x) for x in shown], strict=True):
        assert isinstance(got, Result)
        assert (got.logit, got.layers_sha256) == (want.logit, want.layers_sha256)
        assert all(np.array_equal(a, b) for a, b in zip(got.layers, want.layers, strict=True))
