"""The year book on disk: whole or not at all, and every later change shows."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest

from api.core import book as book_module
from api.core.book import Book, BookRefused, locked, new_book, open_book, seal_of
from api.core.book_check import month_totals, sound, verify_book
from api.core.settle import InputFile, MonthInput, settle_month
from api.core.settle_files import book_for
from budget.ledger import AMOUNT_SCHEMA, postings_of
from tests.unit.settlement_examples import VALUES, case, payable, policy_text, region_policy


def settle(book: Book, month: str, *cases: dict[str, Any]) -> Book:
    given = MonthInput(month, cases=payable(*cases), files=(InputFile("cases", f"{month}{len(cases)}"),))
    given = replace(given, policy_text=policy_text(region_policy()))
    return settle_month(book, region_policy(), VALUES, given).book


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A book of two months."""
    folder = tmp_path_factory.mktemp("made") / "book"
    book = settle(new_book(folder, 2026), "2026-01", case("1"), case("2", "H2"))
    settle(book, "2026-02", case("3", month="2026-02"))
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "book"))


def codes(folder: Path) -> set[str]:
    return {problem.code for problem in verify_book(open_book(folder))}


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_book_reads_back_as_it_was_written(folder: Path) -> None:
    book = open_book(folder)
    assert (book.year, book.last_month, book.closed_until, len(book.runs)) == (2026, "2026-02", "", 2)
    assert book.cases()["case_id"].to_list() == ["1", "2", "3"]
    assert book.cases()["book_month"].to_list() == ["2026-01", "2026-01", "2026-02"]
    assert book.priced()["fund_fen"].to_list() == [70_000] * 3
    assert verify_book(book) == []
    assert [(row["month"], row["cases"], row["due_fen"], row["closed"]) for row in month_totals(book)] == [
        ("2026-01", 2, 140_000, False),
        ("2026-02", 1, 70_000, False),
    ]
    named = {file.path: file.sha256 for run in book.runs for file in run.files if file.role == "cases"}
    assert all(Path(path).stem == digest for path, digest in named.items())


def test_the_same_runs_give_the_same_bytes(made: Path, tmp_path: Path) -> None:
    again = settle(new_book(tmp_path / "again", 2026), "2026-01", case("2", "H2"), case("1"))
    settle(again, "2026-02", case("3", month="2026-02"))
    assert files_of(tmp_path / "again") == files_of(made)


@pytest.mark.parametrize("stop_at", range(11))
def test_a_crash_leaves_the_book_as_it_was(folder: Path, monkeypatch: pytest.MonkeyPatch, stop_at: int) -> None:
    """Whichever file a run breaks off at, the index last, the book reads as before and the run can be done again."""
    before = open_book(folder)
    written: list[Path] = []
    write = book_module.write_whole

    def breaks(path: Path, data: bytes) -> None:
        if len(written) == stop_at:
            raise OSError("no space left")
        written.append(path)
        write(path, data)

    monkeypatch.setattr(book_module, "write_whole", breaks)
    with pytest.raises(OSError, match="no space"):
        settle(before, "2026-03", case("4", month="2026-03"))
    monkeypatch.undo()
    after = open_book(folder)
    assert (after.runs, after.seal) == (before.runs, before.seal)
    assert codes(folder) <= {"ST65"}
    assert sound(verify_book(after))
    assert settle(after, "2026-03", case("4", month="2026-03")).last_month == "2026-03"
    assert codes(folder) == set()


def test_every_file_of_a_run_is_in_the_index(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != "book.json":
            data = path.read_bytes()
            path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
            assert codes(folder) == {"ST60"}, path
            path.unlink()
            assert codes(folder) == {"ST60"}, path
            path.write_bytes(data)
    assert codes(folder) == set()


def edited(folder: Path, change: Any) -> None:
    index = orjson.loads((folder / "book.json").read_bytes())
    change(index)
    (folder / "book.json").write_bytes(orjson.dumps(index))


def test_a_changed_record_breaks_its_seal_and_those_after_it(folder: Path) -> None:
    edited(folder, lambda index: index["runs"][0]["totals"].update(paid_fen=1))
    problems = verify_book(open_book(folder))
    assert [problem.code for problem in problems] == ["ST61"]
    first = open_book(folder).runs[0]
    edited(folder, lambda index: index["runs"][0].update(seal=seal_of(first, "")))
    second = open_book(folder).runs[1].run_id
    assert [problem.args["run"] for problem in verify_book(open_book(folder))] == [second[:12]]


def test_a_run_taken_out_shows(folder: Path) -> None:
    edited(folder, lambda index: index["runs"].pop(0))
    assert codes(folder) >= {"ST61", "ST65"}


def test_postings_that_do_not_fit_the_cases_show(folder: Path) -> None:
    book = open_book(folder)
    run = book_module.Run("x", "x", "correct", "2026-02", False, "", {})
    amounts = pl.DataFrame([("H1", "职工", "due", 5, "")], schema=AMOUNT_SCHEMA, orient="row")
    legs = postings_of("x", "2026-02", amounts)
    book.append(run, {"postings": legs}, {})
    assert codes(folder) == {"ST64"}
    book.append(run, {"postings": legs[:1]}, {})
    assert codes(folder) >= {"ST62", "ST64"}


def test_a_case_that_counts_twice_shows(folder: Path) -> None:
    book = open_book(folder)
    run = book_module.Run("x", "x", "correct", "2026-02", False, "", {})
    book.append(run, {"cases": book.cases().drop("book_run", "book_month")[:1]}, {})
    assert codes(folder) == {"ST63"}


def test_one_writer_at_a_time(folder: Path) -> None:
    with locked(folder), pytest.raises(BookRefused) as refused, locked(folder):
        pass
    assert [problem.code for problem in refused.value.problems] == ["ST03"]
    with locked(folder):
        assert open_book(folder).year == 2026


def test_folders_that_are_no_book_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BookRefused) as none:
        open_book(tmp_path)
    assert [problem.code for problem in none.value.problems] == ["ST01"]
    (tmp_path / "letter.txt").write_text("x")
    with pytest.raises(BookRefused) as other:
        book_for(tmp_path, "2026-01")
    assert [problem.code for problem in other.value.problems] == ["ST04"]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"format": 2}', '{"format": 1, "year": 2026, "policies": [], "runs": [{}]}']
)
def test_an_unreadable_index_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "book.json").write_text(text)
    with pytest.raises(BookRefused) as refused:
        open_book(tmp_path)
    assert [problem.code for problem in refused.value.problems] == ["ST02"]
