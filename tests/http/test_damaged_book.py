"""A service over a year book with a damaged file: jobs end at once and say which file."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest
from small_service import SmallService, service_over
from test_year import ANYWAY, POLICY, documents, hand_in, job

from api.core.book import Book, open_book
from tests.unit.clearing_city import HOSPITALS, City


@pytest.fixture
def here(tmp_path: Path, city: City) -> Iterator[SmallService]:
    """January is settled."""
    with service_over(tmp_path, "sqlite", tuple(HOSPITALS), policy=POLICY) as made:
        documents(made, city)
        hand_in(made, city.months[0])
        assert job(made, "/v1/settlements", month="2026-01")["state"] == "done"
        yield made


def test_a_book_put_back_to_an_older_state_is_refused(here: SmallService, city: City, tmp_path: Path) -> None:
    place, client = here.service.books / "2026", here.client("office")
    shutil.copytree(place, tmp_path / "january")
    hand_in(here, city.months[1])
    run = job(here, "/v1/settlements", month="2026-02")["result"]["run"]
    place.rename(tmp_path / "february")
    for state in ("january", "none"):  # an older one; none at all
        if state != "none":
            shutil.copytree(tmp_path / state, place)
        found = client.get("/v1/books/2026")
        assert (found.status_code, found.json()["code"]) == (422, "SV80")
        args = {
            "year": 2026,
            "count": 1 if state != "none" else 2,
            "month": "2026-02" if state != "none" else "2026-01",
        }
        assert found.json()["args"].items() >= args.items()
        assert (found.json()["args"]["value"] == run) == (state != "none")
        asked = client.post("/v1/settlements", json={"month": "2026-03", "reason": "no cases"})
        assert (asked.status_code, asked.json()["code"]) == (422, "SV80")
        shutil.rmtree(place, ignore_errors=True)
    (tmp_path / "february").rename(place)
    assert client.get("/v1/books/2026").status_code == 200


def book_of(here: SmallService) -> Book:
    return open_book(here.service.books / "2026")


def file_of(here: SmallService, role: str) -> Path:
    book = book_of(here)
    return book.path / next(file.path for file in book.runs[0].files if file.role == role)


def dearer(path: Path) -> None:
    """The same table with ten times the cost: a whole Parquet file."""
    frame = pl.read_parquet(path)
    frame.with_columns(pl.col("^(total_)?cost_fen$") * 10).write_parquet(path)


def cut(path: Path) -> None:
    """Its footer is gone."""
    path.write_bytes(path.read_bytes()[:-20])


@pytest.mark.parametrize("role", ["cases", "priced"])
@pytest.mark.parametrize("damage", [dearer, cut, Path.unlink])
def test_jobs_over_a_damaged_file_end_at_once(
    here: SmallService, city: City, role: str, damage: Callable[[Path], None]
) -> None:
    hand_in(here, city.months[1])
    draft = job(here, "/v1/clearings", year=2026)["result"]["run"]
    place, seal = file_of(here, role), book_of(here).seal
    data = place.read_bytes()
    damage(place)
    for path, asked in (
        ("/v1/clearings", {"year": 2026}), (f"/v1/clearings/{draft}/approve", {**ANYWAY, "unsettled_reason": "试"}),
        ("/v1/settlements", {"month": "2026-02"}),
    ):  # fmt: skip
        done = job(here, path, **asked)
        assert (done["state"], done["attempts"]) == ("failed", 1), done
        (problem,) = done["error"]["problems"]
        assert (problem["code"], place.name in problem["message"]) == ("ST60", True), problem
        assert book_of(here).seal == seal
    place.write_bytes(data)
    assert job(here, "/v1/settlements", month="2026-02")["state"] == "done"
