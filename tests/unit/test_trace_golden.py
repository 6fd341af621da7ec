"""Telling cases under CHS-DRG 1.1, their traces written by hand from the rules (tests/golden/traces)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from grouper.schemes import open_scheme
from grouper.trace import explain_case, replay
from grouper.trace_model import Trace
from grouper.trace_text import trace_text
from reference_tables.columns import case_schema

FOLDER = Path(__file__).resolve().parents[1] / "golden" / "traces"
MARKS = {"FAILED": "-", "PASSED_OVER": ">", "OPENED": "+", "TAKEN": "+"}
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))


@pytest.fixture(params=NAMES)
def golden(request: pytest.FixtureRequest) -> dict[str, Any]:
    return json.loads((FOLDER / f"{request.param}.json").read_text(encoding="utf-8"))


@pytest.fixture
def trace(golden: dict[str, Any]) -> Trace:
    frame = pl.DataFrame([golden["case"]], schema=case_schema(golden["case"]))
    return explain_case(frame, open_scheme("chs-drg-1.1"))


def agrees(given: Any, found: Any) -> bool:
    """Every field that is given, at any depth, is found with the same value."""
    if isinstance(given, dict):
        return all(name in found and agrees(value, found[name]) for name, value in given.items())
    if isinstance(given, list):
        return len(given) == len(found) and all(agrees(*pair) for pair in zip(given, found, strict=True))
    return bool(given == found)


def test_there_are_golden_traces() -> None:
    assert len(NAMES) == 7


def test_the_answer(golden: dict[str, Any], trace: Trace) -> None:
    answer = trace.to_dict()["answer"]
    assert {name: answer[name] for name in golden["answer"]} == golden["answer"]
    assert replay(trace) == tuple(golden["answer"][name] for name in ("mdc", "adrg", "drg"))


def test_the_rows_tried(golden: dict[str, Any], trace: Trace) -> None:
    rows = [row for walk in trace.walks for row in walk.rows]
    assert " ".join(f"{row.code}{MARKS[row.step]}" for row in rows) == golden["tried"]


def test_what_decided_a_row(golden: dict[str, Any], trace: Trace) -> None:
    rows = {row["code"]: row for walk in trace.to_dict()["walks"] for row in walk["rows"]}
    for code, given in golden["rows"].items():
        grounds = [rows[code]["atoms"][place] for place in rows[code]["grounds"]]
        assert agrees(given, grounds), (code, grounds)


def test_complications(golden: dict[str, Any], trace: Trace) -> None:
    found = [
        [item.place, item.code, item.level, item.table, item.excluded, item.decided] for item in trace.complications
    ]
    assert found == golden["complications"]


def test_what_each_code_did(golden: dict[str, Any], trace: Trace) -> None:
    facts = [*trace.case.diagnoses, *trace.case.procedures]
    assert {fact.code: [[use.row, use.role, use.set] for use in fact.uses] for fact in facts} == golden["uses"]


def test_the_text(golden: dict[str, Any], trace: Trace) -> None:
    lines = trace_text(trace).splitlines()
    missing = [line for line in golden["text"] if line not in lines]
    assert not missing, (missing, lines)
