"""What the tests of store and gate share: flash_machine.c, compiled once, and a process of it for each test file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flash_machine import Machine, build


@pytest.fixture(scope="session")
def flash_machine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("machine"))


@pytest.fixture(scope="session")
def fast_flash_machine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("fast"), sanitised=False)


@pytest.fixture(scope="module")
def machine(flash_machine: Path) -> Iterator[Machine]:
    m = Machine(flash_machine)
    yield m
    m.close()


@pytest.fixture(scope="module")
def fast(fast_flash_machine: Path) -> Iterator[Machine]:
    """The same without sanitizers, for thousands of cuts and mounts."""
    m = Machine(fast_flash_machine)
    yield m
    m.close()
