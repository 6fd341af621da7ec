"""Parquet: list columns and joined texts, foreign number types, canonical frames written and read again."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from grouper.intake import read_cases
from tests.unit.intake_files import flat, read, refusal, told, write
from tests.unit.test_intake_flat import LONG

LINES = ["1,1,45,,,5,1,A00.1|B01,C", "2,2,0,3,2500,4,5,P36.900,", "3,1,70,,,12,2,|B|C,D|E"]


def parquet(folder: Path, frame: pl.DataFrame) -> Path:
    path = folder / "cases.parquet"
    frame.write_parquet(path)
    return path


def typed() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "case_id": ["1", "2", "3"], "sex": [1, 2, 1], "age": [45.0, 0.5, None], "age_days": [None, 3, None],
            "weight": [None, 2500, None], "los_days": [5, 4, 12], "discharge_way": ["1", "5", "2"],
            "diagnoses": [["A00.1", "B01"], ["P36.900"], ["", "B", "C"]], "procedures": [["C"], [], ["D", "E"]],
        }
    )  # fmt: skip


@pytest.mark.parametrize("size", [1, 2, 100])
def test_list_columns_and_joined_columns_mean_the_same(tmp_path: Path, size: int) -> None:
    lists = typed()
    joined = lists.with_columns(pl.col("diagnoses", "procedures").list.join("|"))
    expected, _ = flat(tmp_path, *LINES)
    expected = expected.with_columns(
        row=pl.int_range(1, 4, dtype=pl.UInt32), age_years=pl.Series([45, 0, None], dtype=pl.Int32)
    )
    for frame in (lists, joined):
        cases, problems = read(parquet(tmp_path, frame), block_rows=size)
        assert problems.is_empty()
        assert cases.equals(expected)


def test_lists_beside_a_principal_mean_the_same_as_joined_texts(tmp_path: Path) -> None:
    whole, _ = read(parquet(tmp_path, typed()))
    apart = typed().drop("diagnoses").with_columns(principal_dx=pl.Series(["A00.1", "P36.900", None]))
    others = [["B01"], [], ["B", None, "C"]]
    kinds: list[pl.DataType] = [pl.List(pl.String), pl.List(pl.Categorical), pl.List(pl.Binary)]
    for dtype in kinds:
        values = pl.Series(others, dtype=pl.List(pl.String)).cast(dtype)
        cases, problems = read(parquet(tmp_path, apart.with_columns(other_dx=values)))
        assert problems.is_empty()
        assert cases.equals(whole)
    two = pl.Series([["B01", None], [None, None], ["B", "C"]], dtype=pl.Array(pl.String, 2))
    assert read(parquet(tmp_path, apart.with_columns(other_dx=two)))[0].equals(whole)


def test_columns_of_which_no_text_is_made_are_refused_by_name(tmp_path: Path) -> None:
    strange = typed().with_columns(
        discharge_way=pl.Series([["1"], ["5"], ["2"]]),
        age=pl.Series([dt.timedelta(days=1)] * 3),
        diagnoses=pl.Series([[{"code": "A"}]] * 3),
    )
    told = [(problem.code, problem.field) for problem in refusal(parquet(tmp_path, strange))]
    assert sorted(told) == [("IN14", "age"), ("IN14", "diagnoses"), ("IN14", "discharge_way")]
    both = refusal(parquet(tmp_path, strange.drop("sex")))
    assert {problem.code for problem in both} == {"IN06", "IN14"}
    octets = typed().with_columns(case_id=pl.Series([b"1", b"2", b"\xff"]))
    refused = refusal(parquet(tmp_path, octets))
    assert [(problem.code, problem.args["column"]) for problem in refused] == [("IN14", "case_id")]


@pytest.mark.parametrize("dtype", [pl.Int8, pl.UInt64, pl.Float32, pl.String, pl.Categorical])
def test_number_types_of_other_writers(tmp_path: Path, dtype: type[pl.DataType]) -> None:
    sexes = pl.Series([1, 2, None]).cast(pl.String if dtype in (pl.String, pl.Categorical) else dtype).cast(dtype)
    cases, problems = read(parquet(tmp_path, typed().with_columns(sex=sexes)))
    assert cases["sex"].to_list() == [1, 2, None]
    assert problems.is_empty()


def test_bad_numbers_are_told(tmp_path: Path) -> None:
    frame = typed().with_columns(los_days=pl.Series([5.5, float("nan"), 1e12]), sex=pl.Series([1, 1000, 2]))
    cases, problems = read(parquet(tmp_path, frame))
    assert cases["los_days"].to_list() == [None, None, None]
    assert cases["sex"].to_list() == [1, None, 2]
    assert [(row, code, field) for row, code, field, _ in told(problems)] == [
        (1, "IN31", "los_days"), (2, "IN32", "sex"), (3, "IN32", "los_days"),
    ]  # fmt: skip


def test_items_are_trimmed_and_empty_ones_dropped(tmp_path: Path) -> None:
    dirty = [[" A ", "", None, "\u3000B\u00a0"], None, ["", " "]]
    cases, _ = read(parquet(tmp_path, typed().with_columns(diagnoses=pl.Series(dirty, dtype=pl.List(pl.String)))))
    assert cases["diagnoses"].to_list() == [["A", "B"], [], []]
    for blank in (" ", "\t", "\n", "\u3000", "\u00a0"):
        lists = pl.Series([["A" + blank], [blank + "B"], ["C"]])
        cases, _ = read(parquet(tmp_path, typed().with_columns(diagnoses=lists)))
        assert cases["diagnoses"].to_list() == [["A"], ["B"], ["C"]]


@pytest.mark.parametrize(
    ("cost", "fen"),
    [
        (pl.Series([0.29, 1e3, None]), [29, 100_000, None]),
        (pl.Series([Decimal("0.29"), Decimal("10.10"), None]), [29, 1010, None]),
        (pl.Series([7, 8, None]), [700, 800, None]),
        (pl.Series(["0.29", "8.1", None]), [29, 810, None]),
    ],
)
def test_yuan_of_any_type_become_exact_fen(tmp_path: Path, cost: pl.Series, fen: list[int | None]) -> None:
    cases, problems = read(parquet(tmp_path, typed().with_columns(cost=cost)))
    assert cases["total_cost_fen"].to_list() == fen
    assert problems.is_empty()


def test_dates_and_times(tmp_path: Path) -> None:
    frame = typed().with_columns(
        birth_date=pl.Series([dt.date(1980, 5, 5)] * 3),
        admission_time=pl.Series(["2026-03-01 08:00:00"] * 3).str.to_datetime(time_unit="ns"),
        discharge_time=pl.Series([dt.date(2026, 3, 5)] * 3),
    )
    cases, problems = read(parquet(tmp_path, frame))
    assert problems.is_empty()
    row = cases.row(0, named=True)
    assert [row[name].isoformat() for name in ("birth_date", "admission_time", "discharge_time")] == [
        "1980-05-05", "2026-03-01T08:00:00", "2026-03-05T00:00:00",
    ]  # fmt: skip


def test_canonical_frames_come_back_as_they_were(tmp_path: Path) -> None:
    first, _ = read(write(tmp_path, LONG + "3,x\n"))
    assert first["defect"].to_list() == [None, None, "IN20"]
    again, problems = read(parquet(tmp_path, first))
    assert problems.is_empty()
    assert again.drop("row").equals(first.drop("row"))
    assert "total_cost_fen" in next(read_cases(tmp_path / "cases.parquet")).source.columns
    few, _ = read(tmp_path / "cases.parquet", columns="grouping")
    assert few["defect"].to_list() == [None, None, "IN20"]
    assert few.equals(again.select(few.columns))


def test_a_parquet_file_that_lacks_columns_or_data(tmp_path: Path) -> None:
    assert [problem.field for problem in refusal(parquet(tmp_path, typed().drop("sex")))] == ["sex"]
    assert refusal(parquet(tmp_path, typed().head(0)))[0].code == "IN03"
    damaged = parquet(tmp_path, pl.concat([typed()] * 1000))
    data = damaged.read_bytes()
    damaged.write_bytes(data[:200] + b"\0" * 400 + data[600:])
    assert refusal(damaged)[0].code == "IN01"
