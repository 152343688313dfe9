"""The torch twin and the compiled engine against the NumPy oracle, on random nets."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("torch", reason="needs hyper-mcu[train]: torch")

from strategies import images, qnets

from hyper_mcu.codegen import engine, oracle
from hyper_mcu.codegen.presets import preset
from hyper_mcu.codegen.quantize import quantize
from hyper_mcu.hypertrain import oracle as twin


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_twin_equals_the_oracle_on_every_stage(data: st.DataObject) -> None:
    net = data.draw(qnets())
    image = data.draw(images(net.spec))
    want, got = oracle.run(net, image), twin.run([net], image[None], keep_layers=True)
    for w, g in zip(want.layers, got.layers, strict=True):
        assert np.array_equal(w, g[0])
    assert want.logit == got.logits[0]


def test_many_nets_at_once_equal_one_at_a_time() -> None:
    spec, rng = preset("nano"), np.random.default_rng(0)
    scales = np.full(len(spec.stages), 0.03, np.float32)
    nets = [quantize(spec, rng.normal(0, 0.3, spec.params).astype(np.float32), scales) for _ in range(5)]
    shots = rng.integers(0, 256, (5, spec.height, spec.width, 3), dtype=np.uint8)
    want = [oracle.run(n, s).logit for n, s in zip(nets, shots, strict=True)]
    assert twin.run(nets, shots).logits.tolist() == want
    assert engine.logits(nets, shots).tolist() == want
