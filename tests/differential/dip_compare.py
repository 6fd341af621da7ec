"""Putting the engine's DIP answers beside the oracle's: the same cases, two programs, and what differs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any

import polars as pl

from grouper.dip.compile import CompiledDip, compile_dip
from grouper.engine import group_cases
from grouper.single import group_one
from reference_tables.dip_pack import DipPack
from reference_tables.packs import read_pack
from tests.oracle.dip_case import DipCase
from tests.oracle.dip_oracle import DipAnswer, DipOracle

LISTS = ("diagnoses", "procedures")
MONEY = ("total_cost_fen", "fee_treatment_fen", "fee_western_drug_fen", "fee_herbal_fen", "fee_patent_drug_fen")
TYPES: dict[str, pl.DataType] = {
    "case_id": pl.String(),
    "diagnoses": pl.List(pl.String()),
    "procedures": pl.List(pl.String()),
    "age_years": pl.Int32(),
    "age_days": pl.Int32(),
    "newborn_birth_weight_g": pl.Int32(),
    "sex": pl.Int8(),
    "los_days": pl.Int32(),
    "icu_hours": pl.Float64(),
    "discharge_way": pl.String(),
    "department": pl.String(),
    **dict.fromkeys(MONEY, pl.Int64()),
    "defect": pl.String(),
}
COLUMNS = DipAnswer._fields
SINGLE_COLUMNS = tuple(name for name in COLUMNS if name != "used_codes")


def frame_of(cases: Sequence[DipCase]) -> pl.DataFrame:
    """The canonical case frame of oracle cases."""
    columns: dict[str, pl.Series] = {"row": pl.Series(range(2, len(cases) + 2), dtype=pl.UInt32)}
    for name, dtype in TYPES.items():
        values = [getattr(case, name) for case in cases]
        listed = [value if value is None else list(value) for value in values] if name in LISTS else values
        columns[name] = pl.Series(listed, dtype=dtype)
    return pl.DataFrame(columns)


@lru_cache(maxsize=4)
def oracle_of(folder: str) -> DipOracle:
    """The oracle of a pack folder."""
    return DipOracle(folder)


@lru_cache(maxsize=4)
def scheme_of(folder: str) -> CompiledDip:
    """The engine's scheme of a pack folder."""
    pack = read_pack(folder)
    assert isinstance(pack, DipPack)
    return compile_dip(pack)


def engine_answers(cases: Sequence[DipCase], folder: str) -> list[DipAnswer]:
    """The batch answers, column by column as the oracle gives them."""
    result = group_cases(frame_of(cases), scheme_of(folder))
    assert result["case_id"].to_list() == [case.case_id for case in cases]
    return [DipAnswer(*row) for row in result.select(COLUMNS).iter_rows()]


def single_answers(cases: Sequence[DipCase], folder: str) -> list[tuple[object, ...]]:
    """The answers of one case at a time, in SINGLE_COLUMNS."""
    scheme = scheme_of(folder)
    answers: list[Any] = [group_one(row, scheme) for row in frame_of(cases).iter_rows(named=True)]
    return [tuple(getattr(answer, name) for name in SINGLE_COLUMNS) for answer in answers]


def oracle_answers(cases: Sequence[DipCase], folder: str) -> list[DipAnswer]:
    """What the oracle says."""
    oracle = oracle_of(folder)
    return [oracle.group(case) for case in cases]


def assert_same_answers(cases: Sequence[DipCase], folder: str) -> None:
    """Engine and oracle give the same columns for every case; else fail with the smallest differing case."""
    wrong = [
        case
        for case, left, right in zip(cases, engine_answers(cases, folder), oracle_answers(cases, folder), strict=True)
        if left != right
    ]
    if not wrong:
        return

    def differs(case: DipCase) -> bool:
        return engine_answers([case], folder) != oracle_answers([case], folder)

    case = smallest_case(min(wrong, key=lambda case: len(repr(case))), differs)
    raise AssertionError(
        f"{folder}: {len(wrong)} of {len(cases)} cases differ, reduced to {case}: "
        f"engine {engine_answers([case], folder)[0]}, oracle {oracle_answers([case], folder)[0]}"
    )


def assert_same_single_answers(cases: Sequence[DipCase], folder: str) -> None:
    """One case at a time gives what the oracle gives."""
    expected = [tuple(getattr(answer, name) for name in SINGLE_COLUMNS) for answer in oracle_answers(cases, folder)]
    for case, got, wanted in zip(cases, single_answers(cases, folder), expected, strict=True):
        assert got == wanted, case


def smallest_case(case: DipCase, differs: Callable[[DipCase], bool]) -> DipCase:
    """The case with as many codes and values taken away as possible while `differs` stays true."""
    if not differs(case):
        return case
    shrunk = True
    while shrunk:
        shrunk = False
        for smaller in _smaller(case):
            if differs(smaller):
                case, shrunk = smaller, True
                break
    return case


def _smaller(case: DipCase) -> Iterator[DipCase]:
    for name in LISTS:
        codes = getattr(case, name) or ()
        for place in range(len(codes) - 1, -1, -1):
            yield dataclasses.replace(case, **{name: codes[:place] + codes[place + 1 :]})
    for field in dataclasses.fields(case):
        if field.name not in (*LISTS, "case_id") and getattr(case, field.name) is not None:
            yield dataclasses.replace(case, **{field.name: None})


def scaled(answer: DipAnswer, factor: int) -> DipAnswer:
    """The answer with its scores times `factor`."""

    def times(score: Decimal | None) -> Decimal | None:
        return None if score is None else score * factor

    return answer._replace(base_score=times(answer.base_score), score=times(answer.score))
