"""The years and costs of a history, what is put aside and what is refused."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from grouper.catalog.history import (
    HistoryBlock,
    HistoryRefused,
    catalog_years,
    check_sources,
    read_history,
    set_aside,
    year_remarks,
)
from grouper.catalog.repeats import Repeats, case_hashes, case_names, suspects

HEADER = "case_id,sex,age,diagnoses,procedures,total_cost,discharge_time,settlement_end"


def write(folder: Path, name: str, *lines: str, header: str = HEADER) -> str:
    path = folder / name
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return str(path)


def only(path: str) -> HistoryBlock:
    (block,) = read_history([path])
    return block


def refused(call) -> list[tuple[str, str]]:
    with pytest.raises(HistoryRefused) as caught:
        call()
    return [(problem.code, problem.message) for problem in caught.value.problems]


def test_year_is_that_of_discharge_else_of_settlement(tmp_path: Path) -> None:
    path = write(
        tmp_path, "a.csv",
        "1,1,50,I10.x05,,100.00,2023-12-31 23:59:00,2024-01-05",
        "2,1,50,I10.x05,,100.00,,2024-01-05",
        "3,1,50,I10.x05,,100.00,2025-03-01,",
        "4,1,50,I10.x05,,100.00,,",
    )  # fmt: skip
    assert only(path).year.to_list() == [2023, 2024, 2025, 0]


def test_what_is_put_aside_and_why(tmp_path: Path) -> None:
    path = write(
        tmp_path, "a.csv",
        "1,1,50,I10.x05,,100.00,2023-05-01,",
        "2,1,50,I10.x05,,-12.30,2023-05-01,",
        "3,1,50,I10.x05,,,2023-05-01,",
        "4,1,50,I10.x05,,0,2022-05-01,",
        "5,1,50,I10.x05,,100000000.01,2023-05-01,",
        "6,1,50,I10.x05,,100000000,2024-05-01,",
        "7,1,50,I10.x05,,0.01,,",
    )  # fmt: skip
    counts, problems = set_aside(only(path), [2023, 2024], Repeats().of(0, 7))
    assert counts.to_list() == [True, False, False, False, False, True, False]
    rows = problems.select("row", "case_id", "code", "level", "field", "value", "message").rows()
    assert rows == [
        (3, "2", "DC22", "reject", "total_cost_fen", "-12.30", "总费用为负：-12.30 元，不计入统计"),
        (4, "3", "DC23", "reject", "total_cost_fen", "", "总费用缺失，不计入统计"),
        (5, "4", "DC21", "reject", "discharge_time", "2022", "2022 年的病例不在统计年度 2023、2024 之内，不计入统计"),
        (5, "4", "DC24", "reject", "total_cost_fen", "0", "总费用为零，不计入统计"),
        (6, "5", "DC25", "reject", "total_cost_fen", "100000000.01",
         "总费用 100000000.01 元超过上限 100000000 元，不计入统计"),
        (8, "7", "DC20", "reject", "discharge_time", "", "没有出院时间，也没有结算结束日期，不计入统计"),
    ]  # fmt: skip


def test_files_without_dates_and_costs(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "1,1,50,I10.x05,", header="case_id,sex,age,diagnoses,procedures")
    block = only(path)
    assert (block.year.to_list(), block.cost_fen.to_list(), block.usable.to_list()) == ([0], [None], [False])


def test_years_of_a_catalog() -> None:
    full = {2022: 5, 2023: 9, 2024: 9, 2025: 9, 0: 2}
    assert catalog_years(full, full, None, 3, 1) == (2023, 2024, 2025)
    assert catalog_years(full, full, [2024, 2022], 2, 1) == (2022, 2024)
    assert catalog_years(full, full, None, 1, 1) == (2025,)


def test_a_mistyped_date_moves_no_year() -> None:
    # 5 % of 60 is 3: the two cases of 2026 and the one of 2031 are no years, three cases would be one.
    found = {2023: 40, 2024: 60, 2025: 50, 2026: 2, 2031: 1}
    assert catalog_years(found, found, None, 3, 1) == (2023, 2024, 2025)
    assert catalog_years({**found, 2026: 3}, {**found, 2026: 3}, None, 3, 1) == (2024, 2025, 2026)
    # A gap of one year: the run before it stands.
    gap = {2020: 9, 2021: 9, 2022: 9, 2024: 9, 2025: 9}
    assert catalog_years(gap, gap, None, 3, 1) == (2020, 2021, 2022)


def test_years_asked_for_that_are_thin_are_remarked() -> None:
    found = {2023: 40, 2024: 60, 2025: 50, 2026: 2, 0: 100}
    assert year_remarks(found, [2023, 2024, 2025]) == []
    (problem,) = year_remarks(found, [2024, 2025, 2026])
    assert (problem.code, problem.level.value) == ("DC40", "warn")
    assert problem.message == "2026 年只有 2 例，不到病例最多一年（2024 年 60 例）的 5%"


def test_histories_that_are_refused() -> None:
    assert refused(lambda: catalog_years({}, {}, None, 3, 2)) == [("DC01", "历史病例为空：2 个文件中没有一个病例")]
    assert [code for code, _ in refused(lambda: catalog_years({0: 7}, {0: 7}, None, 3, 1))] == ["DC02"]
    gap = {2023: 4, 2025: 5, 0: 6}
    assert refused(lambda: catalog_years(gap, gap, [2023, 2024, 2025], 3, 1)) == [
        ("DC03", "缺少 2024 年的病例；要求的年度：2023、2024、2025；"
         "文件中有：2023 年 4 例、2025 年 5 例、无出院时间 6 例"),
    ]  # fmt: skip
    assert refused(lambda: catalog_years(gap, gap, None, 3, 1)) == [
        ("DC10", "没有连续 3 年可作统计年度（每年病例数须不少于最多一年的 5%）；"
         "各年病例数：2023 年 4 例、2025 年 5 例、无出院时间 6 例"),
    ]  # fmt: skip
    found = refused(lambda: catalog_years({2025: 5}, {2025: 5}, [2023, 2024, 2025], 3, 1))
    assert [code for code, _ in found] == ["DC03", "DC03"]
    assert refused(lambda: catalog_years({2024: 4, 2025: 5}, {2024: 0, 2025: 5}, None, 2, 1)) == [
        ("DC05", "2024 年没有一个病例的费用可用于统计，共放弃 4 例"),
    ]


def cases_of(*cases: tuple[str | None, str | None]) -> pl.DataFrame:
    return pl.DataFrame({"hospital_id": [case[0] for case in cases], "case_id": [case[1] for case in cases]})


def test_the_same_case_is_that_of_hospital_and_case_id() -> None:
    cases = cases_of(
        ("A", "1"), ("B", "1"), (None, "1"), (" A", "1 "), ("", "1"), (None, None), (None, " "), ("A", "2")
    )
    assert suspects(case_hashes(cases)).to_list() == [True, False, True, True, True, False, False, False]
    without = cases.select("case_id")
    assert suspects(case_hashes(without)).to_list() == [True, True, True, True, True, False, False, False]


def test_later_places_by_file_name_and_row_whatever_the_order_read() -> None:
    # Read in the order b.csv, a.csv; 7 and 8 are suspects whose hashes met by chance.
    names = case_names(cases_of(("H", "1"), ("H", "7"), ("H", "1"), ("H", "8"), ("H", "1")))
    found = Repeats(
        names.with_columns(
            pl.Series("at", [3, 5, 9, 11, 12]),
            pl.Series("file", ["b.csv", "b.csv", "b.csv", "a.csv", "a.csv"]),
            pl.Series("row", [4, 6, 10, 2, 3], dtype=pl.UInt32),
        )
    )
    assert found.of(0, 10).rows() == [(3, "a.csv", 3), (9, "a.csv", 3)]
    assert found.of(4, 6).rows() == [(5, "a.csv", 3)]
    assert found.of(10, 5).rows() == []


def test_the_same_file_twice(tmp_path: Path) -> None:
    line = "1,1,50,I10.x05,,100.00,2023-05-01,"
    (tmp_path / "other").mkdir()
    first, copy = write(tmp_path, "a.csv", line), write(tmp_path, "b.csv", line)
    namesake = write(tmp_path / "other", "a.csv", line.replace("100", "200"))
    assert refused(lambda: check_sources([only(first).source, only(copy).source])) == [
        ("DC04", "与 a.csv 内容完全相同，病例会重复计入"),
    ]
    assert [code for code, _ in refused(lambda: check_sources([only(first).source, only(namesake).source]))] == ["DC08"]


def test_a_file_that_is_no_case_file_stops_the_work(tmp_path: Path) -> None:
    good = write(tmp_path, "a.csv", "1,1,50,I10.x05,,100.00,2023-05-01,")
    (tmp_path / "empty.csv").write_bytes(b"")
    assert [code for code, _ in refused(lambda: list(read_history([good, str(tmp_path / "empty.csv")])))] == ["IN02"]
    assert [code for code, _ in refused(lambda: list(read_history([write(tmp_path, "h.csv")])))] == ["IN03"]
