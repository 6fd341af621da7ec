"""`drgdip pay` as a person types it: exit codes, amounts, totals, proof, files left behind."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from pathlib import Path

import orjson
import polars as pl
import pytest

from tests.unit.pay_examples import HEADER, RATE, policy_text, row, write_examples

ROOT = Path(__file__).resolve().parents[2]
# Weight 1.5 x rate 10000 x coefficient 1.1 = 16500; low below 0.4 of it (6600), high above 2 times (33000).
CASES = (
    row("low", cost="6599.99", fund_pay="1600.00", own_pay="999.99") + row("edge", cost="6600", fund_pay="1600.00")
    + row("normal", cost="20000.01") + row("top", cost="33000") + row("high", cost="43000")
    + row("second", hospital_level="2", cost="13500") + row("none", principal_dx="I61.100")
)  # fmt: skip
SMALL = ("--policy", "p.toml", "--scheme", "pack", "--weights", "w.csv")


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "api.cli.main", "pay", *words], cwd=folder, capture_output=True, text=True,
        env={"PYTHONPATH": str(ROOT), "PATH": "", "LANG": "C.UTF-8", "COLUMNS": "160"}, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"))))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_examples(tmp_path, CASES)


def test_every_case_its_price_a_summary_and_a_proof(folder: Path) -> None:
    done = run(folder, "cases.csv", *SMALL, "-o", "out.csv", "--problems", "problems.csv")
    assert done.returncode == 0, done.stderr
    found = {line["case_id"]: line for line in rows(folder / "out.csv")}
    assert {case: (line["case_kind"], line["package"], line["fund"]) for case, line in found.items()} == {
        "low": ("low", "6599.99", "1600.00"),  # at its cost: the fund's part as billed
        "edge": ("normal", "16500.00", "11500.00"),
        "normal": ("normal", "16500.00", "11500.00"),
        "top": ("normal", "16500.00", "11500.00"),
        "high": ("high", "23500.00", "18500.00"),  # 16500 + 0.7 x (43000 - 33000)
        "second": ("normal", "13500.00", "8500.00"),
        "none": ("by_item", "16000.00", "11000.00"),
    }  # fmt: skip
    one = found["normal"]
    shown = ("case_kind_zh", "weight", "coefficient", "reference", "multiple", "formula", "cost", "patient", "row")
    assert [one[name] for name in shown] == [
        "正常", "1.5000000000", "1.1000000000", "16500.00", "1.212122", "N_RATE", "20000.01", "5000.00", "4",
    ]  # fmt: skip
    assert found["none"]["reason"] == "未入组病例，按政策另行处理"
    for text in ("低倍率", "正常", "高倍率", "按项目", "合计", "三级", "二级", "109,099.99"):
        assert text.replace(",", "") in done.stderr.replace(",", ""), text
    proof = orjson.loads((folder / "out.csv.proof.json").read_bytes())
    assert proof["policy"]["id"] == "small"
    assert len(proof["policy"]["sha256"]) == len(proof["weights"]["sha256"]) == len(proof["run_id"]) == 64
    assert proof["recompute"] == (
        "drgdip pay cases.csv --policy p.toml --scheme pack --weights w.csv --edition insurance -o out.csv"
    )
    assert str(folder) not in (folder / "out.csv.proof.json").read_text(encoding="utf-8")
    assert rows(folder / "problems.csv") == []


def test_the_same_inputs_give_the_same_run_and_bytes_and_other_inputs_another_run(folder: Path) -> None:
    def proof(name: str, *more: str) -> dict[str, object]:
        assert run(folder, "cases.csv", *SMALL, "-o", name, *more).returncode == 0
        found: dict[str, object] = orjson.loads((folder / f"{name}.proof.json").read_bytes())
        return found

    first, again = proof("a.csv"), proof("b.csv", "--threads", "1")
    assert (first["run_id"], first["output"]["sha256"]) == (again["run_id"], again["output"]["sha256"])  # type: ignore[index]
    (folder / "s.csv").write_text("case_id,amount\nnormal,100\n", encoding="utf-8")
    other = proof("c.csv", "--separate", "s.csv")
    assert other["run_id"] != first["run_id"]
    (folder / "s.csv").write_text("case_id,amount\nnormal,200\n", encoding="utf-8")
    assert proof("d.csv", "--separate", "s.csv")["run_id"] != other["run_id"]


def test_other_kinds_of_file_and_json(folder: Path) -> None:
    done = run(folder, "cases.csv", *SMALL, "-o", "out.parquet", "--json")
    frame = pl.read_parquet(folder / "out.parquet")
    assert frame.schema["package"] == pl.Decimal(18, 2)
    assert frame["package"].sum() == frame["package"].cast(pl.String).cast(pl.Decimal(18, 2)).sum()
    summary = orjson.loads(done.stdout)
    # 6599.99 + 3 x 16500 + 23500 + 13500 + 16000
    assert summary["total"]["package_fen"] == 10_909_999
    assert (summary["rows"], summary["by_kind"]["normal"]["cases"], summary["by_tier"]["二级"]["cases"]) == (7, 4, 1)
    assert run(folder, "cases.csv", *SMALL, "-o", "out.xlsx").returncode == 0
    assert pl.read_excel(folder / "out.xlsx")["package"].to_list()[1] == 16500.0


def test_missing_parameters_are_all_told_and_nothing_is_written(folder: Path) -> None:
    kept = {key: value for key, value in RATE.items() if key not in {"base_rate", "reference", "high_inclusive"}}
    (folder / "p.toml").write_text(policy_text(values=kept), encoding="utf-8")
    done = run(folder, "cases.csv", *SMALL, "-o", "out.csv")
    assert done.returncode == 3
    assert done.stderr.count("PL30") == 3
    for key in ("base_rate", "reference", "high_inclusive"):
        assert f"（{key}，" in done.stderr
    assert not list(folder.glob("*out.csv*"))


def test_cases_that_cannot_be_priced_are_listed_and_give_code_1(folder: Path) -> None:
    (folder / "cases.csv").write_text(HEADER + row("1", total_cost="") + row("2"), encoding="utf-8")
    done = run(folder, "cases.csv", *SMALL, "-o", "out.csv", "--problems", "p.csv")
    assert done.returncode == 1
    assert [line["case_kind"] for line in rows(folder / "out.csv")] == ["unpaid", "normal"]
    assert [(line["code"], line["row"]) for line in rows(folder / "p.csv")] == [("PA01", "2")]


def test_a_month_decisions_and_a_file_that_is_none(folder: Path) -> None:
    more = row("april", discharge_date="2025-04-01") + row("no date", discharge_date="")
    (folder / "cases.csv").write_text(HEADER + CASES + more, encoding="utf-8")
    (folder / "d.csv").write_text("case_id,decision,amount\nhigh,adjusted,30000\nnobody,按项目,\n", encoding="utf-8")
    (folder / "none.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    done = run(
        folder, "cases.csv", "none.csv", *SMALL, "-o", "out.csv", "--month", "2025-03", "--decisions", "d.csv",
        "--problems", "problems.csv",
    )  # fmt: skip
    assert done.returncode == 1
    found = {line["case_id"]: line for line in rows(folder / "out.csv")}
    assert "april" not in found
    assert found["no date"]["case_kind"] == "unpaid"
    assert (found["high"]["case_kind"], found["high"]["package"]) == ("special", "30000.00")
    assert "其他月份的病例 1 例" in done.stderr
    codes = [line["code"] for line in rows(folder / "problems.csv")]
    assert codes.count("PA24") == codes.count("PA08") == 1
    assert any(code.startswith("IN") for code in codes)


def test_yearly_numbers_count_over_all_files(folder: Path) -> None:
    cap = '[[set]]\nkey = "volume_cap"\nvalue = 2\nfor = { group = "BR19" }\nsource = "doc"\nconfidence = "synthetic"\n'
    rule = '[[set]]\nkey = "volume_cap_rule"\nvalue = "by_item"\nsource = "doc"\nconfidence = "synthetic"\n'
    (folder / "p.toml").write_text(policy_text(more=cap + rule), encoding="utf-8")
    late = row("late", discharge_date="2025-06-01") + row("first", discharge_date="2025-01-02")
    (folder / "a.csv").write_text(HEADER + late, encoding="utf-8")
    (folder / "b.csv").write_text(HEADER + row("second", discharge_date="2025-03-01"), encoding="utf-8")
    assert run(folder, "a.csv", "b.csv", *SMALL, "-o", "out.csv").returncode == 0
    assert {line["case_id"]: line["case_kind"] for line in rows(folder / "out.csv")} == {
        "late": "by_item", "first": "normal", "second": "normal",
    }  # fmt: skip


def test_what_cannot_be_meant_is_code_2(folder: Path) -> None:
    assert run(folder, "cases.csv", "--policy", "p.toml").returncode == 2  # no scheme named anywhere
    assert run(folder, "cases.csv", *SMALL, "--month", "March").returncode == 2
    assert run(folder, "cases.csv", *SMALL, "--hospitals", "gone.csv").returncode == 2
    assert run(folder, "cases.csv", "--policy", "nowhere").returncode == 3
    assert run(folder, "cases.csv", "--policy", "p.toml", "--scheme", "pack").returncode == 3  # no weights


def test_a_file_without_a_case_is_told_and_leaves_no_result(folder: Path) -> None:
    (folder / "empty.csv").write_bytes(b"")
    done = run(folder, "empty.csv", *SMALL, "-o", "none.csv")
    assert done.returncode == 1
    assert "IN02" in done.stderr
    assert not list(folder.glob("none.csv*"))
