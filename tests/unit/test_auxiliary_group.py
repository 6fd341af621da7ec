"""What a hospital sees of the auxiliary catalog: the columns auxiliary, factor and score of `drgdip group`."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from grouper.dip.compile import compile_dip
from grouper.engine import group_cases
from reference_tables.pack_writer import write_pack
from tests.unit.auxiliary_pack import pack

ROOT = Path(__file__).resolve().parents[2]
FACTORS = (
    ("*", "CCI", "极严重", "1.2"),
    ("*", "年龄", "80岁以上", "1.05"),
    ("*", "疾病严重程度", "重度", "1.3"),
    ("A09", "疾病严重程度", "重度", "1.1"),
    ("C34", "肿瘤严重程度", "高费用一", "2.345"),
)
HEAD = "case_id,sex,age,age_days,los_days,icu_hours,discharge_way,diagnoses,procedures"
COSTS = ",total_cost,fee_treatment,fee_western_drug"
CASES = (
    "1,1,30,,5,,1,A09.900,", "2,1,82,,5,,1,A09.900|J96.000|C78.000,", "3,2,0,10,5,50,1,A09.900,",
    "4,1,60,,9,,1,C34.900|C78.700,", "5,1,60,,9,,5,C34.900,", "6,1,50,,5,,1,J18.900|J96.000,", "7,1,50,,5,,1,,",
)  # fmt: skip
MONEY = ("8000", "9000", "7000", "30000", "9000", "100", "100")
TREATED = ("100", "100", "100", "15000", "100", "100", "100")
# Base scores 100 (A09) and 900 (C34); mean cost of C34 10,000 yuan.
WANTED = {
    "1": ("A09", "CCI:无|疾病严重程度:轻度", "1.0000", "100.0000"),
    # The group's own 1.1000 stands before the 1.3 for all; the highest is that of the comorbidity.
    "2": ("A09", "CCI:极严重|疾病严重程度:重度|次要诊断:严重|年龄:80岁以上", "1.2000", "120.0000"),
    "3": ("A09", "CCI:无|疾病严重程度:轻度|年龄:0-28天|重症监护:2-7天", "1.0000", "100.0000"),
    # Three times the mean, half of it for treatment: before metastasis (C78.700 is a CC). 900 x 2.345.
    "4": ("C34", "CCI:极严重|肿瘤严重程度:高费用一|次要诊断:一般", "2.3450", "2110.5000"),
    "5": ("C34", "CCI:无|肿瘤严重程度:死亡", "1.0000", "900.0000"),
    "6": ("", "", "", ""),
    "7": ("", "", "", ""),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("auxiliary")
    write_pack(pack(aux_factor=FACTORS), folder / "local")
    costed = [",".join(line) for line in zip(CASES, MONEY, TREATED, ["0"] * len(CASES), strict=True)]
    (folder / "march.csv").write_text("\n".join([HEAD + COSTS, *costed]) + "\n", encoding="utf-8")
    (folder / "bare.csv").write_text("\n".join([HEAD, *CASES]) + "\n", encoding="utf-8")
    return folder


def group(folder: Path, file: str) -> tuple[dict[str, tuple[str, ...]], list[dict[str, str]]]:
    """What `drgdip group` writes: dip, auxiliary, factor and score by case, and the problems."""
    words = ["group", file, "--scheme", "local", "-o", f"out-{file}", "--problems", f"problems-{file}"]
    done = subprocess.run(
        [sys.executable, "-m", "api.cli.main", *words], cwd=folder, capture_output=True, text=True, check=False,
        env={"PYTHONPATH": str(ROOT), "PATH": "", "LANG": "C.UTF-8"},
    )  # fmt: skip
    assert done.returncode < 2, done.stderr
    results, problems = (_rows(folder / name) for name in (f"out-{file}", f"problems-{file}"))
    columns = ("dip", "auxiliary", "factor", "score")
    return {row["case_id"]: tuple(row[name] for name in columns) for row in results}, problems


def _rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"))))


def test_levels_factor_and_score_of_every_case(folder: Path) -> None:
    found, problems = group(folder, "march.csv")
    assert found == WANTED
    assert not [row for row in problems if row["code"] == "AU80"]


def test_without_costs_the_levels_by_cost_do_not_apply_and_that_is_told_once(folder: Path) -> None:
    found, problems = group(folder, "bare.csv")
    metastasis = ("C34", "CCI:极严重|肿瘤严重程度:转移|次要诊断:一般", "1.2000", "1080.0000")
    assert found == {**WANTED, "4": metastasis}
    (told,) = [row for row in problems if row["code"] == "AU80"]
    assert (told["file"], told["level"]) == ("bare.csv", "info")
    assert told["message"].startswith(
        "病例没有医疗总费用、西药费、中药饮片费、中成药费、治疗费，用到FYBL、YPZB、ZLZB的"
    )


def test_blocks_and_threads_change_nothing() -> None:
    scheme = compile_dip(pack(aux_factor=FACTORS))
    ages = list(range(0, 100, 3)) * 2000
    cases = pl.DataFrame(
        {
            "row": range(len(ages)),
            "case_id": [str(at) for at in range(len(ages))],
            "age_years": ages,
            "age_days": [5] * len(ages),
            "los_days": [at % 7 for at in range(len(ages))],
            "diagnoses": [["A09.900", "J96.000"] if at % 5 else ["C34.900"] for at in range(len(ages))],
            "procedures": [[] for _ in ages],
        },
        schema_overrides={"procedures": pl.List(pl.String)},
    )
    whole = group_cases(cases, scheme, threads=2)
    assert cases.height > 1 << 16
    pieces = [group_cases(cases.slice(at, 20_000), scheme) for at in range(0, cases.height, 20_000)]
    assert whole.equals(pl.concat(pieces))
    assert whole["factor"].n_unique() == 3
