"""Augmented views: what stays, what changes, and that a seed gives the same batches again."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs hyper-mcu[train]: torch")
pytest.importorskip("cv2", reason="needs hyper-mcu[train]: opencv-python-headless")

import torch

from hyper_mcu.hypertrain import augment
from hyper_mcu.hypertrain.data.faces import MARGIN


class Still:
    """A random generator that draws only zeros: no turn, no shift; and whether to mirror."""

    def __init__(self, mirrored: bool) -> None:
        self.mirrored = mirrored

    def standard_normal(self, size=None):
        return 0.0 if size is None else np.zeros(size)

    def random(self) -> float:
        return 0.0 if self.mirrored else 0.9


def crops(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 128, 128, 3), dtype=np.uint8)


@pytest.mark.parametrize("mirrored", [False, True])
def test_view_without_chance_is_the_central_crop(mirrored: bool) -> None:
    (crop,) = crops(1)
    centre = crop[MARGIN:-MARGIN, MARGIN:-MARGIN]
    got = augment.view(crop, Still(mirrored))
    assert np.array_equal(got, centre[:, ::-1] if mirrored else centre)


def test_view_of_a_crop_without_margin_repeats_its_border() -> None:
    (crop,) = crops(1)[:, :112, :112]
    assert np.array_equal(augment.view(crop, Still(False)), crop)
    flat = np.full((112, 112, 3), 200, np.uint8)
    rng = np.random.default_rng(2)
    assert all((augment.view(flat, rng) == 200).all() for _ in range(50))


def test_views_move_the_face_by_a_few_pixels_and_mirror_half_of_them() -> None:
    crop = np.zeros((128, 128, 3), np.uint8)
    crop[60:68, 84:92] = 255  # left of it is where its mirror image comes to lie
    rng = np.random.default_rng(1)
    places = np.array([np.argwhere(augment.view(crop, rng)[..., 0] > 127).mean(0) for _ in range(200)])
    right = places[:, 1] > 55.5
    assert 70 < right.sum() < 130
    sideways = np.abs(places[:, 1] - 55.5)  # a mirror image is as far from the middle
    assert abs(np.median(sideways) - 24) < 1
    assert 2 < places[:, 0].std() < 5
    assert np.abs(places - (55.5, 55.5)).max() < 45


def test_input_of_f_is_the_pixel_less_128_over_128() -> None:
    x = augment.to_input(np.array([[[[0, 128, 255]]]], np.uint8))
    assert (x.shape, x.dtype) == ((1, 3, 1, 1), torch.float32)
    assert x.flatten().tolist() == [-1.0, 0.0, 127 / 128]


def test_relit_images_stay_in_the_range_of_bytes_and_keep_their_pattern() -> None:
    images = np.repeat(np.linspace(0, 255, 64).astype(np.uint8).reshape(1, 8, 8, 1), 3, 3)
    many = np.repeat(images, 50, 0)
    x = augment.relight(many, torch.Generator().manual_seed(0)).float()
    assert x.shape == (50, 3, 8, 8)
    assert float(x.min()) >= -1
    assert float(x.max()) <= 127 / 128
    means = x.mean((1, 2, 3))
    assert 0.05 < float(means.std()) < 0.4
    flat = x.flatten(2)
    assert bool((flat.diff(dim=2) >= 0).all()), "brighter stays brighter"
    assert float((flat[:, 0] - flat[:, 1]).abs().mean()) > 0.02, "channels are tinted apart"


ORDER = [np.array([5, 0]), np.array([1, 1]), np.array([2, 3]), np.array([4, 0])]


def prepared(
    steps: range, made: tuple[int, ...] = (), **settings: object
) -> list[tuple[int, np.ndarray, torch.Tensor]]:
    return list(augment.batches(lambda step: (crops(6), step in made), lambda step: ORDER[step], steps, 3, **settings))


def test_batches_come_in_order_and_a_seed_repeats_them() -> None:
    first, again = prepared(range(4)), prepared(range(4))
    assert [step for step, _, _ in first] == [0, 1, 2, 3]
    assert all(np.array_equal(rows, want) for (_, rows, _), want in zip(first, ORDER, strict=True))
    assert all(torch.equal(a, b) for (_, _, a), (_, _, b) in zip(first, again, strict=True))
    assert not torch.equal(first[1][2][0], first[1][2][1])  # one image twice in a batch is seen in two ways


def test_a_step_is_the_same_wherever_a_run_begins() -> None:
    assert all(torch.equal(a[2], b[2]) for a, b in zip(prepared(range(4))[2:], prepared(range(2, 4)), strict=True))


def test_a_part_of_a_batch_is_that_part_of_the_whole() -> None:
    whole, part = prepared(range(2)), prepared(range(2), part=lambda count: slice(1, count))
    assert all(torch.equal(a[2][1:], b[2]) for a, b in zip(whole, part, strict=True))
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(whole, part, strict=True))


def test_views_that_are_made_are_mirrored_and_no_more() -> None:
    found, images = prepared(range(4), made=(1, 2), side=128), crops(6)
    mirrored = 0
    for step, rows, x in found[1:3]:
        plain = augment.to_input(images[rows], torch.bfloat16)
        for one, seen in zip(plain, x, strict=True):
            flipped = torch.equal(one.flip(2), seen)
            assert flipped or torch.equal(one, seen), step
            mirrored += flipped
    assert 0 < mirrored < 4
    assert all(torch.equal(a[2], b[2]) for a, b in zip(found[::3], prepared(range(4), side=128)[::3], strict=True))


def test_smaller_nets_see_the_whole_crop() -> None:
    big, small = prepared(range(1))[0][2], prepared(range(1), side=28)[0][2]
    assert small.shape == (2, 3, 28, 28)
    means = torch.nn.functional.avg_pool2d(big.float(), 4)
    assert float((means - small.float()).abs().mean()) < 0.02


def test_an_error_in_the_order_reaches_the_caller() -> None:
    with pytest.raises(IndexError):
        prepared(range(5))
