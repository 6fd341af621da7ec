"""Cases grouped by the DIP workbook and by the folder it is imported to: the worked answers, and the same bytes."""

from pathlib import Path

import orjson
import polars as pl
import pytest
from typer.testing import CliRunner

from api.cli.main import app
from grouper.engine import group_cases
from grouper.schemes import open_scheme
from grouper.validate import rules_of_pack, validate_cases
from reference_tables.columns import case_schema
from reference_tables.pack_writer import write_pack
from reference_tables.packs import find_pack
from tests.oracle.dip_worked_cases import WorkedCase, worked_cases
from tests.unit.official_dip_workbook import write


@pytest.fixture(scope="module")
def workbook(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("dip") / "w.xlsx")


@pytest.fixture(scope="module")
def folder(workbook: Path) -> Path:
    write_pack(find_pack(workbook), workbook.parent / "pack")
    return workbook.parent / "pack"


def frame(cases: list[WorkedCase]) -> pl.DataFrame:
    """Worked cases as canonical cases, sex and everything not said left open."""
    names = ("case_id", "diagnoses", "procedures", "age_years", "age_days", "newborn_birth_weight_g", "sex")
    rows = [
        {
            "row": at, "case_id": one.case.case_id, "diagnoses": list(one.case.diagnoses),
            "procedures": list(one.case.procedures), "age_years": one.case.age_years, "age_days": one.case.age_days,
            "newborn_birth_weight_g": one.case.newborn_birth_weight_g, "sex": None,
        }
        for at, one in enumerate(cases, start=2)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=case_schema(names))


def test_worked_cases_through_the_workbook_and_through_the_folder(workbook: Path, folder: Path) -> None:
    cases = worked_cases()
    assert len(cases) > 60
    given = frame(cases)
    found = group_cases(given, open_scheme(workbook))
    answers = found.select(pl.when(pl.col("dip") == "").then("reason").otherwise("dip"), "primary_care", "rows_fit")
    wrong = {
        one.case.case_id: (one.expect, answer)
        for one, answer in zip(cases, answers.rows(), strict=True)
        if answer[:2] != (one.expect, one.primary_care) or one.rows_fit not in {None, answer[2]}
    }
    assert wrong == {}
    assert group_cases(given, open_scheme(folder)).equals(found)


def test_names_and_mixed_groups_of_the_result(workbook: Path) -> None:
    cases = [one for one in worked_cases() if one.expect in {"XQ-17", "A09-4"}]
    found = group_cases(frame(cases), open_scheme(workbook))
    assert dict(found.select("dip", "name").iter_rows()) == {
        "XQ-17": "先期17",
        "A09-4": "A09（相关手术组，名称由编码表推出）",
    }
    assert dict(found.select("dip", "kind").iter_rows()) == {"XQ-17": "core", "A09-4": "mixed"}


def test_quality_rules_read_off_the_workbook(workbook: Path) -> None:
    scheme = open_scheme(workbook)
    rules = rules_of_pack(scheme.pack)
    assert (rules.kind, rules.newborn_weight, rules.asked) == ("dip", "birth", {"H02"})
    assert {"I10.x00", "Z85.000x001"} <= rules.not_principal
    assert {"47.0100", "36.0700"} <= rules.operations
    assert rules.operations.isdisjoint({"00.0901", "45.1300", "99.2503"})
    wanted = {"I10.x00": "excluded", "I25.1": "no row of I25", "O34.200": "related rows"}
    chosen = [one for one in worked_cases() if any(text in one.case.case_id for text in wanted.values())]
    chosen += [one for one in worked_cases() if one.expect == "WEIGHT_UNKNOWN"]
    given = frame(chosen).with_columns(sex=pl.lit(2, dtype=case_schema(["sex"])["sex"]))
    given = pl.concat([given, given[-1:].with_columns(row=pl.lit(99, dtype=pl.UInt32), newborn_birth_weight_g=1200)])
    problems = validate_cases(given, grouped=group_cases(given, scheme), scheme_rules=rules).problems
    found = problems.filter(pl.col("code").is_in(["F16", "F17", "H01", "H02", "K01", "K02", "K05", "K07"]))
    told = found.join(given.select("row", pl.col("case_id").alias("case")), on="row")
    assert {(code, level, value) for code, level, value in told.select("code", "level", "value").iter_rows()} >= {
        ("F17", "reject", "I10.x00"), ("K05", "info", "I25-4"), ("K07", "info", "BX-1475"), ("H02", "reject", ""),
    }  # fmt: skip
    assert set(told["code"]) == {"F17", "K05", "K07", "H02"}


def test_validate_takes_the_workbook(tmp_path: Path, workbook: Path) -> None:
    header = "case_id,sex,age,age_days,weight,los_days,discharge_way,diagnoses,procedures\n"
    lines = ["1,1,50,,,5,1,I10.x00,", "2,1,60,,,5,1,I25.101,36.1200", "3,2,30,,,5,1,O34.200,74.1x01|38.8609|54.5904"]
    (tmp_path / "cases.csv").write_text(header + "\n".join(lines) + "\n", encoding="utf-8")
    problems = tmp_path / "problems.csv"
    arguments = ["validate", str(tmp_path / "cases.csv"), "--scheme", str(workbook), "-o", str(problems), "--json"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1, result.output
    counts = {item["code"]: item["count"] for item in orjson.loads(result.stdout)["problems"]}
    assert (counts.get("F17"), counts.get("K05"), counts.get("K07")) == (1, 1, 1)
    text = problems.read_text(encoding="utf-8-sig")
    assert "在本病种分值方案中不作为入组的主要诊断" in text
    assert "按综合病种I25-4处理" in text
    assert "有3条核心病种同时匹配，已按优先级取BX-1475" in text
