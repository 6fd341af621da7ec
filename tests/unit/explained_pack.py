"""A pack of two MDCs made to be explained: every step a walk can take, in few rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from grouper.compile import CompiledScheme
from grouper.schemes import open_scheme
from reference_tables.columns import case_schema
from tests.oracle.pack_folder import PackText

PACK = PackText(
    mdc=[("MDCA", "1"), ("MDCB", "ZYZD in DI_B"), ("MDCC", "ZYZD in DI_C and not ({ZYSS, QTSS} in OP_X)")],
    adrg=[
        ("AA1", "MDCA", "ZYSS in OP_A and XSRTL < 29"),
        ("BB1", "MDCB", "(ZYZD in DI_B1 and ZYSS in OP_B) or (QTZD in DI_B2 and NL >= 70)"),
        ("BC1", "MDCB", "length(OP_B ∩ {ZYSS, QTSS}) >= 2"),
        ("BR1", "MDCB", "ZYSS not in OP_B and ZYTS > 3"),
        ("CB1", "MDCC", "ZYSS in OP_B"),
        ("CQY", "MDCC", "ZYSS in OP_A"),
        ("C00", "MDCC", ""),
    ],
    drg=[
        ("AA19", "AA1", ""),
        ("BB11", "BB1", "QTZD in MCC"),
        ("BC11", "BC1", "QTZD in {MCC, CC}"),
        ("BC15", "BC1", ""),
        ("BR11", "BR1", "QTZD in MCC"),
        ("CB19", "CB1", "LYFS in LY_1"),
        ("CQY", "CQY", ""),
        ("C000", "C00", ""),
    ],
    sets={
        "DI_B": ["D1", "D2"],
        "DI_B1": ["D1"],
        "DI_B2": ["D5"],
        "DI_C": ["D3"],
        "OP_A": ["P9"],
        "OP_B": ["P1", "P2x3"],
        "OP_X": ["P7"],
        "LY_1": ["1"],
    },
    cc=[("M1", "MCC", "EX_1"), ("M1", "CC", ""), ("M2", "MCC", ""), ("C1", "CC", "EX_1")],
    exclusion={"EX_1": ["D1"]},
)
RETRYING = {"retry": "each_other_procedure_alone"}


def scheme_in(folder: Path, *, meta: dict[str, str] | None = None, barred: tuple[str, ...] = ()) -> CompiledScheme:
    """The pack, with a meta.csv and with diagnoses that must not be principal."""
    PackText(**{**vars(PACK), "meta": meta or {}}).write(folder)
    if barred:
        (folder / "not_principal.csv").write_text("\n".join(["code", *barred]) + "\n", encoding="utf-8")
    return open_scheme(folder)


def record(diagnoses: str = "", procedures: str = "", **values: Any) -> dict[str, Any]:
    """A man of 40 with codes joined by |."""
    listed = {
        "diagnoses": diagnoses.split("|") if diagnoses else [],
        "procedures": procedures.split("|") if procedures else [],
    }
    return {"row": 2, "case_id": "K1", "sex": 1, "age_years": 40, **listed, **values}


def case(diagnoses: str = "", procedures: str = "", **values: Any) -> pl.DataFrame:
    """The same as a canonical frame of one row."""
    made = record(diagnoses, procedures, **values)
    return pl.DataFrame([made], schema=case_schema(made))
