"""A catalog that refuses ties is read only when no case can fit two of its rows equally: the oracle finds none then."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest

from reference_tables.packs import read_pack
from reference_tables.problems import TablesRefused
from tests.oracle.difficult_dip import DifficultDipCases
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


def refused_for_ties(folder: Path) -> bool:
    """Is the pack refused, and for nothing but rows that fit equally?"""
    try:
        read_pack(folder)
    except TablesRefused as refused:
        errors = {problem.code for problem in refused.problems if problem.level.value == "error"}
        assert errors <= TIED, errors
        return True
    return False


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
    refusing(seed).write(folder)
    refused, tied = refused_for_ties(folder), tied_rows(folder, seed)
    assert refused or not tied, (seed, tied)
    return refused, bool(tied)


def test_ties_that_a_case_shows_are_refused(tmp_path: Path) -> None:
    seen = [check(seed, tmp_path / str(seed)) for seed in range(SEEDS)]
    assert sum(tied for _, tied in seen) > 5
    assert sum(not refused for refused, _ in seen) > 5


@pytest.mark.long
@pytest.mark.parametrize("part", range(10))
def test_ties_that_a_case_shows_are_refused_long(tmp_path: Path, part: int) -> None:
    for seed in range(1000 + part, 1000 + SEEDS_LONG, 10):
        check(seed, tmp_path / str(seed))
