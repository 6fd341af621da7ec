"""`drgdip settle`, `drgdip advance` and `drgdip book` on files: three months with a correction, a withdrawal, a double
and a closed month; every amount worked out by hand.

Scheme: the small pack, 脑出血 (BR19, weight 1) without operation and 开颅 (BB15, weight 2) with one. A weight is paid
1,000 yuan; each case costs 800 yuan, of which the patient paid 300: the fund is due 700 yuan, or 1,700.
"""

from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest
from typer.testing import CliRunner, Result

from api.cli.main import app
from tests.unit.small_pack import write_small

COLUMNS = (
    "case_id,sex,age_years,diagnoses,procedures,hospital_id,hospital_name,hospital_level,insurance_type,discharge_time,"
    "total_cost,self_pay,own_pay,los_days"
)
POLICY = """\
id = "small"
name = "小区支付政策"
region = "小区"
method = "drg-rate"
weights = "weights.csv"
insurances = ["职工", "居民"]
tiers = ["三级"]
effective_from = 2026-01-01
data_level = "synthetic"
statement = "试验"
[sources.example]
title = "试验"
"""
SETTINGS = {
    "base_rate": '"1000"', "coefficient": '"1"', "reference": '"STD"', "low_limit": '"0.1"', "low_inclusive": "false",
    "high_limit": '[{ limit = "10" }]', "high_inclusive": "false", "normal_formula": '"N_RATE"',
    "low_formula": '"L_COST"', "high_formula": '"H_COST"', "fund_share_mode": '"STANDARD_MINUS_PATIENT"',
    "prepay_share": '"0.9"', "prepay_period": '"month"', "deposit_share": '"0.1"', "advance_months": '"1"',
    "advance_min_months": '"6"',
}  # fmt: skip


def line(case_id: str, month: str, *, hospital: str = "H1", operated: bool = False, cost: str = "800.00") -> str:
    procedure = "01.2403" if operated else ""
    return f"{case_id},1,60,I61.000,{procedure},{hospital},{hospital}医院,3,职工,{month}-20,{cost},200.00,100.00,7"


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join([COLUMNS, *lines]) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def region(tmp_path: Path) -> Path:
    """A folder with a pack, a policy and three months of cases."""
    write_small(tmp_path / "pack")
    (tmp_path / "weights.csv").write_text("group,rw\nBR19,1\nBB15,2\n", encoding="utf-8")
    blocks = [
        f'[[set]]\nkey = "{key}"\nvalue = {value}\nsource = "example"\nconfidence = "synthetic"\n'
        for key, value in SETTINGS.items()
    ]
    (tmp_path / "policy.toml").write_text(POLICY + "".join(blocks), encoding="utf-8")
    write(
        tmp_path / "01.csv",
        line("1", "2026-01"),
        line("2", "2026-01", operated=True),
        line("1", "2026-01", hospital="H2"),
    )
    write(tmp_path / "02.csv", line("3", "2026-02"), line("1", "2026-01"))
    write(tmp_path / "03.csv", line("4", "2026-03", hospital="H2"))
    return tmp_path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def settle(region: Path, month: str, *arguments: str | Path, book: str = "book") -> Result:
    fixed = ["--policy", region / "policy.toml", "--scheme", region / "pack", "--month", month]
    return run("settle", *arguments, *fixed, "--book", region / book)


def amounts(result: Result) -> dict[str, tuple[str, ...]]:
    """hospital -> due, corrections, paid, held, carried on."""
    rows = orjson.loads(result.stdout)["statement"]
    names = ("due", "corrections", "paid", "held", "carried_out")
    return {row["hospital_id"]: tuple(row[name] for name in names) for row in rows}


