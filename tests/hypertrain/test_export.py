"""The generator as a file: the exported graph and the module that comes back from it."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs hyper-mcu[train]: torch")
pytest.importorskip("onnx", reason="needs hyper-mcu[train]: onnx")

import torch
from generators import POINTWISE, trained_like, unit

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.hypertrain import export
from hyper_mcu.hypertrain.hgen import Shape


@pytest.mark.parametrize("shape", [Shape(16, 24, 3), Shape(16, 24, 0, first=2), Shape(16, 24, -1)], ids=str)
def test_exported_generator_equals_torch_and_restores(tmp_path, shape: Shape) -> None:
    import onnxruntime

    hgen = trained_like(POINTWISE, shape)
    with torch.no_grad():
        for p in hgen.parameters():
            p.copy_(p.half().float())
    path = tmp_path / "generator.onnx"
    export.save(hgen, path, {"backbone": "none"})
    e = unit(7, 16)
    session = onnxruntime.InferenceSession(str(path))
    got = session.run(None, {"embedding": e.numpy()})[0]
    want = hgen(e).detach().numpy()
    assert got.shape == (7, POINTWISE.params)
    assert np.abs(got - want).max() <= 1e-5 * np.abs(want).max()
    again, meta = export.restore(path)
    assert meta["backbone"] == "none"
    assert again.shape == shape
    assert all(torch.equal(a, b) for a, b in zip(hgen.state_dict().values(), again.state_dict().values(), strict=True))
    assert list(tmp_path.iterdir()) == [path]


def test_restore_refuses_a_file_that_is_no_generator(tmp_path) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(b"not an onnx file")
    with pytest.raises(UserError, match=r"x\.onnx: not a generator; expected an ONNX file written by hyper-mcu, got "):
        export.restore(path)
