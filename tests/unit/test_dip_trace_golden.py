"""Telling cases under the sample of the national DIP list, their traces written by hand (tests/golden/traces-dip)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from grouper.dip.compile import CompiledDip, compile_dip
from grouper.dip.trace import explain_dip_case, replay
from grouper.dip.trace_model import DipTrace, LayerWalk, RowStep
from grouper.dip.trace_text import trace_text
from reference_tables.columns import case_schema
from reference_tables.packs import DipPack, read_pack
from tests.oracle.dip_sample_pack import sample_pack
from tests.unit.test_trace_golden import agrees

FOLDER = Path(__file__).resolve().parents[1] / "golden" / "traces-dip"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))


@pytest.fixture(scope="module")
def scheme(tmp_path_factory: pytest.TempPathFactory) -> CompiledDip:
    pack = read_pack(sample_pack().write(tmp_path_factory.mktemp("sample")))
    assert isinstance(pack, DipPack)
    return compile_dip(pack)


@pytest.fixture(params=NAMES)
def golden(request: pytest.FixtureRequest) -> dict[str, Any]:
    return json.loads((FOLDER / f"{request.param}.json").read_text(encoding="utf-8"))


@pytest.fixture
def trace(golden: dict[str, Any], scheme: CompiledDip) -> DipTrace:
    return explain_dip_case(pl.DataFrame([golden["case"]], schema=case_schema(golden["case"])), scheme)


def not_failed(layer: LayerWalk) -> str:
    marks = {RowStep.WON: "+", RowStep.OPEN: "?"}
    rows = [row for row in layer.rows if row.step is not RowStep.FAILED]
    return " ".join(row.code + marks.get(row.step, f"<{row.beaten_by}") for row in rows)


def test_there_are_golden_traces() -> None:
    assert len(NAMES) == 9


def test_the_answer(golden: dict[str, Any], trace: DipTrace) -> None:
    answer = trace.to_dict()["answer"]
    assert {name: answer[name] for name in golden["answer"]} == golden["answer"]
    assert replay(trace) == tuple(golden["answer"][name] for name in ("status", "kind", "dip"))


def test_the_procedures(golden: dict[str, Any], trace: DipTrace) -> None:
    assert [[item.code, item.step.value] for item in trace.procedures] == golden["procedures"]


def test_the_layers(golden: dict[str, Any], trace: DipTrace) -> None:
    assert [[layer.code, len(layer.rows), not_failed(layer)] for layer in trace.layers] == golden["layers"]


def test_conditions_of_rows(golden: dict[str, Any], trace: DipTrace) -> None:
    rows = {row["code"]: row["conditions"] for layer in trace.to_dict()["layers"] for row in layer["rows"]}
    for code, given in golden["rows"].items():
        assert agrees(given, rows[code]), (code, rows[code])


def test_the_mixed_group(golden: dict[str, Any], trace: DipTrace) -> None:
    assert agrees(golden["mixed"], trace.to_dict()["mixed"])


def test_what_each_code_did(golden: dict[str, Any], trace: DipTrace) -> None:
    facts = [*trace.case.diagnoses, *trace.case.procedures]
    assert {fact.code: [[use.row, use.role, use.set] for use in fact.uses] for fact in facts} == golden["uses"]


def test_the_text(golden: dict[str, Any], trace: DipTrace) -> None:
    lines = trace_text(trace).splitlines()
    missing = [line for line in golden["text"] if line not in lines]
    assert not missing, (missing, lines)