def test_three_months(region: Path) -> None:
    january = settle(region, "2026-01", region / "01.csv", "--json")
    assert january.exit_code == 0, january.stderr
    assert amounts(january) == {
        "H1": ("2400.00", "0.00", "2160.00", "240.00", "0.00"),
        "H2": ("700.00", "0.00", "630.00", "70.00", "0.00"),
    }
    # February brings a case that January paid: it is listed, not paid, and the rest is settled.
    february = settle(region, "2026-02", region / "02.csv", "--json")
    assert february.exit_code == 1
    assert amounts(february) == {"H1": ("700.00", "0.00", "630.00", "70.00", "0.00")}
    doubles = [item for item in orjson.loads(february.stdout)["problems"] if item["code"] == "ST30"]
    assert [(item["file"], item["row"], item["case_id"]) for item in doubles] == [("02.csv", 3, "1")]
    # January's case 2 was not operated on: 700 instead of 1,700; H2's case 1 was no inpatient stay.
    corrected = write(region / "corrected.csv", line("2", "2026-01"))
    (region / "withdrawn.csv").write_text("hospital_id,case_id,reason\nH2,1,非住院\n", encoding="utf-8")
    march = settle(
        region, "2026-03", region / "03.csv", "--correct", corrected, "--withdraw", region / "withdrawn.csv",
        "--reason", "核查更正", "--close", "--json",
    )  # fmt: skip
    assert march.exit_code == 0, march.stderr
    assert amounts(march) == {
        "H1": ("0.00", "-1000.00", "0.00", "0.00", "-1000.00"),
        "H2": ("700.00", "-700.00", "0.00", "0.00", "0.00"),
    }
    changed = orjson.loads(march.stdout)["corrections"]
    assert [(row["case_id"], row["action"], row["reason"], row["difference"]) for row in changed] == [
        ("2", "replace", "核查更正", "-1000.00"),
        ("1", "withdraw", "非住院", "-700.00"),
    ]
    # March is closed: nothing more goes into it, and the answer says where it goes.
    late = settle(region, "2026-03", "--correct", corrected, "--reason", "再次更正")
    assert late.exit_code == 1
    assert "ST10" in late.stderr
    assert "--month 2026-04" in late.stderr
    shown = orjson.loads(run("book", "show", region / "book", "--json").stdout)
    assert shown["sound"] is True
    assert shown["closed_until"] == "2026-03"
    assert [(row["month"], row["cases"], row["due"], row["corrections"]) for row in shown["months"]] == [
        ("2026-01", 3, "3100.00", "0.00"),
        ("2026-02", 1, "700.00", "0.00"),
        ("2026-03", 1, "700.00", "-1700.00"),
    ]
    assert [(row["hospital_id"], row["due"], row["paid"], row["held"], row["owed"]) for row in shown["hospitals"]] == [
        ("H1", "2100.00", "2790.00", "310.00", "-1000.00"),
        ("H2", "700.00", "630.00", "70.00", "0.00"),
    ]
    verified = run("book", "verify", region / "book")
    assert verified.exit_code == 0
    assert "账册无误" in verified.stdout


def folder(path: Path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def test_the_same_files_again_change_nothing_and_write_the_same_statements(region: Path) -> None:
    out, again, copy = region / "out", region / "again", region / "renamed.csv"
    assert settle(region, "2026-01", region / "01.csv", "-o", out).exit_code == 0
    before = folder(region / "book")
    (region / "01.csv").rename(copy)
    repeated = settle(region, "2026-01", copy, "-o", again)
    assert repeated.exit_code == 0
    assert "账册没有改动" in repeated.stdout
    assert folder(region / "book") == before
    assert folder(again) == folder(out)
    refused = settle(region, "2026-01", region / "02.csv")
    assert (refused.exit_code, "ST11" in refused.stderr) == (1, True)
    assert folder(region / "book") == before


def test_statements_are_in_chinese_with_a_sheet_for_each_hospital(region: Path) -> None:
    out = region / "out"
    assert settle(region, "2026-01", region / "01.csv", "-o", out).exit_code == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "corrections.csv", "kinds.csv", "postings.csv", "problems.csv", "proof.json", "statement.csv", "statement.xlsx",
        "statements",
    ]  # fmt: skip
    own = orjson.loads((out / "statements" / "H1.json").read_bytes())
    assert (own["name"], own["month"], len(own["pools"])) == ("H1医院", "2026-01", 1)
    assert (own["pools"][0]["due"], own["pools"][0]["paid"], own["pools"][0]["held"]) == (
        "2400.00",
        "2160.00",
        "240.00",
    )
    page = (out / "statements" / "H2.html").read_text(encoding="utf-8")
    assert "700.00" in page
    assert "H1" not in page
    table = pl.read_csv(out / "statement.csv", infer_schema=False)
    assert table.select("医疗机构名称", "月份", "病例数", "本月应付", "本期拨付", "质量保证金").rows() == [
        ("H1医院", "2026-01", "2", "2400.00", "2160.00", "240.00"),
        ("H2医院", "2026-01", "1", "700.00", "630.00", "70.00"),
    ]
    sheets = pl.read_excel(out / "statement.xlsx", sheet_id=0, has_header=False, infer_schema_length=0)
    assert list(sheets) == ["汇总", "H1", "H2"]
    cells: dict[str, Any] = {row[0]: row[1] for row in sheets["H1"].rows() if row[0]}
    assert "H1医院（H1）月度结算单" in cells
    assert (cells["病例数"], cells["本月应付"], cells["质量保证金"]) == ("2", "2400", "240")
    postings = pl.read_csv(out / "postings.csv", infer_schema=False)
    signed = postings["金额"].cast(pl.Decimal(18, 2)) * (postings["借贷"] == "借").cast(pl.Int32).replace(0, -1)
    assert signed.sum() == 0
    assert set(postings["科目名称"]) == {"住院统筹支出", "应付医疗机构", "质量保证金", "基金支出户"}


