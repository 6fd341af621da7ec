"""The coder's worklist as a workbook and as CSV."""

from __future__ import annotations

from pathlib import Path
from zipfile import ZipFile

import fastexcel
import polars as pl
import pytest

from grouper.validate import validate_cases
from grouper.worklist import LIST_HEADER, SUMMARY_HEADER, write_worklist
from reference_tables.problems import PROBLEM_SCHEMA, problem_frame
from tests.unit.quality_examples import base, frame

PLAIN = base()["plain"]


@pytest.fixture(scope="module")
def problems() -> pl.DataFrame:
    cases = [
        {**PLAIN, "case_id": "0012", "sex": 9, "discharge_way": "9"},
        {**PLAIN, "case_id": "0013", "procedures": ["3.0900"], "discharge_way": "9"},
        {**PLAIN, "case_id": "=1+1", "diagnoses": ["I10.x00"]},
    ]
    return validate_cases(frame(cases), file="cases.csv").problems


def cells(path: Path, sheet: str) -> list[list[str]]:
    read = fastexcel.read_excel(path).load_sheet(sheet, header_row=None, dtypes="string")
    return [["" if cell is None else cell for cell in row] for row in read.to_polars().rows()]


def test_the_list_has_one_row_a_problem_with_codes_as_text(problems: pl.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "worklist.xlsx"
    write_worklist(problems, path)
    header, *rows = cells(path, "问题清单")
    assert tuple(header) == LIST_HEADER
    assert [row[:6] for row in rows] == [
        ["2", "0012", "拒收", "A03", "性别", "9"],
        ["2", "0012", "警告", "A12", "离院方式", "9"],
        ["3", "0013", "警告", "A12", "离院方式", "9"],
        ["3", "0013", "拒收", "I01", "手术操作编码", "3.0900"],
        ["4", "=1+1", "拒收", "E02", "诊断编码", "I10.x00"],
    ]
    assert all(row[6] and row[7] for row in rows)


def test_the_summary_counts_every_rule_gravest_first(problems: pl.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "worklist.xlsx"
    write_worklist(problems, path)
    header, *rows = cells(path, "汇总")
    assert tuple(header) == SUMMARY_HEADER
    assert [row[:5] for row in rows] == [
        ["A03", "拒收", "1", "1", "医疗机构"],
        ["E02", "拒收", "1", "1", "编码员"],
        ["I01", "拒收", "1", "1", "编码员"],
        ["A12", "警告", "2", "2", "编码员"],
    ]


def test_the_same_problems_give_the_same_bytes(problems: pl.DataFrame, tmp_path: Path) -> None:
    for name in ("a.xlsx", "b.xlsx"):
        write_worklist(problems, tmp_path / name)
    assert (tmp_path / "a.xlsx").read_bytes() == (tmp_path / "b.xlsx").read_bytes()


def test_header_frozen_filters_on_and_no_formula(problems: pl.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "worklist.xlsx"
    write_worklist(problems, path)
    with ZipFile(path) as archive:
        sheets = [archive.read(f"xl/worksheets/sheet{at}.xml").decode() for at in (1, 2)]
    for sheet in sheets:
        assert 'state="frozen"' in sheet
        assert "<autoFilter " in sheet
        assert "<cols>" in sheet
        assert "<f>" not in sheet


def test_a_list_longer_than_a_sheet_goes_on_in_the_next(problems: pl.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "worklist.xlsx"
    write_worklist(problems, path, sheet_rows=3)
    assert fastexcel.read_excel(path).sheet_names == ["汇总", "问题清单", "问题清单2", "问题清单3"]
    parts = [cells(path, name) for name in ("问题清单", "问题清单2", "问题清单3")]
    assert [len(part) for part in parts] == [3, 3, 2]
    assert [row[3] for part in parts for row in part[1:]] == ["A03", "A12", "A12", "I01", "E02"]
    assert all(tuple(part[0]) == LIST_HEADER for part in parts)


def test_csv_opens_in_a_spreadsheet_and_runs_nothing(problems: pl.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "worklist.csv"
    write_worklist(problems, path)
    data = path.read_bytes()
    assert data.startswith("\ufeff行号,病例号".encode())
    read = pl.read_csv(path, infer_schema=False)
    assert read["病例号"].to_list() == ["0012", "0012", "0013", "0013", "'=1+1"]
    assert read["值"].to_list()[3] == "3.0900"


def test_negative_amounts_are_no_formulas(tmp_path: Path) -> None:
    cases = frame([{**PLAIN, "fee_bed_fen": -1234}])
    write_worklist(validate_cases(cases).problems, tmp_path / "w.csv")
    assert pl.read_csv(tmp_path / "w.csv", infer_schema=False)["值"].to_list() == ["-12.34"]


def test_a_problem_of_the_whole_batch_and_of_several_files(tmp_path: Path) -> None:
    dx = ["K80.199", *["E11.900"] * 19]
    batch = frame([{**PLAIN, "diagnoses": dx}])
    wanted = pl.col("code").is_in(["E01", "E03"])
    found = [validate_cases(batch, file=name).problems.filter(wanted).reverse() for name in ("b.csv", "a.csv")]
    write_worklist(pl.concat(found), tmp_path / "w.xlsx")
    assert [row[:5] for row in cells(tmp_path / "w.xlsx", "问题清单")[1:]] == [
        ["b.csv", "全批", "", "警告", "E03"],
        ["b.csv", "2", "C1", "拒收", "E01"],
        ["a.csv", "全批", "", "警告", "E03"],
        ["a.csv", "2", "C1", "拒收", "E01"],
    ]
    write_worklist(pl.concat(found), tmp_path / "w.csv")
    assert pl.read_csv(tmp_path / "w.csv", infer_schema=False)["行号"].to_list() == ["全批", "2"] * 2


def test_no_problem_gives_an_empty_list(tmp_path: Path) -> None:
    write_worklist(problem_frame([]), tmp_path / "w.xlsx")
    assert cells(tmp_path / "w.xlsx", "问题清单") == [list(LIST_HEADER)]
    assert problem_frame([]).schema == PROBLEM_SCHEMA


def test_nothing_is_left_behind_when_it_cannot_be_written(problems: pl.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\.xlsx or \.csv"):
        write_worklist(problems, tmp_path / "w.parquet")
    for name in ("missing/w.xlsx", "missing/w.csv"):
        with pytest.raises(OSError, match="missing"):
            write_worklist(problems, tmp_path / name)
    assert list(tmp_path.iterdir()) == []
