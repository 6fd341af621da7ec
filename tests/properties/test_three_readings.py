"""Batch, single case and explanation are three readings of one scheme: on every case they say the same."""

from __future__ import annotations

from pathlib import Path

import orjson
import polars as pl
import pytest

from grouper.compile import CompiledScheme
from grouper.engine import group_cases
from grouper.single import group_one
from grouper.terms import Derived
from grouper.trace import explain_case, replay
from grouper.trace_model import CompareResult, MemberResult, Trace
from grouper.trace_text import trace_text
from tests.differential.compare import folder_of, frame_of, scheme_of
from tests.oracle.check_vectors import read_vectors
from tests.oracle.difficult import DifficultCases
from tests.oracle.pack_folder import PackText
from tests.oracle.random_packs import random_pack
from tests.oracle.synthetic_packs import SYNTHETIC_PACKS, build_synthetic_pack, codes

BUILT_IN = "chs-drg-1.1"
GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "chs-drg-1.1.csv.gz"
SINGLE_COLUMNS = ("mdc", "adrg", "drg", "name", "status", "reason", "reason_zh", "severity")
TRACE_COLUMNS = ("status", "reason", "mdc", "adrg", "drg", "name", "severity")

_ALTERNATIVES = " or ".join(f"QTZD in DI_{n} and NL > {10 * n}" for n in range(1, 5))
# Products of alternatives too many to multiply out: such rules stay whole, as derived conditions.
WIDE = PackText(
    mdc=[("MDCB", f"({_ALTERNATIVES}) and not (QTSS in OP_1 and XB = 1 or QTSS in OP_2 and LYFS in LY_1)")],
    adrg=[
        ("BB1", "MDCB", "(ZYSS in OP_1 or QTSS in OP_2 or ZYTS > 9) and (QTSS in OP_1 or QTZD in MCC or ICUXS > 5)"),
        ("BR1", "MDCB", "length(DI_1 ∩ {ZYZD, QTZD}) >= 2 or not (ZYZD in DI_2 or NL < 40 and KS in KS_1)"),
        ("B00", "MDCB", ""),
    ],
    drg=[
        ("BB11", "BB1", f"({_ALTERNATIVES}) and (QTZD in CC or QTZD in DI_3 or ZYTS < 30)"),
        ("BB15", "BB1", "not QTZD in {MCC, CC}"),
        ("BR19", "BR1", ""),
        ("B000", "B00", ""),
    ],
    sets={
        **{f"DI_{n}": codes("K35", 2 * n, 2 * n + 4) for n in range(1, 5)},
        "OP_1": codes("47", 1, 6),
        "OP_2": codes("47", 4, 9),
        "LY_1": ["2", "5"],
        "KS_1": ["0301", "心内科"],
    },
    cc=[(code, "MCC" if n % 2 else "CC", "EX_1" if n % 3 else "") for n, code in enumerate(codes("K35", 3, 12))],
    exclusion={"EX_1": codes("K35", 1, 6)},
)


def assert_three_agree(frame: pl.DataFrame, scheme: CompiledScheme) -> list[Trace]:
    """Group, group one by one, explain and replay every case of a frame; returns the traces."""
    batch = group_cases(frame, scheme)
    single = [tuple(group_one(record, scheme)) for record in frame.to_dicts()]
    assert single == list(batch.select(SINGLE_COLUMNS).iter_rows())
    traces = [explain_case(frame[at], scheme) for at in range(frame.height)]
    explained = [tuple(getattr(trace.answer, name) for name in TRACE_COLUMNS) for trace in traces]
    assert explained == list(batch.select(TRACE_COLUMNS).iter_rows())
    assert ["|".join(trace.answer.used_codes) for trace in traces] == batch["used_codes"].to_list()
    assert [replay(trace) for trace in traces] == list(batch.select("mdc", "adrg", "drg").iter_rows())
    return traces


def test_expected_answers_of_chs_drg_1_1() -> None:
    rows = read_vectors(GOLDEN)
    frame, scheme = frame_of(rows), scheme_of(BUILT_IN)
    expected = [(row["mdc"], row["adrg"], row["drg"]) for row in rows]
    assert [group_one(record, scheme)[:3] for record in frame.to_dicts()] == expected
    assert [replay(explain_case(frame[at], scheme)) for at in range(frame.height)] == expected


