"""Nothing is settled, cleared or reported from a year book whose files or index are not as they were written."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import orjson
import polars as pl
import pytest
from typer.testing import CliRunner, Result

from api.cli.main import app
from api.core.book import BookRefused, open_book
from tests.unit.clearing_city import City, write_city

POLICY = "synthetic-city-drg-rate"
INDEX = "book.json"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> City:
    return write_city(tmp_path_factory.mktemp("city"))


def settle(city: City, book: Path, month: int) -> Result:
    path = city.months[month - 1]
    return run("settle", path, "--month", path.stem, "--policy", POLICY, "--book", book, "--hospitals", city.register)


def clear(city: City, book: Path, output: Path, *more: object) -> Result:
    return run(
        "clear", "--book", book, "--year", 2026, "--policy", POLICY, "--year-file", city.year_file, "-o", output, *more
    )  # fmt: skip


@pytest.fixture(scope="module")
def made(city: City, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "book"
    for month in (1, 2):
        assert settle(city, folder, month).exit_code in {0, 1}
    return folder


@pytest.fixture
def book(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "book"))


def dearer(path: Path) -> None:
    """The same table with ten times the cost: a whole Parquet file."""
    frame = pl.read_parquet(path)
    frame.with_columns(pl.col("^(total_)?cost_fen$") * 10).write_parquet(path)


def cut(path: Path) -> None:
    """Its footer is gone."""
    path.write_bytes(path.read_bytes()[:-20])


def file_of(book: Path, role: str) -> Path:
    return book / next(file.path for file in open_book(book).runs[0].files if file.role == role)


@pytest.mark.parametrize("role", ["cases", "priced"])
@pytest.mark.parametrize("damage", [dearer, cut, Path.unlink])
def test_no_command_goes_on_over_a_damaged_file(
    city: City, book: Path, tmp_path: Path, role: str, damage: Callable[[Path], None]
) -> None:
    place = file_of(book, role)
    damage(place)
    index = (book / INDEX).read_bytes()
    place_told = place.relative_to(book).as_posix()
    for done, code in (
        (clear(city, book, tmp_path / "draft", "--dry-run"), 3), (clear(city, book, tmp_path / "final"), 3),
        (settle(city, book, 3), 1),
        (run("report", "--book", book, "-o", tmp_path / "report.html"), 1),
        (run("indicators", "--book", book, "-o", tmp_path / "indicators.csv"), 1),
    ):  # fmt: skip
        told = done.stderr.replace("\n", "").replace(" ", "")
        assert (done.exit_code, "ST60" in told, place_told in told) == (code, True, True), done.output
    assert (book / INDEX).read_bytes() == index
    assert not (tmp_path / "final").exists()


def test_the_book_is_usable_again_when_the_file_is_back(city: City, book: Path, tmp_path: Path) -> None:
    place = file_of(book, "cases")
    data = place.read_bytes()
    dearer(place)
    assert clear(city, book, tmp_path / "first").exit_code == 3
    place.write_bytes(data)
    assert clear(city, book, tmp_path / "second").exit_code in {0, 1}
    assert open_book(book).cleared is not None


def test_a_checksum_that_was_changed_with_its_file_breaks_the_seal(city: City, book: Path, tmp_path: Path) -> None:
    place = file_of(book, "cases")
    before = hashlib.sha256(place.read_bytes()).hexdigest()
    dearer(place)
    after = hashlib.sha256(place.read_bytes()).hexdigest()
    text = (book / INDEX).read_text(encoding="utf-8")
    assert before in text
    (book / INDEX).write_text(text.replace(f'"sha256": "{before}"', f'"sha256": "{after}"'), encoding="utf-8")
    for done, code in ((clear(city, book, tmp_path / "out"), 3), (settle(city, book, 3), 1)):
        assert (done.exit_code, "ST61" in done.stderr) == (code, True), done.output
    assert len(open_book(book).runs) == 2
    shown = run("book", "show", book)
    assert (shown.exit_code, "ST61" in shown.stderr) == (1, True), shown.output


@pytest.mark.parametrize(("name", "code"), [("since", "ST67"), ("pack_sha256", "ST66")])
def test_a_changed_note_of_a_policy_keeps_the_book_from_being_read_and_added_to(
    book: Path, name: str, code: str
) -> None:
    index = orjson.loads((book / INDEX).read_bytes())
    index["policies"][0][name] = "2026-02" if name == "since" else "c" * 64
    (book / INDEX).write_bytes(orjson.dumps(index))
    found = open_book(book)
    for use in (
        found.cases,
        lambda: found.document(found.runs[0], "proof"),
        lambda: found.append(found.runs[0], {}, {}),
    ):
        with pytest.raises(BookRefused) as refused:
            use()
        assert [problem.code for problem in refused.value.problems] == [code]


def test_a_file_that_changes_between_two_readings_of_one_book_shows_at_the_second(book: Path) -> None:
    opened = open_book(book)
    assert opened.cases().height
    proof = file_of(book, "proof")
    assert opened.document(opened.runs[0], "proof")
    proof.write_bytes(proof.read_bytes().replace(b"2026", b"2025", 1))
    with pytest.raises(BookRefused) as refused:
        opened.document(opened.runs[0], "proof")
    assert [problem.code for problem in refused.value.problems] == ["ST60"]
