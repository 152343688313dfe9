"""Scoring in this process: C gets only pointers, so what it cannot see is refused before."""

from __future__ import annotations

import numpy as np
import pytest
from c_programs import HOST
from fake_model import missing
from people import OTHER, TINY, net

from hyper_mcu.codegen import engine, oracle
from hyper_mcu.codegen.engine import logits
from hyper_mcu.codegen.errors import UserError

pytestmark = pytest.mark.skipif(not HOST, reason="no gcc, clang or cc on PATH")
IMAGE = oracle.known_image(TINY, 3)


@pytest.mark.parametrize("kind", ["gcc", "clang", "zig"])
def test_logits_are_the_oracles_by_every_compiler(monkeypatch, kind):
    if reason := missing((kind, "host")):
        pytest.skip(reason)
    monkeypatch.setenv("HYPER_MCU_TOOLCHAIN", kind)
    monkeypatch.setattr(engine, "_loaded", {})
    nets = [net(TINY, 1), net(TINY, 2)]
    assert logits(nets, np.stack([IMAGE, IMAGE])).tolist() == [oracle.run(n, IMAGE).logit for n in nets]


@pytest.mark.parametrize(
    ("images", "got"),
    [
        (np.zeros((1, 8, 5, 3), np.uint8), "uint8 (1, 8, 5, 3)"),
        (np.zeros((2, 8, 6, 3), np.uint8), "uint8 (2, 8, 6, 3)"),
        (np.zeros((1, 8, 6, 3), np.float32), "float32 (1, 8, 6, 3)"),
    ],
)
def test_images_of_another_shape_or_type_are_refused(images, got):
    with pytest.raises(UserError) as e:
        logits([net(TINY)], images)
    assert str(e.value) == f"images: shape and type; expected uint8 (1, 8, 6, 3), got {got}"


def test_nets_of_two_architectures_are_refused():
    with pytest.raises(UserError) as e:
        logits([net(TINY), net(OTHER)], np.stack([IMAGE, IMAGE]))
    assert str(e.value) == "nets: architecture; expected tiny@1, got other@1"
