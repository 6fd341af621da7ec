"""Last year's mean cost of a group at hospitals of the same tier: worked out by hand, and used by a PEER policy."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import fastexcel
import orjson
import pytest
from typer.testing import CliRunner, Result

from api.cli.main import app
from reference_tables.group_weights import find_group_weights
from tests.unit.catalog_history import APPENDIX, OPERATED
from tests.unit.pay_examples import RATE, policy_text

HEADER = (
    "case_id,sex,age,los_days,discharge_way,diagnoses,procedures,total_cost,discharge_time,hospital_id,hospital_level,"
    "insurance_type,fund_pay,self_pay,own_pay\n"
)
HISTORY = [
    # Gallstones operated, HC29: year, yuan, hospital's level as the record gives it
    (OPERATED, 2024, "20000", "3"),
    (OPERATED, 2025, "30000", "3"), (OPERATED, 2025, "34000", "三级"), (OPERATED, 2025, "35000", "3"),
    (OPERATED, 2025, "20000", "2"), (OPERATED, 2025, "22000", "9"),
    # Appendix, GD15: at the upper tier only in the year before
    (APPENDIX, 2024, "6000", "3"), (APPENDIX, 2025, "5000", "2"), (APPENDIX, 2025, "5000.01", "2"),
]  # fmt: skip
WEIGHTS = ("weights", "h.csv", "--year-weights", "1:1", "--policy", "p.toml", "-o", "w.csv")
# HC29 over both years: 20000 20000 22000 30000 34000 35000, Q1 20500, Q3 33000: K = 0.1 keeps up to 34250.
TRIMMED = (*WEIGHTS, "--trim", "iqr:0.1")


def run(*words: str | Path) -> Result:
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"))))


def line(case: str, codes: str, cost: str, day: str, level: str, hospital: str = "H1") -> str:
    diagnosis, procedure = codes.split(",")
    paid = f"310,{cost},0,0"
    return f"{case},1,50,5,1,{diagnosis},{procedure},{cost},{day},{hospital},{level},{paid}\n"


def history(chosen: Sequence[tuple[str, int, str, str]] = HISTORY) -> str:
    lines = [
        line(str(at), codes, cost, f"{year}-05-01", level, f"H{level}")
        for at, (codes, year, cost, level) in enumerate(chosen)
    ]
    return HEADER + "".join(lines)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "h.csv").write_text(history(), encoding="utf-8")
    peer = policy_text(values=RATE | {"reference": '"PEER"'})
    (tmp_path / "p.toml").write_text(peer, encoding="utf-8")
    return tmp_path


def by_tier(path: Path) -> dict[tuple[str, str], tuple[str, str, str]]:
    """(group, tier) -> cases, kept, average."""
    return {
        (row["group"], row["tier"]): (row["cases"], row["kept"], row["peer_average"])
        for row in rows(path)
        if row["tier"]
    }


def test_the_mean_of_the_last_year_at_each_tier(folder: Path) -> None:
    done = run(*TRIMMED)
    assert done.exit_code == 0, done.stderr
    assert by_tier(folder / "w.csv") == {
        ("GD15", "二级"): ("2", "2", "5000.01"),  # 5000.005, half up
        ("HC29", "三级"): ("3", "2", "32000.00"), ("HC29", "二级"): ("1", "1", "20000.00"),
    }  # fmt: skip
    assert [(row["group"], row["tier"]) for row in rows(folder / "w.csv")] == [
        ("GD15", ""), ("GD15", "二级"), ("HC29", ""), ("HC29", "三级"), ("HC29", "二级"),
    ]  # fmt: skip
    assert "2025 年，3 个（病组×级别），级别不详的病例 1 例不计" in done.stderr
    whole = {row["group"]: (row["cases"], row["kept"]) for row in rows(folder / "w.csv") if not row["tier"]}
    assert whole == {"GD15": ("3", "2"), "HC29": ("6", "5")}
    sheet = fastexcel.read_excel(folder / "w-report.xlsx").load_sheet("2025 年同级别费用", header_row=None).to_polars()
    assert [row[2:] for row in sheet.rows()[2:]] == [("三级", "3", "2", "32000"), ("二级", "1", "1", "20000")]


def test_a_tier_of_which_trimming_leaves_nothing_is_left_whole(folder: Path) -> None:
    # Both ends of three costs are cut: of the upper tier's one case nothing would be left.
    chosen = [(APPENDIX, 2025, cost, level) for cost, level in (("5000", "2"), ("6000", "2"), ("9000", "3"))]
    (folder / "h.csv").write_text(history(chosen), encoding="utf-8")
    assert run(*WEIGHTS, "--years", "2025", "--year-weights", "1", "--trim", "percentile:2.5:97.5").exit_code == 0
    assert by_tier(folder / "w.csv") == {
        ("GD15", "三级"): ("1", "1", "9000.00"), ("GD15", "二级"): ("2", "1", "6000.00"),
    }  # fmt: skip


def test_a_history_that_tells_no_tier(folder: Path) -> None:
    head = HEADER.replace(",hospital_id,hospital_level", "")
    lines = [line.split(",") for line in history().splitlines()[1:]]
    bare = "".join(",".join([*cells[:9], *cells[11:]]) + "\n" for cells in lines)
    (folder / "h.csv").write_text(head + bare, encoding="utf-8")
    done = run(*WEIGHTS)
    assert done.exit_code == 0, done.stderr
    assert by_tier(folder / "w.csv") == {}
    assert "0 个（病组×级别），级别不详的病例 7 例不计" in done.stderr


def test_neither_order_nor_threads_matter(folder: Path) -> None:
    assert run(*TRIMMED).exit_code == 0
    first = (folder / "w.csv").read_bytes()
    (folder / "h.csv").write_text(history(HISTORY[::-1]), encoding="utf-8")
    assert run(*TRIMMED, "--threads", "2").exit_code == 0
    assert (folder / "w.csv").read_bytes() == first


def test_the_register_knows_the_tier(folder: Path) -> None:
    (folder / "r.csv").write_text("hospital_id,tier\nH9,二级\nH3,三级\n", encoding="utf-8")
    assert run(*WEIGHTS, "--trim", "none", "--hospitals", "r.csv").exit_code == 0
    found = by_tier(folder / "w.csv")
    assert found["HC29", "二级"] == ("2", "2", "21000.00")
    assert found["HC29", "三级"] == ("3", "3", "33000.00")
    proof = orjson.loads((folder / "w.csv.proof.json").read_bytes())
    assert set(proof["tables"]) == {"policy", "hospitals"}
    assert (proof["options"]["policy"], proof["options"]["hospitals"]) == ("p.toml", "r.csv")


def test_a_peer_policy_prices_by_the_table(folder: Path) -> None:
    assert run(*TRIMMED).exit_code == 0
    table = find_group_weights("w.csv")
    assert table.peer_average("HC29", "三级") == 32_000
    assert table.weight("HC29") == Fraction(rows(folder / "w.csv")[2]["rw"])
    priced = _pay(
        folder, ("at the limit", OPERATED, "64000", "3"), ("above", OPERATED, "64000.01", "3"),
        ("lower tier", OPERATED, "64000", "2"), ("below", OPERATED, "12799.99", "3"),
        ("at the lower limit", OPERATED, "8000", "2"),
    )  # fmt: skip
    assert priced.exit_code == 0, priced.stderr
    found = {row["case_id"]: row for row in rows(folder / "paid.csv")}
    assert {case: row["case_kind"] for case, row in found.items()} == {
        "at the limit": "normal", "above": "high", "lower tier": "high", "below": "low", "at the lower limit": "normal",
    }  # fmt: skip
    assert found["above"]["reference"] == "32000.00"
    assert found["lower tier"]["reference"] == "20000.00"


def test_a_group_and_tier_without_a_case_last_year_is_named_when_one_comes(folder: Path) -> None:
    assert run(*TRIMMED).exit_code == 0
    refused = _pay(folder, ("1", APPENDIX, "5000", "3"))
    assert refused.exit_code == 3
    assert "peer_average" in refused.stderr
    assert "范围：病组 GD15，机构级别 三级" in refused.stderr
    assert not (folder / "paid.csv").exists()


def _pay(folder: Path, *cases: tuple[str, str, str, str]) -> Result:
    text = "".join(line(case, codes, cost, "2025-06-01", level) for case, codes, cost, level in cases)
    (folder / "c.csv").write_text(HEADER + text, encoding="utf-8")
    return run("pay", "c.csv", "--policy", "p.toml", "--weights", "w.csv", "--scheme", "chs-drg-1.1", "-o", "paid.csv")


def test_options_that_do_not_fit(folder: Path) -> None:
    assert run("weights", "h.csv", "--hospitals", "r.csv", "-o", "w.csv").exit_code == 2
    (folder / "r.csv").write_text("hospital_id,tier\nH9,甲\n", encoding="utf-8")
    assert run("weights", "h.csv", "--hospitals", "r.csv", "-o", "w.csv").exit_code == 2
    refused = run(*WEIGHTS, "--hospitals", "r.csv")
    assert (refused.exit_code, "PA26" in refused.stderr) == (3, True)
    assert run("weights", "h.csv", "--policy", "nowhere", "-o", "w.csv").exit_code == 3
    assert not (folder / "w.csv").exists()
