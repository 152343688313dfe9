"""What tests of both stages of training share, unless a file has people of its own; torch is imported only where a test
asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from hyper_mcu.hypertrain.data import Faces
    from hyper_mcu.hypertrain.distill import Trunk


@pytest.fixture(scope="session")
def people() -> Faces:
    from synthetic_faces import faces

    return faces({"train": 20, "unlabelled": 4, "val": 8}, photos=5, side=112)


@pytest.fixture(scope="session")
def trunk(people: Faces, tmp_path_factory: pytest.TempPathFactory) -> Trunk:
    """A trunk of few steps: better than chance, with much left to learn."""
    from toy_training import distilled

    return distilled(people, tmp_path_factory.mktemp("trunk"))
