"""What must hold of quality control whatever the cases: blocks, order and neighbours do not matter."""

from __future__ import annotations

import datetime
import random
from typing import Any

import polars as pl
import pytest

from grouper.validate import Validation, validate_blocks, validate_cases
from reference_tables.codes import load_code_books
from reference_tables.problems import Level
from tests.unit.quality_examples import frame

CASES = 400
START = datetime.datetime.fromisoformat("2026-01-01T08:00")
SENSITIVE_DX = [
    "", "I10.x00", "I10.X00X002", "K80.199", "M8140/3", "B95.600", "T31.900", "I50.900x008", "N70.900", "N40.x00",
    "P07.001", "O80.000", "Z37.000x001", "O26.900x403", "K80.200x001", "K81.000", "T21.200", "Z51.102", "R07.400",
    "S06.000", "V29.600",
]  # fmt: skip
SENSITIVE_PX = [
    "", "3.0900", "81.0000", "17.4200", "00.4500", "81.0801", "36.0700", "54.2100", "51.2300", "88.7601", "96.7201",
    "74.1x01",
]  # fmt: skip


def some_case(at: int, draw: random.Random) -> dict[str, Any]:
    """A case with a good chance of breaking some rules."""
    books = load_code_books()
    usual_dx, usual_px = (book.frame["code"] for book in (books.diagnosis, books.procedure))

    def codes(usual: pl.Series, sensitive: list[str], most: int) -> list[str]:
        chosen = [
            draw.choice(sensitive) if draw.random() < 0.5 else usual[draw.randrange(len(usual))]
            for _ in range(draw.randint(0, most))
        ]
        return chosen[:1] + [code for code in chosen[1:] if code]

    age = draw.choice([None, 0, 0, 1, 9, 30, 45, 61, 131])
    admission = START + datetime.timedelta(hours=draw.randint(0, 2000))
    procedures = codes(usual_px, SENSITIVE_PX, 4)
    return {
        "case_id": draw.choice([f"C{at}", f"C{at}", f"C{at // 7}", None]),
        "person_id": f"p{draw.randint(0, CASES // 3)}",
        "sex": draw.choice([1, 2, 1, 2, 9, None]),
        "age_years": age,
        "age_days": draw.choice([None, 0, 28, 29, 400]),
        "newborn_birth_weight_g": draw.choice([None, None, 990, 2500, 3205]),
        "los_days": draw.choice([None, 0, 3, 61]) if at > CASES // 2 else None,
        "discharge_way": draw.choice(["1", "5", "9", "x"]),
        "diagnoses": codes(usual_dx, SENSITIVE_DX, 6),
        "procedures": procedures,
        "px_begin": [draw.choice([None, admission, admission - datetime.timedelta(days=3)]) for _ in procedures],
        "admission_time": draw.choice([None, admission, admission]),
        "discharge_time": admission + datetime.timedelta(hours=draw.randint(-5, 300)),
        "total_cost_fen": draw.choice([None, -1, 0, 499, 100000]),
        "ventilator_minutes": draw.choice([None, 0, 5759, 5760]),
    }


@pytest.fixture(scope="module")
def records() -> list[dict[str, Any]]:
    draw = random.Random(20260301)
    return [some_case(at, draw) for at in range(CASES)]


@pytest.fixture(scope="module")
def whole(records: list[dict[str, Any]]) -> Validation:
    found = validate_cases(frame(records))
    assert found.problems["code"].n_unique() > 40
    return found


@pytest.mark.parametrize(("size", "cases"), [(1, 40), (37, CASES), (250, CASES)])
def test_any_cut_into_blocks_gives_the_same_answer(records: list[dict[str, Any]], size: int, cases: int) -> None:
    batch = frame(records[-cases:])
    cut, whole = validate_blocks(batch.iter_slices(size)), validate_cases(batch)
    assert cut.problems.equals(whole.problems)
    assert cut.not_applied == whole.not_applied
    assert cut.partly_applied == whole.partly_applied


def test_the_order_of_the_cases_does_not_matter(records: list[dict[str, Any]], whole: Validation) -> None:
    """Rows move; what is wrong with a case stays. Which of two overlapping stays is told follows their times."""
    cases = frame(records).with_columns(at=pl.int_range(pl.len()))
    shuffled = cases.sample(fraction=1.0, shuffle=True, seed=5)
    moved = shuffled.drop("at").with_columns(row=pl.int_range(2, pl.len() + 2, dtype=pl.UInt32))
    back = pl.DataFrame({"row": moved["row"], "origin": shuffled["row"]})
    found = validate_cases(moved).problems.join(back, on="row", how="left")
    told = ("code", "level", "field", "value")
    again = found.select(pl.col("origin").fill_null(0).alias("row"), *told)
    assert again.sort(again.columns).equals(whole.problems.select("row", *told).sort("row", *told))


def test_a_case_alone_breaks_the_rules_it_breaks_in_company(records: list[dict[str, Any]], whole: Validation) -> None:
    """Rules about single cases; A07, C12 and E03 are about the batch, and los_days has values only in some cases."""
    cases = frame(records)
    batch = ["A07", "C12", "E03"]
    told = ("row", "code", "level", "value", "message")
    for at in range(0, CASES, 9):
        case = cases[at]
        if case["los_days"][0] is not None and case["newborn_birth_weight_g"][0] is not None:
            alone = validate_cases(case).problems.select(told)
            company = whole.problems.filter(pl.col("row") == case["row"][0]).select(told)
            assert alone.filter(~pl.col("code").is_in(batch)).equals(company.filter(~pl.col("code").is_in(batch)))


def test_problems_stand_by_row_then_rule_and_rejected_rows_are_those_with_a_reject(whole: Validation) -> None:
    keys = whole.problems.select("row", "code")
    assert keys.equals(keys.sort("row", "code"))
    rejected = {row for row, level in whole.problems.select("row", "level").rows() if level == Level.REJECT}
    assert whole.rejected.to_list() == sorted(rejected)
    assert whole.rejected.dtype == pl.UInt32


def test_the_order_of_other_codes_decides_no_rule(records: list[dict[str, Any]], whole: Validation) -> None:
    """Which of several codes is named may change with their order; whether a case breaks a rule may not."""
    turned = [
        {
            **record,
            "diagnoses": record["diagnoses"][:1] + record["diagnoses"][:0:-1],
            "procedures": record["procedures"][:1] + record["procedures"][:0:-1],
            "px_begin": record["px_begin"][:1] + record["px_begin"][:0:-1],
        }
        for record in records
    ]
    broken = validate_cases(frame(turned)).problems.select("row", "code", "level").unique()
    before = whole.problems.select("row", "code", "level").unique()
    assert broken.sort(broken.columns).equals(before.sort(before.columns))
