"""A scheme of one group, to be changed in one place by each test, and short ways to say a case."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.oracle.oracle import Case, Oracle
from tests.oracle.pack_folder import PackText

ADULT = Case(sex=1, age_years=40, diagnoses=("D1",), procedures=("P1",))
UNGROUPED = ("0000", "00", "0000")
SETS = {
    "DI_A": ["D1", "D2", "J96.900", "I10.x00", "A17.000+G01*"],
    "DI_B": ["D3", "D4"],
    "OP_A": ["P1", "P2", "P3", "33.6x00"],
    "OP_B": ["P3", "P4"],
    "LY_DEAD": ["5"],
    "KS_ICU": ["重症医学科", "0301X"],
}


def scheme(tmp_path: Path, **changes: object) -> Oracle:
    """A pack with one MDC, one ADRG, one DRG, all always true, and what `changes` replace."""
    pack = PackText(mdc=[("MDCB", "")], adrg=[("BB1", "MDCB", "")], drg=[("BB19", "BB1", "")], sets=SETS)
    return Oracle.from_folder(replace(pack, **changes).write(tmp_path))


def case(diagnoses: str = "D9", procedures: str = "", **values: object) -> Case:
    """An adult with codes joined by |."""
    codes = {"diagnoses": tuple(diagnoses.split("|")), "procedures": tuple(procedures.split("|"))}
    return replace(ADULT, **codes, **values)
