"""`drgdip budget` and `drgdip clear` from end to end with the synthetic city: files, book, pages, proof, refusals."""

from __future__ import annotations

import contextlib
import csv
import re
from html.parser import HTMLParser
from pathlib import Path

import fastexcel
import orjson
import pytest
from typer.testing import CliRunner, Result

from api.cli.main import app
from budget.frames import STATEMENT_COLUMNS
from budget.money import to_fen
from tests.unit.clearing_city import City, write_city

POLICY = "synthetic-city-drg-rate"
YEAR = "2026"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> City:
    return write_city(tmp_path_factory.mktemp("city"))


def clear(city: City, output: Path, *more: object, policy: str = POLICY, year_file: Path | None = None) -> Result:
    return run(
        "clear", *city.months, "--year", YEAR, "--policy", policy, "--year-file", year_file or city.year_file,
        "--hospitals", city.register, "-o", output, *more,
    )  # fmt: skip


def sheet_cells(path: Path, name: str | None = None) -> set[str | float]:
    """Every text and number of a workbook, or of one sheet; a number both as a number and as it is written."""
    book = fastexcel.read_excel(path)
    found: set[str | float] = set()
    for sheet in [name] if name else book.sheet_names:
        frame = book.load_sheet(sheet, header_row=None, dtypes="string").to_polars()
        for text in {cell for column in frame.iter_columns() for cell in column.drop_nulls()}:
            found.add(text)
            with contextlib.suppress(ValueError):
                found.add(float(text))
    return found


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def fen(row: dict[str, str], name: str) -> int:
    return to_fen(row[name])


