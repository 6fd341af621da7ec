"""`drgdip settle --reopen`: December's cases that come after it was closed and the year cleared."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from typer.testing import CliRunner, Result

from api.cli.main import app
from api.core.book import open_book
from api.core.book_check import verify_book
from tests.unit.clearing_city import City, write_city

POLICY = "synthetic-city-drg-rate"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def settle(city: City, book: Path, cases: Path, *more: object) -> Result:
    return run(
        "settle", cases, "--month", "2026-12", "--policy", POLICY, "--book", book, "--hospitals", city.register, *more
    )  # fmt: skip


def clear(city: City, book: Path, output: Path) -> str:
    """The statement of a clearing."""
    done = run("clear", "--book", book, "--year", 2026, "--policy", POLICY, "--year-file", city.year_file, "-o", output)
    assert done.exit_code in (0, 1), done.output
    return (output / "statement.csv").read_text(encoding="utf-8-sig")


def test_late_cases_are_paid_and_cleared_as_if_they_had_come_in_time(tmp_path: Path) -> None:
    """The first ten rows of December and two of November that nobody sent; all in time in one book, late in another."""
    city = write_city(tmp_path)
    header, *december = city.months[11].read_text(encoding="utf-8").splitlines(keepends=True)
    november = city.months[10].read_text(encoding="utf-8").splitlines(keepends=True)[1:3]
    files = {"first": december[:10], "late": december[10:] + november, "whole": december + november}
    for name, lines in files.items():
        (tmp_path / f"{name}.csv").write_text("".join([header, *lines]), encoding="utf-8")
    book, plain = tmp_path / "book", tmp_path / "plain"
    assert settle(city, plain, tmp_path / "whole.csv", "--close").exit_code in (0, 1)
    assert settle(city, book, tmp_path / "first.csv", "--close").exit_code in (0, 1)
    before = clear(city, book, tmp_path / "before")
    assert "ST23" in settle(city, book, tmp_path / "late.csv").stderr
    done = settle(city, book, tmp_path / "late.csv", "--reopen", "漏报")
    assert done.exit_code in (0, 1)
    assert "已关账到 2026-12" in done.stdout
    late, whole = open_book(book), open_book(plain)
    assert verify_book(late) == []
    assert late.cleared is None
    legs = late.ledger().select(pl.when(side="debit").then("amount_fen").otherwise(-pl.col("amount_fen")))
    assert legs.to_series().sum() == 0
    assert late.priced().height == whole.priced().height
    due = ["hospital_id", "pool", "due_fen"]
    assert late.paid().select(due).rows() == whole.paid().select(due).rows()
    again = settle(city, book, tmp_path / "whole.csv", "--reopen", "漏报")
    assert again.exit_code == 1
    assert open_book(book).seal == late.seal, "nothing is paid twice"
    columns = [0, 1, 2, 3, 4]  # hospital, pool, cases, points, entitlement
    cleared = [clear(city, folder, tmp_path / name) for folder, name in ((book, "after"), (plain, "in time"))]
    parts = [[[line.split(",")[at] for at in columns] for line in text.splitlines()] for text in cleared]
    assert parts[0] == parts[1]
    assert cleared[0] != before
