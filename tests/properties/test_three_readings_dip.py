"""Batch, single case and explanation are three readings of one DIP scheme: on every case they say the same."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from grouper.dip.compile import CompiledDip
from grouper.dip.trace import explain_dip_case, replay
from grouper.dip.trace_model import ConditionStep, DipTrace, RowStep
from grouper.dip.trace_text import trace_text
from grouper.engine import group_cases
from grouper.single import group_one
from reference_tables.dip_pack import dip_schema
from tests.differential.dip_compare import frame_of, scheme_of
from tests.oracle.difficult_dip import DifficultDipCases
from tests.oracle.dip_case import DipCase
from tests.oracle.dip_sample_pack import sample_pack
from tests.oracle.random_dip_packs import random_dip_pack

SINGLE_COLUMNS = (
    "status", "reason", "reason_zh", "kind", "layer", "dip", "name", "base_score", "auxiliary", "factor", "score",
    "primary_care", "rows_fit",
)  # fmt: skip
TRACE_COLUMNS = tuple(name for name in SINGLE_COLUMNS if name != "reason_zh")


def assert_three_agree(cases: list[DipCase], scheme: CompiledDip) -> list[DipTrace]:
    """Group, group one by one, explain and replay every case; returns the traces."""
    frame = frame_of(cases)
    batch = group_cases(frame, scheme)
    single = [tuple(group_one(record, scheme)) for record in frame.iter_rows(named=True)]
    assert single == list(batch.select(SINGLE_COLUMNS).iter_rows())
    traces = [explain_dip_case(frame[at], scheme) for at in range(frame.height)]
    explained = [tuple(getattr(trace.answer, name) for name in TRACE_COLUMNS) for trace in traces]
    assert explained == list(batch.select(TRACE_COLUMNS).iter_rows())
    assert ["|".join(trace.answer.used_codes) for trace in traces] == batch["used_codes"].to_list()
    assert [replay(trace) for trace in traces] == list(batch.select("status", "kind", "dip").iter_rows())
    return traces


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(sample_pack().write(tmp_path_factory.mktemp("sample")))


@pytest.fixture(scope="module")
def traces(sample: str) -> list[DipTrace]:
    cases = list(DifficultDipCases(sample).cases(400, 41))
    return assert_three_agree(cases, scheme_of(sample))


def test_the_sample_of_the_national_list(traces: list[DipTrace]) -> None:
    assert len({trace.answer.dip for trace in traces}) > 100
    assert {trace.answer.kind for trace in traces} == {"core", "mixed", ""}
    assert any(trace.answer.rows_fit > 1 for trace in traces)


@pytest.mark.parametrize("seed", range(10))
def test_random_packs(tmp_path: Path, seed: int) -> None:
    folder = random_dip_pack(seed).write(tmp_path)
    cases = list(DifficultDipCases(folder).cases(200, seed))
    assert_three_agree(cases, scheme_of(str(folder)))


def test_the_steps_of_a_trace_fit_together(traces: list[DipTrace]) -> None:
    for trace in traces:
        for layer in trace.layers:
            states = {row.step: {item.step for item in row.conditions} for row in layer.rows}
            for step, found in states.items():
                assert (step is RowStep.FAILED) == (ConditionStep.NOT_MET in found)
                assert (step is RowStep.OPEN) <= (ConditionStep.UNKNOWN in found)
            assert all(bool(row.beaten_by) == (row.step is RowStep.BEATEN) for row in layer.rows)
            fitting = sum(row.step in (RowStep.WON, RowStep.BEATEN) for row in layer.rows)
            assert layer.rows_fit in (0, fitting)
        if trace.answer.kind == "core":
            (won,) = [row for layer in trace.layers for row in layer.rows if row.step is RowStep.WON]
            assert (won.code, won.layer) == (trace.answer.dip, trace.layers[-1].code)
        assert (trace.mixed is not None) == bool(trace.no_core)


def test_rows_are_tried_in_the_order_of_the_pack(traces: list[DipTrace]) -> None:
    for trace in traces:
        places = [row.place for layer in trace.layers for row in layer.rows]
        assert places == sorted(set(places))


def test_a_trace_is_json(traces: list[DipTrace]) -> None:
    for trace in traces:
        plain = trace.to_dict()
        assert orjson.loads(orjson.dumps(plain)) == plain


@pytest.mark.parametrize("full", [False, True])
def test_the_text_names_the_answer_and_every_code(traces: list[DipTrace], full: bool) -> None:
    labels = set(dip_schema().natures.values())
    for trace in traces:
        text = trace_text(trace, full=full)
        assert trace.answer.dip in text
        assert all(fact.code.strip() in text for fact in (*trace.case.diagnoses, *trace.case.procedures))
        assert trace.mixed is None or trace.mixed.label in labels