def test_proof_names_everything_that_decided(region: Path) -> None:
    out = region / "out"
    settle(region, "2026-01", region / "01.csv", "-o", out)
    proof = orjson.loads((out / "proof.json").read_bytes())
    assert {"run_id", "policy", "pack", "weights", "inputs", "program", "book", "recompute"} <= set(proof)
    assert [(item["role"], item["name"]) for item in proof["inputs"]] == [("cases", "01.csv")]
    assert proof["recompute"] == "drgdip settle 01.csv --policy policy.toml --scheme pack --month 2026-01 --book BOOK"
    assert str(region) not in (out / "proof.json").read_text()


def test_order_of_files_does_not_matter(region: Path) -> None:
    settle(region, "2026-01", region / "01.csv")
    write(region / "a.csv", line("5", "2026-02"), line("6", "2026-02", hospital="H2"))
    write(region / "b.csv", line("7", "2026-02", operated=True), line("5", "2026-02", cost="700.00"))
    settle(region, "2026-01", region / "01.csv", book="other")
    for files, book in ((("a.csv", "b.csv"), "book"), (("b.csv", "a.csv"), "other")):
        found = settle(region, "2026-02", *(region / file for file in files), "--json", book=book)
        assert amounts(found) == {
            "H1": ("1700.00", "0.00", "1530.00", "170.00", "0.00"),
            "H2": ("700.00", "0.00", "630.00", "70.00", "0.00"),
        }
        assert [item["code"] for item in orjson.loads(found.stdout)["problems"]].count("ST32") == 2
    assert folder(region / "book") == folder(region / "other")


def test_what_cannot_be_used_leaves_the_book_alone(region: Path) -> None:
    settle(region, "2026-01", region / "01.csv")
    before = folder(region / "book")
    (region / "broken.csv").write_bytes(b"\xff\xfe\x00")
    for arguments, code in (
        ((region / "02.csv", region / "broken.csv"), 1),
        ((region / "absent.csv",), 2),
        ((region / "02.csv", "--withdraw", region / "weights.csv"), 3),
        ((region / "02.csv", "--weights", "no-such-table"), 3),
    ):
        found = settle(region, "2026-02", *arguments)
        assert found.exit_code == code, (arguments, found.stderr)
    assert folder(region / "book") == before
    (region / "policy.toml").write_text(POLICY, encoding="utf-8")
    assert settle(region, "2026-02", region / "02.csv").exit_code in {1, 3}
    assert folder(region / "book") == before


def test_advance(region: Path) -> None:
    (region / "spend.csv").write_text("hospital_id,insurance,year,spend\nH1,职工,2025,1200.00\n", encoding="utf-8")
    fixed = ["--policy", region / "policy.toml", "--month", "2026-01", "--book", region / "book"]
    first = run("advance", region / "spend.csv", *fixed, "--balance", "职工=7.5", "--json")
    assert first.exit_code == 0, first.stderr
    assert orjson.loads(first.stdout)["hospitals"] == [
        {"insurance": "职工", "pool": "职工", "hospital_id": "H1", "advance": "100.00"}
    ]
    again = run("advance", region / "spend.csv", *fixed, "--balance", "职工=7.5")
    assert "账册没有改动" in again.stdout
    assert settle(region, "2026-01", region / "01.csv").exit_code == 0
    shown = run("book", "show", region / "book")
    assert "100.00" in shown.stdout
    for wrong in ("职工", "职工=x", "职工=-1", "工伤=7"):
        assert run("advance", region / "spend.csv", *fixed, "--balance", wrong).exit_code == 2
    assert run("advance", region / "spend.csv", *fixed, "--balance", "职工=8", "--deficit", "工伤").exit_code == 2


def test_a_damaged_book_is_told(region: Path) -> None:
    settle(region, "2026-01", region / "01.csv")
    ledger = next((region / "book" / "ledger").iterdir())
    ledger.write_bytes(ledger.read_bytes() + b"x")
    for command in ("show", "verify"):
        found = run("book", command, region / "book")
        assert (found.exit_code, "ST60" in found.stderr) == (1, True)
    assert run("book", "show", region).exit_code == 3
