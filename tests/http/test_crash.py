"""Server and worker killed again and again (kill -9) while months are handed in, settled and cleared: nothing is lost,
nothing is doubled, the sums are the commands' own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from crash_year import DyingYear, lives
from databases import fresh_url
from processes import Launcher, launched
from test_year import offline

from tests.unit.clearing_city import City, write_city


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    with launched(tmp_path_factory.mktemp("processes")) as made:
        yield made


def _survive(kind: str, folder: Path, launcher: Launcher, months: int, deaths: int, seed: int) -> None:
    (folder / "city").mkdir()
    whole = write_city(folder / "city")
    city: City = replace(whole, months=whole.months[:months])
    data = folder / "data"
    data.mkdir()
    year = DyingYear("" if kind == "sqlite" else fresh_url(kind, data), data, launcher, city)
    last = year.go(lives(deaths, seed))
    assert year.deaths >= deaths, "all ends asked for must have come about"
    year.check(last, *offline(folder, city))


@pytest.mark.parametrize(("kind", "seed"), [("sqlite", 1), pytest.param("postgres", 2, marks=pytest.mark.long)])
def test_two_months_survive_five_deaths(kind: str, seed: int, tmp_path: Path, launcher: Launcher) -> None:
    _survive(kind, tmp_path, launcher, months=2, deaths=5, seed=seed)


@pytest.mark.long
@pytest.mark.parametrize(("kind", "seed"), [("sqlite", 3), ("postgres", 4)])
def test_a_year_survives_a_hundred_deaths(kind: str, seed: int, tmp_path: Path, launcher: Launcher) -> None:
    _survive(kind, tmp_path, launcher, months=12, deaths=100, seed=seed)
