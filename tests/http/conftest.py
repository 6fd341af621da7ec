"""What tests over the small city share: its files, and a service where the database decides nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from small_service import SmallService, service_over

from tests.unit.clearing_city import HOSPITALS, City, write_city

POLICY = "synthetic-city-drg-point"


@pytest.fixture
def city(tmp_path: Path) -> City:
    """The city's files of a year."""
    folder = tmp_path / "city"
    folder.mkdir()
    return write_city(folder)


@pytest.fixture
def lite(tmp_path: Path) -> Iterator[SmallService]:
    """Where the database decides nothing."""
    with service_over(tmp_path, "sqlite", tuple(HOSPITALS), policy=POLICY) as made:
        yield made
