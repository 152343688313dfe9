import numpy as np
import pytest

from hyper_mcu.codegen.errors import UserError
from hyper_mcu.faces.align import align
from hyper_mcu.faces.backbone import BATCH, backbone, embed
from hyper_mcu.faces.detect import detect


@pytest.fixture(scope="module")
def crops(yao, players):
    faces = [f for f in detect(players) if f.eye_distance >= 12]
    return np.stack([align(yao, detect(yao)[0].landmarks), *(align(players, f.landmarks) for f in faces)])


def test_backbone_says_what_it_is():
    b = backbone()
    assert (b.name, b.dimension, b.sha256[:8]) == ("mbf-w600k", 512, "9cc6e4a7")
    assert "non-commercial" in b.licence


def test_unknown_backbone_is_refused(crops):
    with pytest.raises(UserError) as e:
        embed(crops, name="r100")
    assert str(e.value) == "r100: unknown backbone; expected one of mbf-w600k, got r100"


def test_embeddings_are_unit_and_the_same_alone_and_in_batches(crops):
    e = embed(np.tile(crops, (3, 1, 1, 1)))
    assert len(e) > BATCH
    assert e.dtype == np.float32
    assert np.allclose(np.linalg.norm(e, axis=1), 1, atol=1e-5)
    alone = np.concatenate([embed(c[None]) for c in crops])
    assert np.abs(e[: len(crops)] - alone).max() < 1e-4


def test_mirrored_mean_is_the_same_for_the_mirror_image(crops):
    a, b = embed(crops[:3], mirror=True), embed(crops[:3, :, ::-1], mirror=True)
    assert np.abs(a - b).max() < 1e-4
    plain, flipped = embed(crops[:3]), embed(crops[:3, :, ::-1])
    mean = (plain + flipped) / np.linalg.norm(plain + flipped, axis=1, keepdims=True)
    assert np.abs(a - mean).max() < 1e-5


def test_no_crops_give_no_embeddings():
    assert embed(np.empty((0, 112, 112, 3), np.uint8)).shape == (0, 512)


def test_the_man_is_nearest_to_himself_in_the_team_photo(crops):
    e = embed(crops)
    cosines = np.sort(e[1:] @ e[0])
    assert cosines[-1] > 0.5
    assert cosines[-2] < 0.3
