"""Scores of pairs against one net at a time, whatever the nets share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs hyper-mcu[train]: torch")
pytest.importorskip("cv2", reason="needs hyper-mcu[train]: opencv-python-headless")

import torch
from synthetic_faces import faces

from hyper_mcu.codegen import oracle
from hyper_mcu.codegen.netspec import NetSpec
from hyper_mcu.codegen.presets import preset
from hyper_mcu.codegen.quantize import quantize
from hyper_mcu.hypertrain import augment, batched, evaluate, net
from hyper_mcu.hypertrain.data import Faces
from hyper_mcu.hypertrain.evaluate import Weights
from hyper_mcu.hypertrain.protocols import Pairs

NANO = preset("nano")
SCALES = np.full(len(NANO.stages), 0.03, np.float32)


@pytest.fixture(scope="module")
def people() -> Faces:
    return faces({"val": 6}, photos=3, side=NANO.height)


def weights_of(spec: NetSpec, first: int, apart: int = 10**9, later: int = 0) -> Weights:
    """Embeddings to nets that have their stages before `first` in common; after `apart` people only those before
    `later`. A person is told by the sum of the embedding."""
    rng, met = np.random.default_rng(0), dict[float, np.ndarray]()
    base = net.he_init(spec, torch.Generator().manual_seed(1)).numpy()

    def begin(stage: int) -> int:
        own = (t.offset for t in spec.tensors if t.name.startswith(("head", f"stage{stage}.")))
        return next(own)

    def weights(e: np.ndarray) -> np.ndarray:
        out = []
        for row in e:
            key = float(row.sum())
            if key not in met:
                own = base + 0.05 * rng.standard_normal(spec.params).astype(np.float32)
                at = begin(first if len(met) < apart else later)
                met[key] = np.concatenate([base[:at], own[at:]])
            out.append(met[key])
        return np.stack(out)

    return weights


PAIRS = Pairs(
    np.array([9, 2, 9, 0, 2, 17, 5, 9]), np.array([1, 5, 0, 7, 2, 3, 5, 16]), np.tile([True, False], 4), np.arange(8)
)


@pytest.mark.parametrize("room", [1 << 30, 0], ids=["kept", "computed for each pair"])
@pytest.mark.parametrize(
    ("first", "apart", "later"), [(0, 99, 0), (3, 99, 0), (3, 2, 0), (3, 2, 1), (len(NANO.stages), 99, 0)]
)
def test_scores_are_those_of_one_net_at_a_time(
    people: Faces, first: int, apart: int, later: int, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate, "ROOM", room)
    monkeypatch.setattr(evaluate, "LOOK", 3)
    weights = weights_of(NANO, first, apart, later)
    found = evaluate.score_pairs(NANO, weights, SCALES, people, PAIRS, batch=3)
    e = people.enrolled()
    for i, (a, b) in enumerate(zip(PAIRS.enrol, PAIRS.probe, strict=True)):
        theta, image = weights(e[[a]])[0], augment.images(people.crops[[b]], NANO.height)[0]
        assert found["float"][i] == pytest.approx(oracle.run_float(NANO, theta, image).score, abs=1e-4)
        qnet = quantize(NANO, theta, SCALES)
        assert found["int8"][i] == qnet.score(oracle.run(qnet, image).logit)


def test_shared_stages_run_once_an_image(people: Faces, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    maps = evaluate.float_maps

    def counted(spec: NetSpec, theta: torch.Tensor, x: torch.Tensor, stop: int | None = None) -> list[torch.Tensor]:
        looked.append(len(x))
        return maps(spec, theta, x, stop)

    monkeypatch.setattr(evaluate, "float_maps", counted)
    evaluate.score_pairs(NANO, weights_of(NANO, 3), None, people, PAIRS, batch=2)
    assert sum(looked) == len(set(PAIRS.probe.tolist()))


def test_emitted_c_scores_the_same(people: Faces) -> None:
    weights = weights_of(NANO, 3)
    by_twin, by_c = (evaluate.score_pairs(NANO, weights, SCALES, people, PAIRS, by_c=c)["int8"] for c in (False, True))
    assert np.array_equal(by_twin, by_c)


@pytest.mark.parametrize("norm", ["instance", "pixel-channel"])
def test_normalisation_at_run_time_is_computed_in_shared_stages_too(people: Faces, norm: str) -> None:
    spec = replace(NANO, norm=norm)
    weights = weights_of(spec, 3)
    found = evaluate.score_pairs(spec, weights, None, people, PAIRS)["float"]
    theta = torch.from_numpy(weights(people.enrolled(PAIRS.enrol)))
    x = augment.plain(people.crops[PAIRS.probe], spec.height)
    want = batched.scores_loop(spec, theta, x).diagonal()
    assert np.abs(found - want.numpy()).max() < 1e-4


def test_threads_of_torch_are_given_back(people: Faces) -> None:
    before = torch.get_num_threads()
    evaluate.score_pairs(NANO, weights_of(NANO, 3), None, people, PAIRS)
    assert torch.get_num_threads() == before


def test_progress_says_how_many_pairs_are_scored(people: Faces) -> None:
    said: list[str] = []
    evaluate.score_pairs(NANO, weights_of(NANO, 3), None, people, PAIRS, batch=3, progress=said.append)
    assert [text.partition(",")[0] for text in said] == [f"scoring pairs: {k} of 8" for k in (0, 3, 6)]
