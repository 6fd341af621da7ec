"""`drgdip settle` and `drgdip advance` as an office gets them wrong: months, files, closings, lists."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from api.cli.main import app
from api.core.book import open_book
from api.core.book_check import verify_book
from api.core.clearing_notes import book_notes
from tests.unit.clearing_city import City, write_city

POLICY = "synthetic-city-drg-rate"
BUILT_IN = Path(__file__).parents[2] / "reference_tables" / "policies" / f"{POLICY}.toml"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> City:
    return write_city(tmp_path_factory.mktemp("city"))


def settle(city: City, book: Path, month: str, *more: object) -> Result:
    return run(
        "settle", "--month", month, "--policy", POLICY, "--book", book, "--hospitals", city.register, *more
    )  # fmt: skip


def advance(spend: Path, book: Path, month: str, *more: object, policy: object = POLICY) -> Result:
    return run(
        "advance", spend, "--month", month, "--policy", policy, "--book", book, "--balance", "职工=15", "--balance",
        "居民=8", *more,
    )  # fmt: skip


def test_a_file_with_a_header_alone_is_a_month_without_cases(city: City, tmp_path: Path) -> None:
    empty, book = tmp_path / "empty.csv", tmp_path / "book"
    empty.write_text(city.months[0].read_text(encoding="utf-8").split("\n")[0] + "\n", encoding="utf-8")
    assert settle(city, book, "2026-01", city.months[0]).exit_code == 0
    done = settle(city, book, "2026-02", empty, "--close")
    assert done.exit_code == 0, done.output
    assert "ST54" in done.stderr
    kept = open_book(book)
    assert (kept.closed_until, kept.runs[-1].totals["cases"]) == ("2026-02", 0)
    nothing = tmp_path / "nothing.csv"
    nothing.write_bytes(b"")
    assert settle(city, book, "2026-03", nothing).exit_code == 1, "a file of no bytes is a damaged one"
    assert open_book(book).last_month == "2026-02"


def test_months_passed_over_are_named(city: City, tmp_path: Path) -> None:
    book = tmp_path / "book"
    assert "ST53" not in settle(city, book, "2026-01", city.months[0]).stderr
    skipped = settle(city, book, "2026-04", city.months[3])
    assert re.search("ST53.*2026-02、2026-03 没有结算就结算了 2026-04", skipped.stderr)
    assert "ST53" not in settle(city, book, "2026-05", city.months[4]).stderr
    told = {item.code: item.args["months"] for item in book_notes(open_book(book))}
    assert told["CL66"] == "2026-02、2026-03"
    assert told["CL60"] == "、".join(f"2026-{month:02d}" for month in range(6, 13)), "those that may still be settled"


def test_only_a_settled_month_is_closed(city: City, tmp_path: Path) -> None:
    book = tmp_path / "book"
    assert settle(city, book, "2026-08", "--close").exit_code == 1
    assert not book.exists(), "no folder is left where nothing was settled"
    assert settle(city, book, "2026-01", city.months[0]).exit_code == 0
    refused = settle(city, book, "2026-02", "--close")
    assert refused.exit_code == 1
    assert "ST21" in refused.stderr
    assert settle(city, book, "2026-01", "--close").exit_code == 0


def test_what_is_no_month(city: City, tmp_path: Path) -> None:
    for month in ("202608", "2026-13", "2026-8"):
        refused = settle(city, tmp_path / "book", month, city.months[7])
        assert refused.exit_code == 1
        assert f"ST06] “{month}”不是月份" in refused.stderr
        assert not (tmp_path / "book").exists()


def test_the_same_file_given_twice_is_one(city: City, tmp_path: Path) -> None:
    book, copy = tmp_path / "book", tmp_path / "copy.csv"
    copy.write_bytes(city.months[0].read_bytes())
    twice = settle(city, book, "2026-01", city.months[0], copy)
    assert re.search(r" 24  拒收 ST31", twice.stderr)
    again = settle(city, book, "2026-01", city.months[0])
    assert "同样的文件已结算过" in again.stdout
    assert open_book(book).runs[0].totals["cases"] == 24


def test_a_withdrawn_case_is_called_withdrawn(city: City, tmp_path: Path) -> None:
    book, gone = tmp_path / "book", tmp_path / "gone.csv"
    gone.write_text("hospital_id,case_id,reason\nH1,C24,重复\n", encoding="utf-8")
    assert settle(city, book, "2026-01", city.months[0]).exit_code == 0
    assert settle(city, book, "2026-02", "--withdraw", gone).exit_code == 0
    again = settle(city, book, "2026-03", "--withdraw", gone)
    assert again.exit_code == 1
    assert "H1 的病例 C24 已在 2026-02 撤销" in again.stderr
    first = tmp_path / "first.csv"
    first.write_text("".join(city.months[0].read_text(encoding="utf-8").splitlines(keepends=True)[:2]), "utf-8")
    corrected = settle(city, book, "2026-03", "--correct", first, "--reason", "x")
    assert "ST43" in corrected.stderr


def test_advances_of_an_office(city: City, tmp_path: Path) -> None:
    book, spend, bad = tmp_path / "book", tmp_path / "spend.csv", tmp_path / "bad.csv"
    spend.write_text(
        "hospital_id,insurance,year,spend\nH1,职工,2024,1000000\nH1,职工,2025,1200000\nH2,职工,2025,600000\n", "utf-8"
    )
    bad.write_text("hospital_id,insurance,year,spend\n,离休,25,x\n", encoding="utf-8")
    refused = advance(bad, book, "2026-01")
    assert refused.exit_code == 1
    assert refused.stderr.count("ST18") == 4, "every fault of a row"
    assert not book.exists()
    paid = advance(spend, book, "2026-01")
    assert paid.exit_code == 0, paid.output
    # (2,200,000 + 600,000) / 24 months, shared 22 : 6.
    assert [word for word in paid.stdout.split() if re.fullmatch(r"\d+\.\d\d", word)] == [
        "116666.67", "116666.67", "91666.67", "25000.00",
    ]  # fmt: skip
    assert "H2 职工 2024 年的支出" in paid.stderr
    other_year = advance(spend, book, "2027-01")
    assert other_year.exit_code == 1
    assert "ST05" in other_year.stderr
    assert settle(city, book, "2026-01", city.months[0]).exit_code == 0
    assert verify_book(open_book(book)) == []
    renamed = tmp_path / "renamed.toml"
    text = BUILT_IN.read_text(encoding="utf-8").replace(f'id = "{POLICY}"', 'id = "other"', 1)
    renamed.write_text(text, encoding="utf-8")
    strange = advance(spend, book, "2026-02", policy=renamed)
    assert strange.exit_code == 1
    assert "ST20" in strange.stderr


def test_a_folder_that_cannot_be_written(city: City, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book = tmp_path / "book"
    assert settle(city, book, "2026-01", city.months[0]).exit_code == 0
    index = (book / "book.json").read_bytes()

    def denied(path: Path, data: bytes) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("api.core.book.write_whole", denied)
    refused = settle(city, book, "2026-02", city.months[1])
    assert refused.exit_code == 4
    assert "不能写入" in refused.stderr
    cleared = run(
        "clear", "--book", book, "--year", 2026, "--policy", POLICY, "--year-file", city.year_file, "-o",
        tmp_path / "out",
    )  # fmt: skip
    assert cleared.exit_code == 4
    assert (book / "book.json").read_bytes() == index
    assert not (tmp_path / "out").exists(), "no statement that the book does not know of"


def test_a_run_killed_before_it_was_whole(city: City, tmp_path: Path) -> None:
    """What a killed process leaves: files that nobody names and halves under temporary names, the index among them."""
    book, whole = tmp_path / "book", tmp_path / "whole"
    assert settle(city, whole, "2026-01", city.months[0]).exit_code == 0
    shutil.copytree(whole, book)
    (book / "book.json").rename(book / ".book.json.4711.partial")
    assert settle(city, book, "2026-01", city.months[0]).exit_code == 0
    assert [problem.code for problem in verify_book(open_book(book))] == ["ST65"]
    assert open_book(book).seal == open_book(whole).seal
    (book / "months" / "2026-02").mkdir()
    (book / "months" / "2026-02" / ".x.parquet.4711.partial").write_bytes(b"PAR1")
    assert settle(city, book, "2026-02", city.months[1]).exit_code == 0
    assert {problem.code for problem in verify_book(open_book(book))} == {"ST65"}


def test_a_correction_after_a_policy_that_began_in_mid_year(city: City, tmp_path: Path) -> None:
    """From July on a weight is worth 4,000 yuan; June's cases are corrected at June's rate."""
    text = BUILT_IN.read_text(encoding="utf-8").replace("effective_from = 2025-01-01", "effective_from = 2026-07-01", 1)
    july = tmp_path / "july.toml"
    july.write_text(text.replace('value = "9650.00"', 'value = "4000.00"', 1), encoding="utf-8")
    june = city.months[5].read_text(encoding="utf-8").splitlines(keepends=True)
    corrected, whole = tmp_path / "corrected.csv", tmp_path / "2026-06.csv"
    at = next(at for at, line in enumerate(june) if "J18.900" in line)
    change = june[at].replace("J18.900", "E11.900")
    corrected.write_text(june[0] + change, encoding="utf-8")
    whole.write_text("".join([*june[:at], change, *june[at + 1 :]]), encoding="utf-8")
    book, right = tmp_path / "book", tmp_path / "right"
    assert settle(city, book, "2026-06", city.months[5]).exit_code == 0
    assert settle(city, right, "2026-06", whole).exit_code == 0
    more = ("--policy", july, "--new-policy", "下半年费率")
    assert settle(city, book, "2026-07", city.months[6], *more).exit_code == 0
    done = settle(city, book, "2026-08", "--correct", corrected, "--reason", "编码更正", "--policy", july)
    assert done.exit_code == 0, done.output
    both = [open_book(folder).priced().filter(pl.col("month") == "2026-06").sort("case_id") for folder in (book, right)]
    assert both[0]["fund_fen"].to_list() == both[1]["fund_fen"].to_list()
    kept = open_book(book)
    assert kept.runs[-1].totals["corrections_fen"] != 0
    assert verify_book(kept) == []
