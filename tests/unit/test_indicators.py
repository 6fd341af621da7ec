"""Indicators against numbers worked out by hand, and what must hold for any cases."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from budget.consumption import consumption_terms, exact_indices, shown_indices
from budget.indicators import CASE_COLUMNS, LEVELS, add_cells, case_cells, unit_indicators
from reference_tables.indicator_rules import indicator_rules

RULES = indicator_rules()


def case(hospital: str, group: str, yuan: int | None, days: int | None, **other: Any) -> dict[str, Any]:
    base = {"hospital_id": hospital, "hospital_name": f"{hospital}医院", "department": "内科", "group": group,
            "name": f"{group}组", "status": "GROUPED", "kind": "", "weight": "1", "cost_fen": yuan and yuan * 100,
            "los_days": days, "case_kind": "normal", "fund_fen": 0}  # fmt: skip
    return base | other


def frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    text = {name: pl.String if name == "weight" else dtype for name, dtype in CASE_COLUMNS.items()}
    return pl.DataFrame(rows, schema=text).cast(CASE_COLUMNS)


def units(rows: list[dict[str, Any]], level: str, scheme: Any = "DRG", *, priced: bool = True) -> list[dict[str, Any]]:
    found = unit_indicators(case_cells(frame(rows), scheme, RULES), level, scheme, RULES, priced=priced)
    return found.rows(named=True)


# Region: GB11 costs 1000, 2000, 3000 (mean 2000) and takes 4, 6, 8 days (mean 6); ES21 costs 500, 1500 (mean 1000) and
# takes 2, 8 days (mean 5).
CASES = [
    case("A", "GB11", 1000, 4, weight="2.5", department="外科", fund_fen=60_000),
    case("A", "GB11", 2000, 6, weight="2.5", department="外科", case_kind="high", fund_fen=90_000),
    case("A", "ES21", 500, 2, weight="0.8125", case_kind="low", fund_fen=20_000),
    case("B", "GB11", 3000, 8, weight="2.5", department="外科", case_kind="extreme", fund_fen=100_000),
    case("B", "ES21", 1500, 8, weight="0.8125", case_kind="special", fund_fen=80_000),
    case("B", "EQY", 700, 3, status="AMBIGUOUS", weight="0.5", case_kind="ambiguous", fund_fen=30_000),
    case("B", "0000", 300, None, status="UNGROUPED", weight=None, case_kind="by_item", fund_fen=20_000),
    case("B", "0000", None, 5, status="INVALID", weight=None, case_kind="unpaid"),
    case("B", "GB11", 9999, 9, status="DUPLICATE", case_kind="unpaid"),
]


def test_a_hospital_beside_the_region() -> None:
    first, second = units(CASES, "hospital")
    assert (first["hospital_id"], first["hospital_name"], first["department"], first["group"]) == ("A", "A医院", "", "")
    assert (first["cases"], first["grouped_cases"], first["groups"]) == (3, 3, 2)
    # 2.5 + 2.5 + 0.8125 = 5.8125; a third of it 1.9375.
    assert (first["total_weight"], first["cmi"]) == ("5.8125", "1.9375")
    # GB11: 1500 / 2000 twice, ES21: 500 / 1000 once: (1.5 + 0.5) / 3. Days: 5 / 6 twice, 2 / 5 once: 2.0667 / 3.
    assert (first["cost_index"], first["time_index"]) == ("0.6667", "0.6889")
    # 3500 / 3; 12 / 3.
    assert (first["mean_cost"], first["mean_stay"]) == ("1166.67", "4.00")
    assert (first["low_rate"], first["high_rate"], first["ambiguous_rate"]) == ("0.3333", "0.3333", "0.0000")
    # G B 1 1: B is a letter of the surgical part; E S 2 1: S of the medical one.
    assert (first["surgical_share"], first["nonoperative_share"], first["medical_share"]) == (
        "0.6667", "0.0000", "0.3333",
    )  # fmt: skip
    assert (first["case_based_cost_share"], first["case_based_fund_share"]) == ("1.0000", "1.0000")
    assert (second["cases"], second["grouped_cases"], second["groups"]) == (5, 2, 2)
    # 2.5 + 0.8125 + 0.5 over three cases with a weight: 1.270833.
    assert (second["total_weight"], second["cmi"]) == ("3.8125", "1.2708")
    # 1.5 and 1.5; 8 / 6 and 8 / 5: 2.9333 / 2.
    assert (second["cost_index"], second["time_index"]) == ("1.5000", "1.4667")
    # 5500 / 4 and 24 / 4: neither the cost nor the stay that is unknown counts.
    assert (second["mean_cost"], second["mean_stay"]) == ("1375.00", "6.00")
    assert (second["low_rate"], second["high_rate"]) == ("0.0000", "0.2000")
    assert [second[f"{name}_rate"] for name in ("ambiguous", "ungrouped", "invalid")] == ["0.2000"] * 3
    # By group: 3000 + 700 of 5500; fund 1000 + 300 of 2300.
    assert (second["case_based_cost_share"], second["case_based_fund_share"]) == ("0.6727", "0.5652")


def test_the_region_departments_and_groups() -> None:
    (region,) = units(CASES, "region")
    assert (region["level"], region["cases"], region["cost_index"], region["time_index"]) == (
        "region", 8, "1.0000", "1.0000",
    )  # fmt: skip
    departments = units(CASES, "department")
    assert [(row["hospital_id"], row["department"], row["cases"]) for row in departments] == [
        ("A", "内科", 1), ("A", "外科", 2), ("B", "内科", 4), ("B", "外科", 1),
    ]  # fmt: skip
    assert [row["cost_index"] for row in departments] == ["0.5000", "0.7500", "1.5000", "1.5000"]
    groups = {row["group"]: row for row in units(CASES, "group")}
    assert [(code, row["name"], row["cases"]) for code, row in groups.items()] == [
        ("0000", "0000组", 2), ("EQY", "EQY组", 1), ("ES21", "ES21组", 2), ("GB11", "GB11组", 3),
    ]  # fmt: skip
    assert groups["GB11"]["mean_cost"] == "2000.00"
    # No grouped case, hence no index; no case with a weight, hence no CMI.
    assert [groups["0000"][name] for name in ("cost_index", "time_index", "cmi")] == [None, None, None]
    assert groups["EQY"]["cost_index"] is None


def test_what_dip_and_unpriced_cases_have() -> None:
    rows = [
        case("A", "A01.0:", 100, 1, kind="core", weight="1200", fund_fen=None),
        case("A", "A01.0:", 300, 3, kind="mixed", weight="900", fund_fen=None),
    ]
    (region,) = units(rows, "region", "DIP")
    assert (region["total_weight"], region["cmi"], region["mixed_share"]) == ("2100.0000", "1.0500", "0.5000")
    assert "surgical_share" not in region
    assert region["case_based_fund_share"] is None
    (unpriced,) = units(rows, "region", "DIP", priced=False)
    assert "low_rate" not in unpriced
    assert "case_based_cost_share" not in unpriced


def test_no_cases() -> None:
    (region,) = units([], "region")
    assert (region["cases"], region["cmi"], region["cost_index"], region["mean_cost"]) == (0, None, None, None)
    assert units([], "hospital") == []


def test_a_half_is_decided_exactly() -> None:
    schema = {
        "unit": pl.String,
        "unit_amount": pl.Int64,
        "unit_cases": pl.Int64,
        "all_amount": pl.Int64,
        "all_cases": pl.Int64,
    }

    def shown(*parts: tuple[int, int, int, int]) -> str:
        terms = pl.DataFrame([("u", *part) for part in parts], schema=schema, orient="row")
        assert exact_indices(terms, ["unit"]) == {
            ("u",): sum(Fraction(a * n, s) for a, _, s, n in parts) / sum(m for _, m, _, _ in parts)
        }
        return shown_indices(terms, ["unit"], 4)["u",]

    # 1/3 + 2/3 + 0.0001 = 1.0001; over two cases exactly 0.50005, which goes up though both thirds are cut off.
    assert shown((1, 1, 3, 1), (2, 1, 3, 1), (1, 0, 10_000, 1)) == "0.5001"
    assert shown((1, 1, 3, 1), (2, 1, 3, 1), (999_999, 0, 10**10, 1)) == "0.5000"
    whole = pl.DataFrame([part[1:] for part in [("u", 1, 1, 3, 1), ("u", 2, 1, 3, 1), ("u", 1, 0, 10_000, 1)]],
                         schema=list(schema)[1:], orient="row")  # fmt: skip
    assert shown_indices(whole, [], 4) == {(): "0.5001"}


GROUPS, DEPARTMENTS = st.sampled_from(["GB11", "ES21", "RU14", "EQY"]), st.sampled_from(["内科", "外科", None])
AMOUNTS, DAYS = st.none() | st.integers(0, 10**7), st.none() | st.integers(0, 90)
ROWS = st.lists(st.tuples(st.sampled_from("ABC"), DEPARTMENTS, GROUPS, AMOUNTS, DAYS), min_size=1, max_size=40)


def made(rows: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
    return [
        case(hospital, group, yuan, days, department=department, status="AMBIGUOUS" if group == "EQY" else "GROUPED")
        for hospital, department, group, yuan, days in rows
    ]


@given(ROWS, st.randoms(use_true_random=False), st.integers(0, 40))
def test_order_and_cuts_do_not_matter(rows, random, cut) -> None:
    cases = made(rows)
    whole = case_cells(frame(cases), "DRG", RULES)
    random.shuffle(cases)
    parts = [case_cells(frame(part), "DRG", RULES) for part in (cases[:cut], cases[cut:])]
    assert add_cells(parts).equals(whole)
    assert add_cells([whole]).equals(whole)


@given(ROWS)
@pytest.mark.parametrize(("amount", "count"), [("index_cost", "index_costed"), ("index_days", "index_stayed")])
def test_the_region_is_one_and_the_mean_of_its_parts(amount, count, rows) -> None:
    cells = case_cells(frame(made(rows)), "DRG", RULES)
    for by in LEVELS.values():
        terms = consumption_terms(cells, by, amount, count)
        if terms.is_empty():
            continue
        indices = exact_indices(terms, by)
        sizes: dict[tuple[str, ...], int] = {}
        for *key, size in terms.select(*by, "unit_cases").iter_rows():
            sizes[tuple(key)] = sizes.get(tuple(key), 0) + size
        assert sum(indices[key] * sizes[key] for key in sizes) / sum(sizes.values()) == 1
    whole = consumption_terms(cells, (), amount, count)
    assert shown_indices(whole, (), 4) == ({(): "1.0000"} if whole.height else {})
