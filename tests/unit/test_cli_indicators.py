"""`drgdip indicators` as a person types it: case files without and with a policy, and a year book."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
from pathlib import Path

import fastexcel
import orjson
import pytest
from typer.testing import CliRunner, Result

from api.cli.main import app
from tests.unit import test_cli_settle as settled
from tests.unit.catalog_history import CONSERVATIVE, OPERATED, PNEUMONIA

HEADER = (
    "case_id,sex,age,los_days,admission_time,discharge_time,discharge_way,diagnoses,procedures,total_cost,hospital_id,"
    "hospital_name,department"
)
# Gallstones operated HC29 cost 10000 and 30000 (mean 20000) and take 5 and 7 days (mean 6); hypertension FV25 costs
# 1000 and 3000 (mean 2000) and takes 4 and 6 days (mean 5); pneumonia alone is ungrouped.
CASES = [
    ("1", OPERATED, 10_000, "H1", "5", "外科"),
    ("2", OPERATED, 30_000, "H2", "", "外科"),
    ("3", CONSERVATIVE, 1_000, "H1", "4", "内科"),
    ("4", CONSERVATIVE, 3_000, "H2", "6", "内科"),
    ("5", PNEUMONIA, 4_000, "H2", "6", "内科"),
    ("1", OPERATED, 10_000, "H1", "5", "外科"),
]
WEIGHTS = "group,rw\nHC29,1.9343\nFV25,0.1627\n"

region = settled.region


def lines(rows: list[tuple[str, str, int, str, str, str]]) -> list[str]:
    """Stays of 7 days by their dates where the days are not given."""
    found = []
    for case_id, codes, yuan, hospital, days, department in rows:
        diagnosis, procedure = codes.split(",")
        stay = f"{days},2026-03-01,2026-03-08"
        found.append(f"{case_id},1,50,{stay},1,{diagnosis},{procedure},{yuan},{hospital},{hospital}医院,{department}")
    return found


def write(path: Path, rows: list[str]) -> None:
    path.write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")


def run(folder: Path, *words: str) -> Result:
    with contextlib.chdir(folder):
        done = CliRunner().invoke(app, list(words))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"))))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "c.csv", lines(CASES))
    (tmp_path / "w.csv").write_text(WEIGHTS, encoding="utf-8")
    return tmp_path


def test_hospitals_departments_and_groups(folder: Path) -> None:
    done = run(folder, "indicators", "c.csv", "--weights", "w.csv", "-o", "i.csv")
    assert done.exit_code == 0, done.stderr
    table = rows(folder / "i.csv")
    assert [(row["level"], row["hospital_id"], row["department"], row["group"]) for row in table] == [
        ("region", "", "", ""), ("hospital", "H1", "", ""), ("hospital", "H2", "", ""),
        ("department", "H1", "内科", ""), ("department", "H1", "外科", ""), ("department", "H2", "内科", ""),
        ("department", "H2", "外科", ""), ("group", "", "", "0000"), ("group", "", "", "FV25"),
        ("group", "", "", "HC29"),
    ]  # fmt: skip
    whole, first, second = table[:3]
    # The repeated record is no case: 48000 / 5; (5 + 7 + 4 + 6 + 6) / 5.
    assert [whole[name] for name in ("cases", "grouped_cases", "groups", "mean_cost", "mean_stay")] == [
        "5", "4", "2", "9600.00", "5.60",
    ]  # fmt: skip
    assert [whole[name] for name in ("cost_index", "time_index", "ungrouped_rate")] == ["1.0000", "1.0000", "0.2000"]
    # (1.9343 + 0.1627) / 2; half of the mean cost in both groups; (5 / 6 + 4 / 5) / 2 and (7 / 6 + 6 / 5) / 2.
    assert [first[name] for name in ("cmi", "cost_index", "time_index")] == ["1.0485", "0.5000", "0.8167"]
    assert [second[name] for name in ("cmi", "cost_index", "time_index")] == ["1.0485", "1.5000", "1.1833"]
    assert "low_rate" not in whole
    assert "H2医院" in done.stderr
    assert "病例组合指数" in done.stderr


def test_without_weights_there_is_no_case_mix(folder: Path) -> None:
    assert run(folder, "indicators", "c.csv", "-o", "i.csv").exit_code == 0
    assert {row["cmi"] for row in rows(folder / "i.csv")} == {""}


def test_the_proof_recomputes_the_table(folder: Path) -> None:
    assert run(folder, "indicators", "c.csv", "--weights", "w.csv", "-o", "i.csv", "--threads", "1").exit_code == 0
    before = (folder / "i.csv").read_bytes()
    proof = orjson.loads((folder / "i.csv.proof.json").read_bytes())
    assert proof["output"]["sha256"] == hashlib.sha256(before).hexdigest()
    assert proof["tables"] == {"weights": hashlib.sha256(WEIGHTS.encode()).hexdigest()}
    (folder / "i.csv").unlink()
    assert run(folder, *proof["recompute"].split()[1:], "--threads", "3").exit_code == 0
    assert (folder / "i.csv").read_bytes() == before


def test_files_in_any_order_give_the_same_table(folder: Path) -> None:
    given = lines(CASES)
    write(folder / "a.csv", given[:2])
    write(folder / "b.csv", given[2:5])
    tables = []
    for files in (("a.csv", "b.csv"), ("b.csv", "a.csv"), ("c.csv",)):
        assert run(folder, "indicators", *files, "--weights", "w.csv", "-o", "i.csv").exit_code == 0
        tables.append((folder / "i.csv").read_bytes())
    assert tables[0] == tables[1] == tables[2]


def test_a_workbook_with_meanings(folder: Path) -> None:
    done = run(folder, "indicators", "c.csv", "--weights", "w.csv", "-o", "i.xlsx", "--json")
    assert done.exit_code == 0, done.stderr
    told = orjson.loads(done.stdout)
    assert told["units"] == {"hospital": 2, "department": 4, "group": 3}
    assert told["region"]["cmi"] == "1.0485"
    book = fastexcel.read_excel(folder / "i.xlsx")
    assert book.sheet_names == ["全区", "医疗机构", "科室", "病组", "指标说明"]
    hospitals = book.load_sheet("医疗机构", header_row=None).to_polars().rows()
    assert hospitals[0][:3] == ("医疗机构编码", "医疗机构名称", "病例数（例）")
    assert hospitals[1][:2] == ("H1", "H1医院")
    meanings = book.load_sheet("指标说明", header_row=None).to_polars().rows()
    assert {row[1] for row in meanings[1:]} == set(told["region"])


def test_under_a_policy_and_in_its_book(region: Path) -> None:
    fixed = ("--policy", "policy.toml", "--scheme", "pack")
    done = run(region, "indicators", "01.csv", *fixed, "-o", "i.csv", "--json")
    assert done.exit_code == 0, done.stderr
    found = orjson.loads(done.stdout)["region"]
    # Three cases of weight 1, 2 and 1, 800 yuan and 7 days each, all paid by their group.
    expected = {
        "cases": 3, "total_weight": "4.0000", "cmi": "1.3333", "mean_cost": "800.00", "mean_stay": "7.00",
        "low_rate": "0.0000", "case_based_cost_share": "1.0000", "case_based_fund_share": "1.0000",
    }  # fmt: skip
    assert {name: found[name] for name in expected} == expected
    assert settled.settle(region, "2026-01", region / "01.csv").exit_code == 0
    settled.settle(region, "2026-02", region / "02.csv")  # one case more, and one paid before
    done = run(region, "indicators", "--book", "book", "-o", "b.csv", "--json")
    assert done.exit_code == 0, done.stderr
    found = orjson.loads(done.stdout)["region"]
    assert {name: found[name] for name in ("cases", "total_weight", "cmi", "mean_stay", "case_based_cost_share")} == {
        "cases": 4, "total_weight": "5.0000", "cmi": "1.2500", "mean_stay": "7.00", "case_based_cost_share": "1.0000",
    }  # fmt: skip
    proof = orjson.loads((region / "b.csv.proof.json").read_bytes())
    assert proof["recompute"] == "drgdip indicators --book book -o b.csv"
    assert orjson.loads((region / "book" / "book.json").read_bytes())["runs"][-1]["seal"] == proof["book"]["seal"]


def test_the_target_of_the_plan_is_told(region: Path) -> None:
    done = run(region, "indicators", "01.csv", "--policy", "policy.toml", "--scheme", "pack", "-o", "i.xlsx")
    assert done.exit_code == 0, done.stderr
    assert "目标不低于 0.7：已达到" in done.stderr
    summary = fastexcel.read_excel(region / "i.xlsx").load_sheet("全区", header_row=None).to_polars().rows()
    assert any(
        str(row[0]).startswith("按病组和病种付费占住院费用比例（目标不低于 0.7）") and row[2] == "已达到"
        for row in summary
    )


def test_rejected_cases_are_told_and_still_counted(folder: Path) -> None:
    wrong = [row.replace(",1,50,", ",9,50,", 1) for row in lines([("6", OPERATED, 9_000, "H1", "5", "外科")])]
    write(folder / "c.csv", lines(CASES) + wrong)
    done = run(folder, "indicators", "c.csv", "-o", "i.csv", "--problems", "p.csv")
    assert done.exit_code == 1
    assert "拒收 SEX_INVALID" in done.stderr
    assert (rows(folder / "i.csv")[0]["cases"], rows(folder / "i.csv")[0]["invalid_rate"]) == ("6", "0.1667")
    assert [row["code"] for row in rows(folder / "p.csv") if row["level"] == "reject"] == ["SEX_INVALID"]
    done = run(folder, "indicators", "c.csv", "-o", "i.csv", "--json")
    assert done.exit_code == 1
    assert {"code": "SEX_INVALID", "level": "reject", "count": 1} in orjson.loads(done.stdout)["problems"]


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("-o", "i.csv"), 2, "二者取一"),
        (("c.csv", "--book", ".", "-o", "i.csv"), 2, "二者取一"),
        (("c.csv", "-o", "i.parquet"), 2, ".csv 或 .xlsx"),
        (("absent.csv", "-o", "i.csv"), 2, "找不到文件"),
        (("--book", "absent", "-o", "i.csv"), 2, "找不到文件夹"),
        (("--book", ".", "--weights", "w.csv", "-o", "i.csv"), 2, "--weights"),
        (("--book", ".", "-o", "i.csv"), 1, "账册不可用"),
        (("c.csv", "--hospitals", "w.csv", "-o", "i.csv"), 2, "--policy"),
        (("c.csv", "--weights", "nowhere", "-o", "i.csv"), 3, "不能计算"),
        (("c.csv", "--policy", "nowhere", "-o", "i.csv"), 3, "不能计算"),
        (("broken.csv", "-o", "i.csv"), 1, "有文件不可用"),
    ],
)
def test_what_cannot_be_done(folder: Path, words: tuple[str, ...], code: int, told: str) -> None:
    (folder / "broken.csv").write_bytes(b"\x00\x01\x02nothing")
    done = run(folder, "indicators", *words)
    assert done.exit_code == code, done.stderr
    assert told in done.stderr
    assert not (folder / "i.csv").exists()
