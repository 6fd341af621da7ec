"""Every quality rule on worked examples that break it and that do not."""

from __future__ import annotations

import polars as pl
import pytest

from grouper.quality.registry import IMPLEMENTED
from grouper.validate import BatchValidator, validate_blocks, validate_cases
from reference_tables.columns import columns
from reference_tables.problems import PROBLEM_SCHEMA
from tests.unit.quality_examples import Example, base, examples, frame

ALL = list(examples())
BREAKING = [example for example in ALL if example.breaks]
# Examples about single cases: E03 is about the batch as a whole, results are given for each row.
ALONE = [example for example in BREAKING if example.rule != "E03" and "grouped" not in example.body]
PASSING = [example for example in ALL if not example.breaks]


@pytest.mark.parametrize("example", BREAKING, ids=lambda example: example.label)
def test_a_case_that_breaks_the_rule_is_reported(example: Example) -> None:
    found = example.validate().problems.filter(pl.col("code") == example.rule)
    assert found.height >= 1
    first, expected = found.row(0, named=True), example.body
    assert found.height == expected.get("count", found.height)
    assert first["value"] == expected.get("value", first["value"])
    assert first["level"] == expected.get("level", first["level"])
    assert expected.get("says", "") in first["message"]


@pytest.mark.parametrize("example", PASSING, ids=lambda example: example.label)
def test_a_case_that_keeps_the_rule_is_not_reported(example: Example) -> None:
    validation = example.validate()
    assert example.rule not in validation.not_applied, "the example must let the rule be applied"
    assert validation.problems.filter(pl.col("code") == example.rule).is_empty()


@pytest.mark.parametrize("example", BREAKING, ids=lambda example: example.label)
def test_a_problem_says_where_what_and_how_to_mend(example: Example) -> None:
    batch = example.cases()
    for problem in example.validate().problems.filter(pl.col("code") == example.rule).iter_rows(named=True):
        assert problem["file"] == "cases.csv"
        assert problem["field"] in columns()
        assert problem["message"]
        assert problem["fix"]
        assert not any(mark in problem["message"] + problem["fix"] for mark in "{}")
        if problem["row"]:
            case = batch.row(by_predicate=pl.col("row") == problem["row"], named=True)
            assert problem["case_id"] == (case["case_id"] or "")


def test_every_implemented_rule_has_examples_of_both_kinds() -> None:
    assert {example.rule for example in BREAKING} == IMPLEMENTED
    assert {example.rule for example in PASSING} == IMPLEMENTED


def test_a_full_clean_case_breaks_no_rule() -> None:
    validation = validate_cases(frame([base()["full"]]))
    assert validation.problems.rows() == []
    assert validation.rejected.to_list() == []


@pytest.mark.parametrize("example", ALONE, ids=lambda example: example.label)
def test_other_cases_and_their_order_do_not_matter(example: Example) -> None:
    alone = example.cases()
    clean = {name: base()["full"].get(name) for name in alone.columns}
    others = frame([{**clean, "case_id": f"X{at}", "person_id": f"x{at}", "record_no": f"99999{at}"} for at in (1, 2)])
    others = others.select(alone.columns)
    mixed = pl.concat([others[:1], alone.reverse(), others[1:]]).with_columns(
        row=pl.int_range(2, pl.len() + 2, dtype=pl.UInt32)
    )
    told = ("case_id", "code", "level", "field", "value")
    found = example.validate(mixed).problems.filter(~pl.col("case_id").is_in(["X1", "X2"])).select(told)
    assert found.sort(told).equals(example.validate().problems.select(told).sort(told))


def test_blocks_of_any_size_give_the_same_problems() -> None:
    batches = [example for example in BREAKING if example.body.get("with_cases")]
    for example in batches:
        cases = example.cases()
        whole = validate_cases(cases)
        parts = validate_blocks(cases.iter_slices(1))
        assert whole.problems.equals(parts.problems), example.label
        assert whole.not_applied == parts.not_applied


def test_a_block_alone_is_answered_before_the_batch_ends() -> None:
    validator = BatchValidator(file="a.csv")
    problems = validator.add(frame([{**base()["plain"], "sex": 9}]))
    assert problems.schema == PROBLEM_SCHEMA
    assert problems["code"].to_list() == ["A03"]
    assert validator.finish().problems.is_empty()
