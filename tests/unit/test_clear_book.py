"""`drgdip clear --book`: the book knows how it was cleared, what is missing of its year, and by which policies."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import orjson
import polars as pl
import pytest
from typer.testing import CliRunner, Result

from api.cli.main import app
from api.core.book import Book, open_book
from api.core.book_check import verify_book
from budget.ledger import balance_of
from budget.money import to_fen
from tests.unit.clearing_city import City, write_city

POLICY = "synthetic-city-drg-rate"
BUILT_IN = Path(__file__).parents[2] / "reference_tables" / "policies" / f"{POLICY}.toml"
OWED = "2201"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> City:
    return write_city(tmp_path_factory.mktemp("city"))


def settle(city: City, book: Path, month: int, policy: object = POLICY, *more: object) -> Result:
    path = city.months[month - 1]
    return run(
        "settle", path, "--month", path.stem, "--policy", policy, "--book", book, "--hospitals", city.register, *more
    )  # fmt: skip


def clear(city: City, book: Path, output: Path, *more: object, policy: object = POLICY) -> Result:
    return run(
        "clear", "--book", book, "--year", 2026, "--policy", policy, "--year-file", city.year_file, "-o", output,
        *more,
    )  # fmt: skip


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def changed(folder: Path, since: str = "2026-01-01", rate: str | None = None) -> Path:
    """The built-in policy from another day on, and with another rate for 职工 at 三级."""
    text = BUILT_IN.read_text(encoding="utf-8")
    text = re.sub(r"(?m)^effective_from = .*$", f"effective_from = {since}", text, count=1)
    text = re.sub(r'(?m)^id = ".*"$', 'id = "new-rates"', text, count=1)
    if rate is not None:
        text, found = re.subn(r'(key = "base_rate"\nvalue = )"[0-9.]+"', rf'\1"{rate}"', text, count=1)
        assert found == 1
    path = folder / "new-rates.toml"
    path.write_text(text, encoding="utf-8")
    return path


def owed(book: Book) -> dict[tuple[str, str], int]:
    return {
        (hospital, pool): fen for hospital, pool, fen in balance_of(book.ledger(), OWED).iter_rows() if fen
    }  # fmt: skip


def balances(folder: Path) -> dict[tuple[str, str], int]:
    found = {(row["hospital"], row["pool"]): to_fen(row["balance"]) for row in rows(folder / "statement.csv")}
    return {key: fen for key, fen in found.items() if fen}


@pytest.fixture
def book(city: City, tmp_path: Path) -> Path:
    """January and February settled, January closed."""
    folder = tmp_path / "book"
    assert settle(city, folder, 1, POLICY, "--close").exit_code in (0, 1)
    assert settle(city, folder, 2).exit_code in (0, 1)
    return folder


def test_the_book_is_cleared_by_a_run_of_its_own(city: City, book: Path, tmp_path: Path) -> None:
    before = open_book(book)
    result = clear(city, book, tmp_path / "first")
    assert result.exit_code == 1, result.output
    # What the year lacks is named, on the console and in the list.
    assert "CL60" in result.stderr
    assert "2026-03、2026-04、2026-05、2026-06、2026-07、2026-08、2026-09、2026-10、2026-11、2026-12" in result.stderr
    assert re.search(r"CL61.*2026-02 还没有关账", result.stderr)
    assert {"CL60", "CL61"} <= {row["code"] for row in rows(tmp_path / "first" / "problems.csv")}
    kept = open_book(book)
    assert verify_book(kept) == []
    assert kept.cleared is not None
    proof = orjson.loads((tmp_path / "first" / "proof.json").read_bytes())
    assert kept.cleared.input_id == proof["run_id"]
    assert "--book book --dry-run" in proof["recompute"], "the command that recomputes leaves the book as it is"
    assert owed(kept) == balances(tmp_path / "first")
    assert kept.paid().equals(before.paid()), "what was paid in the year stays what it was"
    assert (kept.last_month, kept.closed_until) == ("2026-02", "2026-01")
    # The same again changes nothing and gives the same bytes.
    again = clear(city, book, tmp_path / "again")
    assert again.exit_code == 1
    assert open_book(book).runs == kept.runs
    assert (tmp_path / "again" / "statement.csv").read_bytes() == (tmp_path / "first" / "statement.csv").read_bytes()


def test_a_second_clearing_supersedes_the_first(city: City, book: Path, tmp_path: Path) -> None:
    assert clear(city, book, tmp_path / "first").exit_code == 1
    year = tmp_path / "year.toml"
    year.write_text(city.year_file.read_text(encoding="utf-8").replace("123.45", "200.00"), encoding="utf-8")
    (tmp_path / "decisions.csv").write_bytes(city.decisions.read_bytes())
    first = open_book(book).cleared
    assert first is not None
    result = run(
        "clear", "--book", book, "--year", 2026, "--policy", POLICY, "--year-file", year, "-o", tmp_path / "second"
    )  # fmt: skip
    assert result.exit_code == 1
    assert f"取代账册中以前的清算 {first.input_id[:12]}" in result.stderr
    kept = open_book(book)
    assert verify_book(kept) == []
    assert [one.kind for one in kept.runs] == ["settle", "settle", "clear", "clear"]
    assert kept.document(kept.runs[-1], "proof")["supersedes"] == first.run_id
    assert owed(kept) == balances(tmp_path / "second")
    differences = {
        key: balances(tmp_path / "second")[key] - fen for key, fen in balances(tmp_path / "first").items()
    }  # fmt: skip
    assert {key: fen for key, fen in differences.items() if fen} == {("H2", "居民"): 123_45 - 200_00}


def test_a_cleared_year_is_opened_again_with_a_reason(city: City, book: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    assert settle(city, plain, 1, POLICY, "--close").exit_code in (0, 1)
    assert settle(city, plain, 2).exit_code in (0, 1)
    assert clear(city, book, tmp_path / "first").exit_code == 1
    seal = open_book(book).seal
    closing = run("settle", "--month", "2026-02", "--policy", POLICY, "--book", book, "--close")
    for refused in (settle(city, book, 3), settle(city, book, 2, POLICY, "--close"), closing):
        assert refused.exit_code == 1
        assert "ST16" in refused.stderr
    assert open_book(book).seal == seal
    assert settle(city, book, 3, POLICY, "--reopen", "补报三月").exit_code in (0, 1)
    assert settle(city, plain, 3).exit_code in (0, 1)
    kept, same = open_book(book), open_book(plain)
    assert verify_book(kept) == []
    assert kept.cleared is None
    assert kept.runs[-1].note == "补报三月"
    assert kept.paid().equals(same.paid()), "as if it had not been cleared in between"
    assert owed(kept) == owed(same)
    assert clear(city, book, tmp_path / "last").exit_code == 1
    assert clear(city, plain, tmp_path / "other").exit_code == 1
    assert balances(tmp_path / "last") == balances(tmp_path / "other") == owed(open_book(book))


def test_a_dry_run_leaves_the_book_alone(city: City, book: Path, tmp_path: Path) -> None:
    index = (book / "book.json").read_bytes()
    result = clear(city, book, tmp_path / "try", "--dry-run")
    assert result.exit_code == 1
    assert "没有记入账册" in result.stderr
    assert (book / "book.json").read_bytes() == index
    clear(city, book, tmp_path / "real")
    assert (tmp_path / "try" / "statement.csv").read_bytes() == (tmp_path / "real" / "statement.csv").read_bytes()
    shown = run("book", "show", book)
    assert re.search(r"已清算.*余额合计", shown.stdout)


def test_no_folder_is_made_where_there_is_no_book(city: City, tmp_path: Path) -> None:
    result = clear(city, tmp_path / "none", tmp_path / "out")
    assert result.exit_code == 3
    assert "ST01" in result.stderr
    assert not (tmp_path / "none").exists()


def test_months_before_the_clearing_policy_keep_theirs(city: City, tmp_path: Path) -> None:
    """A rate that changes in July: the first half of the year by the old one, as if it were dated in one policy."""
    book, new = tmp_path / "book", changed(tmp_path, "2026-07-01", "4000.00")
    assert settle(city, book, 6).exit_code in (0, 1)
    told = settle(city, book, 7, new, "--new-policy", "下半年费率", "--close")
    assert "ST52" in told.stderr
    assert "2026-07-01 以前各月仍按账册所记的当时政策定价" in told.stderr
    result = clear(city, book, tmp_path / "out", policy=new)
    assert result.exit_code == 1, result.output
    assert re.search(rf"CL62.*2026-06 按当时的政策 {POLICY} 定价", result.stderr)
    assert "CL57" not in result.stderr
    # The same year by one policy with a dated rate: not a fen differs.
    text = BUILT_IN.read_text(encoding="utf-8")
    block = re.search(r'\[\[set\]\]\nkey = "base_rate"\n(?:(?!\n\[\[set\]\]).|\n(?!\[\[set\]\]))*', text)
    assert block is not None
    dated = block[0].rstrip() + "\nuntil = 2026-07-01\n\n" + re.sub(
        r'value = "[0-9.]+"', 'value = "4000.00"', block[0].rstrip(), count=1
    ) + "\nfrom = 2026-07-01\n\n"  # fmt: skip
    one = tmp_path / "dated.toml"
    one.write_text(text.replace(block[0], dated), encoding="utf-8")
    single = tmp_path / "single"
    assert settle(city, single, 6, one).exit_code in (0, 1)
    assert settle(city, single, 7, one).exit_code in (0, 1)
    assert clear(city, single, tmp_path / "once", policy=one).exit_code == 1
    # Weights are told at the highest rate of the policy, which is another one here; they are not money.
    mine, other = ([row | {"points": ""} for row in rows(tmp_path / at / "statement.csv")] for at in ("out", "once"))
    assert mine == other


def test_a_policy_of_the_whole_year_prices_it_anew_and_says_so(city: City, tmp_path: Path) -> None:
    book, new = tmp_path / "book", changed(tmp_path, rate="4000.00")
    assert settle(city, book, 1).exit_code in (0, 1)
    told = settle(city, book, 2, new, "--new-policy", "追溯到年初")
    assert "以前各月也按它重新定价" in told.stderr
    result = clear(city, book, tmp_path / "out", policy=new)
    assert re.search(rf"CL57.*2026-01 按政策 {POLICY} 及当时的权重结算", result.stderr)
    whole = tmp_path / "whole"
    assert settle(city, whole, 1, new).exit_code in (0, 1)
    assert settle(city, whole, 2, new).exit_code in (0, 1)
    assert clear(city, whole, tmp_path / "all", policy=new).exit_code == 1
    names = ("hospital", "pool", "points", "entitlement")
    mine, other = (
        [[row[name] for name in names] for row in rows(tmp_path / at / "statement.csv")] for at in ("out", "all")
    )
    assert mine == other


def test_a_policy_the_book_never_had_needs_a_reason(city: City, book: Path, tmp_path: Path) -> None:
    new = changed(tmp_path, rate="4000.00")
    refused = clear(city, book, tmp_path / "out", policy=new)
    assert refused.exit_code == 3
    assert "CL41" in refused.stderr
    assert open_book(book).cleared is None
    done = clear(city, book, tmp_path / "out", "--new-policy", "清算办法另行印发", policy=new)
    assert done.exit_code == 1, done.output
    assert open_book(book).runs[-1].note == "清算办法另行印发"


def test_case_files_of_two_policies(city: City, tmp_path: Path) -> None:
    new = changed(tmp_path, "2026-07-01")
    one = run(
        "clear", *city.months, "--year", 2026, "--policy", POLICY, "--year-file", city.year_file, "--hospitals",
        city.register, "-o", tmp_path / "one",
    )  # fmt: skip
    assert one.exit_code == 0
    alone = run(
        "clear", *city.months, "--year", 2026, "--policy", new, "--year-file", city.year_file, "--hospitals",
        city.register, "-o", tmp_path / "alone",
    )  # fmt: skip
    assert alone.exit_code == 3
    assert re.search("CL42.*2026-01、2026-02、2026-03、2026-04、2026-05、2026-06 的病例没有政策定价", alone.stderr)
    both = run(
        "clear", *city.months, "--year", 2026, "--policy", new, "--policy", POLICY, "--year-file", city.year_file,
        "--hospitals", city.register, "-o", tmp_path / "both",
    )  # fmt: skip
    assert both.exit_code == 0, both.output
    assert (tmp_path / "both" / "statement.csv").read_bytes() == (tmp_path / "one" / "statement.csv").read_bytes()
    twice = run(
        "clear", *city.months, "--year", 2026, "--policy", changed(tmp_path, "2025-01-01"), "--policy", POLICY,
        "--year-file", city.year_file, "-o", tmp_path / "twice",
    )  # fmt: skip
    assert twice.exit_code == 3
    assert "CL45" in twice.stderr


def test_all_that_is_wrong_beside_the_cases_is_told_at_once(city: City, tmp_path: Path) -> None:
    paid, decisions, register, year = (tmp_path / name for name in ("p.csv", "d.csv", "h.csv", "y.toml"))
    paid.write_text("hospital,pool,prepaid\nH1,离休,10\n", encoding="utf-8")
    decisions.write_text("case_id,decision\nC1,perhaps\n", encoding="utf-8")
    register.write_text("hospital_id,tier\nH1,九级\n", encoding="utf-8")
    year.write_text(city.year_file.read_text(encoding="utf-8").replace("[[violation]]", "[[violations]]"), "utf-8")
    result = run(
        "clear", *city.months, "--year", 2026, "--policy", POLICY, "--year-file", year, "--prepaid", paid,
        "--decisions", decisions, "--hospitals", register, "-o", tmp_path / "out",
    )  # fmt: skip
    assert result.exit_code == 3
    assert all(code in result.stderr for code in ("CL44", "PA21", "PA26", "CL04"))
    assert re.search(r"p\.csv.*基金池“离休”，清算没有此池，有：职工、居民", result.stderr)


def test_deposits_and_strange_violations_are_told(city: City, tmp_path: Path) -> None:
    year = tmp_path / "year.toml"
    more = '[[hospital]]\nid = "H9"\nscore = "90"\n[[violation]]\nhospital = "H9"\ninsurance = "职工"\n'
    more += 'amount = "5.00"\nreason = "x"\n'
    year.write_text(city.year_file.read_text(encoding="utf-8") + more, encoding="utf-8")
    (tmp_path / "decisions.csv").write_bytes(city.decisions.read_bytes())
    result = run(
        "clear", *city.months, "--year", 2026, "--policy", POLICY, "--year-file", year, "--hospitals", city.register,
        "-o", tmp_path / "out",
    )  # fmt: skip
    assert result.exit_code == 1
    assert re.search(r"CL59.*机构 H9 的违规扣款 5\.00 元", result.stderr)
    statement = rows(tmp_path / "out" / "statement.csv")
    held = sum(to_fen(row["deposit"]) for row in statement if row["pool"] == "职工")
    assert f"职工：没有给出年内实际留存的保证金，按政策的比例从应得金额计提 {held // 100}.{held % 100:02d} 元" in {
        row["message"] for row in rows(tmp_path / "out" / "problems.csv") if row["code"] == "CL58"
    }
    assert pl.read_csv(tmp_path / "out" / "statement.csv").filter(pl.col("hospital") == "H9")["balance"].to_list() == [
        -5.0
    ]


def test_policies_that_do_not_go_together(city: City, tmp_path: Path) -> None:
    def refused(*policies: object) -> str:
        options = [word for policy in policies for word in ("--policy", policy)]
        result = run(
            "clear", *city.months, "--year", 2026, *options, "--year-file", city.year_file, "--hospitals",
            city.register, "-o", tmp_path / "out",
        )  # fmt: skip
        assert result.exit_code == 3
        assert not (tmp_path / "out").exists()
        return result.stderr

    new = changed(tmp_path, "2026-07-01")
    told = refused("synthetic-city-drg-point", new)
    assert "CL43" in told
    assert "为 DRG 费率法，以前月份的政策 synthetic-city-drg-point 为 DRG 点数法" in told
    other = tmp_path / "other.toml"
    text = BUILT_IN.read_text(encoding="utf-8").replace('scheme = "chs-drg-1.1"', 'scheme = "some-drg"', 1)
    other.write_text(text, encoding="utf-8")
    assert "CL46" in refused(new, other)
    ended = tmp_path / "ended.toml"
    ended.write_text(text.replace("data_level", "effective_until = 2026-10-01\ndata_level", 1), encoding="utf-8")
    assert "PL31" in refused(ended)


def test_what_comes_late_when_december_is_closed_is_posted_in_december(city: City, tmp_path: Path) -> None:
    """No later month of the year could take it: with a reason the last one takes a further run, and the year is cleared
    as if it had not been closed before."""
    book, plain, late = tmp_path / "book", tmp_path / "plain", tmp_path / "late.csv"
    lines = city.months[11].read_text(encoding="utf-8").splitlines()
    first = dict(zip(lines[0].split(","), lines[1].split(","), strict=True))
    first |= {"total_cost": "9999.99", "fund_pay": "8000.00", "self_pay": "1500.00", "own_pay": "499.99"}
    late.write_text(f"{lines[0]}\n{','.join(first.values())}\n", encoding="utf-8")
    correct = (
        "settle", "--month", "2026-12", "--policy", POLICY, "--correct", late, "--reason", "补录",
        "--hospitals", city.register,
    )  # fmt: skip
    assert settle(city, book, 12, POLICY, "--close").exit_code in (0, 1)
    assert settle(city, plain, 12).exit_code in (0, 1)
    assert clear(city, book, tmp_path / "first").exit_code == 1
    before = open_book(book)
    refused = run(*correct, "--book", book)
    assert refused.exit_code == 1
    assert "ST23" in refused.stderr
    assert "--month 2026-12 --reopen" in refused.stderr
    assert open_book(book).seal == before.seal
    earlier = run(*("2026-11" if part == "2026-12" else part for part in correct), "--book", book, "--reopen", "复核")
    assert earlier.exit_code == 1
    assert "ST23" in earlier.stderr, "an earlier month takes nothing, whatever the reason"
    assert run(*correct, "--book", book, "--reopen", "复核").exit_code == 0
    assert run(*correct, "--book", plain).exit_code == 0
    kept = open_book(book)
    assert verify_book(kept) == []
    assert kept.runs[: len(before.runs)] == before.runs, "what was posted stays"
    assert (kept.closed_until, kept.cleared, kept.runs[-1].note) == ("2026-12", None, "补录；复核")
    assert owed(kept) == owed(open_book(plain))
    assert clear(city, book, tmp_path / "last").exit_code == 1
    assert clear(city, plain, tmp_path / "other").exit_code == 1
    assert balances(tmp_path / "last") == balances(tmp_path / "other") != balances(tmp_path / "first")
