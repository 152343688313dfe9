"""Pictures of real people that come inside a dependency, and the research photos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hyper_mcu.faces.photo import read_photo
from hyper_mcu.faces.weights import demo_photo


@pytest.fixture(scope="session")
def yao() -> NDArray[np.uint8]:
    return read_photo(demo_photo("yaoming.jpg"))


@pytest.fixture(scope="session")
def players() -> NDArray[np.uint8]:
    return read_photo(demo_photo("players.jpg"))


@pytest.fixture
def raw(research_faces: Path) -> list[Path]:
    return sorted((research_faces / "raw").glob("*.jpg"))