@pytest.mark.parametrize("seed", [31])
def test_difficult_cases_of_chs_drg_1_1(seed: int) -> None:
    rows = list(DifficultCases(folder_of(BUILT_IN)).rows(1_500, seed, two_weights=True))
    traces = assert_three_agree(frame_of(rows), scheme_of(BUILT_IN))
    assert len({trace.answer.drg for trace in traces}) > 200


@pytest.mark.parametrize("name", sorted(SYNTHETIC_PACKS))
def test_synthetic_packs(tmp_path: Path, name: str) -> None:
    folder = build_synthetic_pack(name, tmp_path)
    rows = list(DifficultCases(folder).rows(700, 33, two_weights=True))
    traces = assert_three_agree(frame_of(rows), scheme_of(str(folder)))
    assert len({trace.answer.drg for trace in traces}) > 4
    if name == "retry":
        assert any(len(trace.walks) > 1 for trace in traces)


@pytest.mark.parametrize("seed", range(8))
def test_random_packs(tmp_path: Path, seed: int) -> None:
    folder = random_pack(seed).write(tmp_path)
    rows = list(DifficultCases(folder).rows(300, seed, two_weights=True))
    assert_three_agree(frame_of(rows), scheme_of(str(folder)))


def test_rules_too_wide_to_multiply_out(tmp_path: Path) -> None:
    folder = WIDE.write(tmp_path)
    scheme = scheme_of(str(folder))
    assert any(isinstance(condition, Derived) for condition in scheme.conditions)
    rows = list(DifficultCases(folder).rows(1_500, 34, two_weights=True))
    traces = assert_three_agree(frame_of(rows), scheme)
    assert {"BB11", "BB15", "BR19", "B000"} <= {trace.answer.drg for trace in traces}


@pytest.fixture(scope="module")
def traces() -> list[Trace]:
    rows = list(DifficultCases(folder_of(BUILT_IN)).rows(400, 35))
    frame = frame_of(rows)
    return [explain_case(frame[at], scheme_of(BUILT_IN)) for at in range(frame.height)]


def test_a_result_is_what_its_facts_say(traces: list[Trace]) -> None:
    seen = 0
    for trace in traces:
        for row in (row for walk in trace.walks for row in walk.rows):
            for atom in row.atoms:
                seen += 1
                if isinstance(atom, MemberResult):
                    assert atom.result is (bool(atom.hits) is not atom.negated)
                elif isinstance(atom, CompareResult) and atom.value is None:
                    assert not atom.result
            assert all(row.atoms[place].result is row.result for place in row.grounds if not _under_not(row.rule))
    assert seen > 10_000


def _under_not(rule: str) -> bool:
    return "not" in rule.replace("not in", "")


def test_rows_are_tried_in_the_order_of_the_pack(traces: list[Trace]) -> None:
    pack = scheme_of(BUILT_IN).pack
    places = {
        level: {code: at for at, code in enumerate(frame["code"])}
        for level, frame in (("mdc", pack.mdc), ("adrg", pack.adrg), ("drg", pack.drg))
    }
    for trace in traces:
        for walk in trace.walks:
            for level, order in places.items():
                tried = [(row.parent, order[row.code]) for row in walk.rows if row.level == level]
                families = [[at for of, at in tried if of == parent] for parent in {of for of, _ in tried}]
                assert all(family == sorted(family) for family in families)
                assert all(family[-1] - family[0] == len(family) - 1 for family in families)


def test_a_trace_is_json(traces: list[Trace]) -> None:
    for trace in traces:
        plain = trace.to_dict()
        assert orjson.loads(orjson.dumps(plain)) == plain


@pytest.mark.parametrize("full", [False, True])
def test_the_text_names_the_answer_and_every_code(traces: list[Trace], full: bool) -> None:
    for trace in traces:
        text = trace_text(trace, full=full)
        assert trace.answer.drg in text
        assert all(fact.code in text for fact in (*trace.case.diagnoses, *trace.case.procedures))