@pytest.fixture(scope="module")
def done(city: City, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("clear") / "out"
    result = clear(city, output)
    assert result.exit_code == 0, result.output
    return output


def test_the_statement_has_the_columns_and_adds_up(done: Path) -> None:
    with (done / "statement.csv").open(encoding="utf-8") as stream:
        assert stream.readline().strip() == ",".join(STATEMENT_COLUMNS)
    found = rows(done / "statement.csv")
    owners = [(row["hospital"], row["pool"]) for row in found]
    assert owners == sorted(owners)
    assert {pool for _, pool in owners} == {"职工", "居民"}
    for row in found:
        sign = {"entitlement": 1, "shared": 1, "deposit": -1, "assessment": 1, "deductions": -1, "prepaid": -1}
        assert fen(row, "balance") == sum(part * fen(row, name) for name, part in sign.items())
        assert all(re.fullmatch(r"-?\d+\.\d\d", row[name]) for name in STATEMENT_COLUMNS[4:])
    for pool in rows(done / "pools.csv"):
        entitled = sum(fen(row, "entitlement") for row in found if row["pool"] == pool["pool"])
        assert entitled == fen(pool, "distributable"), "everything is shared out by the recalculated rate"


def test_postings_sum_to_zero_by_hospital_and_pool(done: Path) -> None:
    sums: dict[tuple[str, str], int] = {}
    owed: dict[tuple[str, str], int] = {}
    for row in rows(done / "postings.csv"):
        key, amount = (row["hospital"], row["pool"]), fen(row, "amount") * (1 if row["side"] == "debit" else -1)
        sums[key] = sums.get(key, 0) + amount
        if row["account"] == "2201":
            owed[key] = owed.get(key, 0) - amount
    assert set(sums.values()) == {0}
    assert owed == {(row["hospital"], row["pool"]): fen(row, "balance") for row in rows(done / "statement.csv")}


class Page(HTMLParser):
    """The text of a page and its tags; raises when a tag is closed that is not open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_pages_and_workbooks_show_every_figure_of_the_statement(done: Path) -> None:
    found = rows(done / "statement.csv")
    for hospital in {row["hospital"] for row in found}:
        text = (done / "statements" / f"{hospital}.html").read_text(encoding="utf-8")
        assert "size: A4" in text
        assert 'class="watermark"' in text
        shown = Page(text).text
        assert "合成数据" in shown
        cells = sheet_cells(done / "statements" / f"{hospital}.xlsx")
        for row in (row for row in found if row["hospital"] == hospital):
            for name in ("points", "entitlement", "deposit", "assessment", "prepaid", "balance"):
                if name not in ("deposit", "assessment") or fen(row, "deposit"):
                    assert row[name] in shown
                    assert float(row[name]) in cells
        proof = orjson.loads((done / "proof.json").read_bytes())
        assert any(proof["run_id"] in part for part in shown)


def test_the_proof_names_all_that_decides_and_the_same_inputs_give_the_same_bytes(
    city: City, done: Path, tmp_path: Path
) -> None:
    proof = orjson.loads((done / "proof.json").read_bytes())
    assert len(proof["cases"]) == 12
    assert all(len(proof[name]["sha256"]) == 64 for name in ("policy", "year_file", "pack", "weights"))
    assert set(proof["lists"]) == {"hospitals", "decisions"}
    assert proof["synthetic"] is True
    assert len(proof["program"]["code_sha256"]) == 64
    assert proof["recompute"].startswith("drgdip clear 2026-01.csv")
    again = tmp_path / "out"
    reversed_city = City(city.months[::-1], city.register, city.decisions, city.year_file)
    assert clear(reversed_city, again, "--threads", 2).exit_code == 0
    files = sorted(path.relative_to(done) for path in done.rglob("*") if path.is_file())
    assert sorted(path.relative_to(again) for path in again.rglob("*") if path.is_file()) == files
    assert all((again / name).read_bytes() == (done / name).read_bytes() for name in files)
    assert set(proof["outputs"]) == {path.as_posix() for path in files} - {"proof.json"}
    assert clear(city, again).exit_code == 2, "a folder that holds something is left alone"


def test_the_point_method(city: City, tmp_path: Path) -> None:
    result = clear(city, tmp_path / "out", "--json", policy="synthetic-city-drg-point")
    assert result.exit_code == 0, result.output
    found = orjson.loads(result.stdout)
    assert [pool["pool"] for pool in found["pools"]] == ["职工", "居民"]
    for pool in found["pools"]:
        mine = [row for row in found["statement"] if row["pool"] == pool["pool"]]
        assert sum(to_fen(row["entitlement"]) for row in mine) == to_fen(pool["distributable"])
        assert pool["value"] != ""


def test_names_of_hospitals_are_escaped(city: City, tmp_path: Path) -> None:
    text = city.year_file.read_text(encoding="utf-8").replace("H1 医院", "<b>一&院</b>")
    assert "<b>" in text
    year = tmp_path / "year.toml"
    year.write_text(text, encoding="utf-8")
    (tmp_path / "decisions.csv").write_bytes(city.decisions.read_bytes())
    assert clear(city, tmp_path / "out", year_file=year).exit_code == 0
    page = (tmp_path / "out" / "statements" / "H1.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;一&amp;院&lt;/b&gt;" in page
    assert "<b>" not in page


def test_a_year_book_gives_cases_and_payments(city: City, tmp_path: Path) -> None:
    book = tmp_path / "book"
    for month in (city.months[0], city.months[1]):
        settled = run(
            "settle", month, "--month", month.stem, "--policy", POLICY, "--book", book, "--hospitals", city.register
        )
        assert settled.exit_code in (0, 1), settled.output
    result = run(
        "clear", "--book", book, "--year", YEAR, "--policy", POLICY, "--year-file", city.year_file, "-o",
        tmp_path / "out",
    )  # fmt: skip
    # Decisions of the year file on cases of later months are told.
    assert result.exit_code == 1, result.output
    found = rows(tmp_path / "out" / "statement.csv")
    assert all(fen(row, "prepaid") > 0 for row in found if int(row["cases"]) > 0 and fen(row, "entitlement") > 0)
    from api.core.book import open_book

    kept = open_book(book)
    paid = {(row["hospital_id"], row["pool"]): row for row in kept.paid().to_dicts()}
    postings = rows(tmp_path / "out" / "postings.csv")
    for row in found:
        key = (row["hospital"], row["pool"])
        assert (fen(row, "prepaid"), fen(row, "deposit")) == (paid[key]["paid_fen"], paid[key]["held_fen"])
        moved = sum(
            fen(leg, "amount") * (-1 if leg["side"] == "debit" else 1)
            for leg in postings
            if (leg["hospital"], leg["pool"], leg["account"]) == (*key, "2201")
        )
        assert paid[key]["owed_fen"] + moved == fen(row, "balance"), "the book's postings and these leave the balance"
    assert run(
        "clear", *city.months, "--book", book, "--year", YEAR, "--policy", POLICY, "--year-file", city.year_file,
        "-o", tmp_path / "no",
    ).exit_code == 2  # fmt: skip


def test_a_book_is_cleared_by_a_policy_it_was_kept_by(city: City, tmp_path: Path) -> None:
    book, changed = tmp_path / "book", tmp_path / "changed.toml"
    built_in = Path(__file__).parents[2] / "reference_tables" / "policies" / f"{POLICY}.toml"
    changed.write_text(built_in.read_text(encoding="utf-8") + "\n# 新版\n", encoding="utf-8")
    text = changed.read_text(encoding="utf-8")
    changed.write_text(re.sub(r'(?m)^name = "', 'name = "新', text, count=1), encoding="utf-8")

    def settle(month: Path, policy: object, *more: object) -> int:
        return run(
            "settle", month, "--month", month.stem, "--policy", policy, "--book", book, "--hospitals", city.register,
            *more,
        ).exit_code  # fmt: skip

    def clear_book(policy: object, output: str) -> Result:
        return run(
            "clear", "--book", book, "--year", YEAR, "--policy", policy, "--year-file", city.year_file, "-o",
            tmp_path / output,
        )  # fmt: skip

    assert settle(city.months[0], POLICY) in (0, 1)
    refused = clear_book(changed, "refused")
    assert refused.exit_code == 3
    assert "CL41" in refused.output
    assert not (tmp_path / "refused").exists()
    assert settle(city.months[1], changed, "--new-policy", "年中修订") in (0, 1)
    assert clear_book(changed, "new").exit_code == 1
    earlier = clear_book(POLICY, "earlier")
    assert earlier.exit_code == 1
    assert (tmp_path / "earlier" / "statement.csv").exists()


def test_prepaid_from_a_file(city: City, done: Path, tmp_path: Path) -> None:
    first = rows(done / "statement.csv")[0]
    paid = tmp_path / "paid.csv"
    paid.write_text(
        f"hospital,pool,prepaid,advance\n{first['hospital']},{first['pool']},1000.00,0.01\n", encoding="utf-8"
    )
    assert clear(city, tmp_path / "out", "--prepaid", paid).exit_code == 0
    found = rows(tmp_path / "out" / "statement.csv")[0]
    assert found["prepaid"] == "1000.01"
    assert fen(found, "balance") == fen(first, "balance") - 100001
    paid.write_text("hospital,pool,prepaid\nA,职工,x\nA,职工,1\n,职工,1\n", encoding="utf-8")
    result = clear(city, tmp_path / "none", "--prepaid", paid)
    assert result.exit_code == 3
    assert all(code in result.stderr for code in ("PA20", "PA25", "PA27"))
    assert not (tmp_path / "none").exists()


def test_money_that_is_missing_is_exit_code_1_with_the_sum(city: City, tmp_path: Path) -> None:
    year = tmp_path / "year.toml"
    figures = (
        f'year = {YEAR}\nregion = "合成市"\ndata_level = "synthetic"\n'
        + "".join(f'[[fund]]\ninsurance = "{name}"\ninpatient_budget = "1.00"\n' for name in ("职工", "居民"))
        + "".join(f'[[hospital]]\nid = "H{at}"\nscore = "{90 + 50 * at}"\n' for at in (0, 1, 2, 3))
    )
    year.write_text(figures, encoding="utf-8")
    result = clear(city, tmp_path / "out", year_file=year)
    assert result.exit_code == 1
    assert result.stderr.count("CL63") == 3, "scores above 100"
    assert re.search(r"CL30.*超过资金 0\.\d\d 元，调剂金不足以承担", result.stderr)
    assert not (tmp_path / "out").exists()


def test_budget_shows_the_waterfall_and_refuses_what_does_not_fit(city: City, tmp_path: Path) -> None:
    result = run(
        "budget", "--policy", POLICY, "--year-file", city.year_file, "--cases", city.months[0], "--hospitals",
        city.register, "-o", tmp_path / "out",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "可分配总额" in result.stderr
    assert "预算费率" in result.stderr
    table = rows(tmp_path / "out" / "budget.csv")
    kept = [row for row in table if row["insurance"] == "职工"]
    assert [row["item"] for row in kept[:3]] == ["income", "reserve", "catastrophic"]
    steps = kept[1 : [row["item"] for row in kept].index("inpatient")]
    assert fen(kept[0], "amount") + sum(fen(row, "amount") for row in steps) == fen(steps[-1], "left")
    told = orjson.loads((tmp_path / "out" / "budget.json").read_bytes())
    assert {item["formula"] for item in told["values"]} == {"RATE"}
    assert float(kept[0]["amount"]) in sheet_cells(tmp_path / "out" / "budget.xlsx", "总额预算")

    poor = tmp_path / "year.toml"
    text = re.sub(r'income = "[0-9.]+"', 'income = "100.00"', city.year_file.read_text(encoding="utf-8"))
    poor.write_text(text.replace('decisions = "decisions.csv"\n', ""), encoding="utf-8")
    refused = run("budget", "--policy", POLICY, "--year-file", poor)
    assert refused.exit_code == 1
    assert "CL21" in refused.stderr
    assert run("budget", "--policy", "suzhou-2023", "--year-file", city.year_file).exit_code == 3
    assert run("budget", "--policy", POLICY, "--year-file", tmp_path / "none.toml").exit_code == 3
