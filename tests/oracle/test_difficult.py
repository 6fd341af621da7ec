"""The generator of difficult cases: repeatable, reaching every group, and really as difficult as it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.oracle.difficult import DifficultCases, FlatRow
from tests.oracle.oracle import Case, Oracle
from tests.oracle.random_packs import random_pack
from tests.oracle.synthetic_packs import SYNTHETIC_PACKS, build_synthetic_pack

CHS_DRG_1_1 = Path(__file__).resolve().parents[2] / "reference_tables" / "packs" / "chs-drg-1.1"
# The ADRGs of these MDCs cover the whole list of the MDC, so their x00 cannot be reached.
COVERED_MDCS = "CEHIKQSTUVXY"
# AA2 is never true and asks for more than one principal procedure, GR2 likewise.
UNREACHABLE = {"negation": {"AA29"}, "counting": {"GR29"}}


def drgs_of(oracle: Oracle) -> set[str]:
    return {drg.code for mdc in oracle.mdcs for adrg in mdc.children for drg in adrg.children}


def reached(oracle: Oracle, rows: list[FlatRow]) -> set[str]:
    return {oracle.group(Case.from_row(row))[2] for row in rows}


@pytest.fixture(scope="module")
def rows() -> list[FlatRow]:
    return list(DifficultCases(CHS_DRG_1_1).rows(20_000, 1))


def test_same_seed_same_cases(tmp_path: Path) -> None:
    folder = random_pack(3).write(tmp_path)
    first, again, other = (list(DifficultCases(folder).rows(300, seed)) for seed in (8, 8, 9))
    assert first == again
    assert [row["diagnoses"] for row in first] != [row["diagnoses"] for row in other]


def test_nearly_every_group_of_chs_drg_1_1_is_reached(rows: list[FlatRow]) -> None:
    oracle = Oracle.from_folder(CHS_DRG_1_1)
    found = reached(oracle, rows)
    covered = {f"{letter}000" for letter in COVERED_MDCS}
    assert not found & covered
    assert len(drgs_of(oracle) - covered - found) <= 12


@pytest.mark.parametrize("name", sorted(SYNTHETIC_PACKS))
def test_every_group_of_the_synthetic_packs_is_reached(tmp_path: Path, name: str) -> None:
    folder = build_synthetic_pack(name, tmp_path)
    oracle = Oracle.from_folder(folder)
    found = reached(oracle, list(DifficultCases(folder).rows(4_000, 11)))
    assert drgs_of(oracle) - found == UNREACHABLE.get(name, set())


@pytest.mark.parametrize(
    ("kind", "least"),
    [
        ("blank principal diagnosis before others", 50),
        ("blank principal procedure before others", 50),
        ("repeated diagnosis", 100),
        ("repeated procedure", 100),
        ("capital X in a code", 20),
        ("small first letter of a code", 20),
        ("no diagnosis at all", 5),
        ("day 28", 50),
        ("day 29", 50),
        ("newborn without weight", 5),
        ("newborn of weight 0", 5),
        ("weight 1499", 5),
        ("weight 2500", 5),
        ("sex unknown", 20),
        ("sex 9", 20),
        ("age unknown", 50),
        ("age 0 without days", 5),
        ("day-age of an older child", 50),
    ],
)
def test_the_difficulties_occur(rows: list[FlatRow], kind: str, least: int) -> None:
    def newborn(row: FlatRow) -> bool:
        return row["age"] == "0" and row["age_days"].isdigit() and int(row["age_days"]) <= 28

    def repeated(joined: str) -> bool:
        codes = [code for code in joined.split("|") if code]
        return len(codes) > len(set(codes))

    tests = {
        "blank principal diagnosis before others": lambda r: r["diagnoses"].startswith("|"),
        "blank principal procedure before others": lambda r: r["procedures"].startswith("|"),
        "repeated diagnosis": lambda r: repeated(r["diagnoses"]),
        "repeated procedure": lambda r: repeated(r["procedures"]),
        "capital X in a code": lambda r: "X" in r["diagnoses"] + r["procedures"],
        "small first letter of a code": lambda r: any(c[:1].islower() for c in r["diagnoses"].split("|")),
        "no diagnosis at all": lambda r: not r["diagnoses"],
        "day 28": lambda r: r["age"] == "0" and r["age_days"] == "28",
        "day 29": lambda r: r["age"] == "0" and r["age_days"] == "29",
        "newborn without weight": lambda r: newborn(r) and not r["weight"],
        "newborn of weight 0": lambda r: newborn(r) and r["weight"] == "0",
        "weight 1499": lambda r: newborn(r) and r["weight"] == "1499",
        "weight 2500": lambda r: newborn(r) and r["weight"] == "2500",
        "sex unknown": lambda r: r["sex"] == "",
        "sex 9": lambda r: r["sex"] == "9",
        "age unknown": lambda r: r["age"] == "",
        "age 0 without days": lambda r: r["age"] == "0" and not r["age_days"],
        "day-age of an older child": lambda r: r["age"] not in ("", "0") and r["age_days"] != "",
    }
    assert sum(map(tests[kind], rows)) >= least


def test_an_excluding_principal_stands_before_a_complication(rows: list[FlatRow]) -> None:
    oracle = Oracle.from_folder(CHS_DRG_1_1)
    excluded = counted = 0
    for row in rows:
        first, *others = Case.from_row(row).diagnoses
        for code in others:
            for listed in oracle.cc_rows.get(code, ()):
                excluded += first in listed.excluding_principals
                counted += first not in listed.excluding_principals
    assert excluded > 500
    assert counted > 500
