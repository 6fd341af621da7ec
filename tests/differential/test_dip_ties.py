"""A catalog that refuses ties is read only when no case can fit two of its rows equally: the oracle finds none then."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest

from reference_tables.packs import read_pack
from reference_tables.problems import Level, Problem, TablesRefused
from tests.oracle.difficult_dip import DifficultDipCases
from tests.oracle.dip_case import DipCase
from tests.oracle.dip_oracle import DipOracle, precedence
from tests.oracle.dip_pack_folder import DipText, Row
from tests.oracle.random_dip_packs import random_dip_pack

SEEDS = 40
SEEDS_LONG = 600
CASES = 250
TIED = {"DP16", "DP17"}


def refusing(seed: int) -> DipText:
    """A few rows of a random catalog, in layers that refuse ties; numbers may be there twice."""
    text = random_dip_pack(seed)
    core: list[Row] = [{**row, "layer": "L0"} for row in text.tables["core"][: 3 + seed % 9]]
    layers: list[Row] = [{**text.tables["layer"][0], "code": "L0", "ties": "refuse"}]
    kept = ("excluded_px", "flag")
    tables = {name: text.tables[name] for name in kept if name in text.tables}
    return DipText({**tables, "core": core, "layer": layers}, text.meta)


def refusals(folder: Path) -> list[Problem]:
    """Why the pack is refused: for nothing but rows that fit equally; empty when it is read."""
    try:
        read_pack(folder)
    except TablesRefused as refused:
        errors = [problem for problem in refused.problems if problem.level is Level.ERROR]
        assert {problem.code for problem in errors} <= TIED
        return errors
    return []


def case_named(text: str) -> DipCase:
    """The case that a refusal shows, read back from its words."""
    parts = dict(part.split(" ", 1) for part in text.split("，") if " " in part)
    principal = parts["主要诊断"].replace("任意", "Q99.999")
    days, grams = parts.get("日龄", "").removesuffix(" 天"), parts.get("出生体重", "").removesuffix(" 克")
    return DipCase(
        diagnoses=(principal, *filter(None, parts.get("其他诊断", "").split("、"))),
        procedures=tuple(filter(None, parts.get("手术操作", "").split("、"))),
        age_days=int(days) if days else None,
        newborn_birth_weight_g=int(grams) if grams else None,
    )


def tied_rows(folder: Path, seed: int) -> set[tuple[str, str]]:
    """Pairs of rows that the oracle finds to fit some difficult case equally."""
    oracle = DipOracle(folder)
    found = set()
    for case in DifficultDipCases(folder).cases(CASES, seed):
        facts = oracle.facts_of(case)
        if not facts.principal or facts.principal in oracle.excluded_dx:
            continue
        for layer in oracle.layers:
            fits = [fit for fit in oracle.fits(layer, facts) if not fit.lacking]
            for one, other in combinations(fits, 2):
                if precedence(layer, one) == precedence(layer, other):
                    found.add((one.row.code, other.row.code))
    return found


def check(seed: int, folder: Path) -> tuple[bool, bool]:
    """(refused, tied by the oracle): what a case shows is refused, and what is refused, its case shows."""
    refusing(seed).write(folder)
    refused, tied = refusals(folder), tied_rows(folder, seed)
    assert refused or not tied, (seed, tied)
    oracle = DipOracle(folder)
    for problem in refused:
        if problem.code == "DP17":
            fits = {
                fit.row.code: precedence(oracle.layers[0], fit)
                for fit in oracle.fits(oracle.layers[0], oracle.facts_of(case_named(str(problem.args["case"]))))
            }
            assert fits[str(problem.args["code"])] == fits[str(problem.args["first"])], (seed, problem)
    return bool(refused), bool(tied)


def test_ties_that_a_case_shows_are_refused(tmp_path: Path) -> None:
    seen = [check(seed, tmp_path / str(seed)) for seed in range(SEEDS)]
    assert sum(tied for _, tied in seen) > 5
    assert sum(not refused for refused, _ in seen) > 5


@pytest.mark.long
@pytest.mark.parametrize("part", range(10))
def test_ties_that_a_case_shows_are_refused_long(tmp_path: Path, part: int) -> None:
    for seed in range(1000 + part, 1000 + SEEDS_LONG, 10):
        check(seed, tmp_path / str(seed))
