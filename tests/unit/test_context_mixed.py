"""Conditions whose fields are of different kinds: each field is looked up among its own codes."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from grouper.compile import compile_scheme
from grouper.engine import group_cases
from reference_tables.packs import read_pack


@pytest.fixture
def pack_folder(tmp_path: Path) -> Path:
    files = {
        "mdc.csv": "code,name,rule,order\nMDCA,a,1,1\n",
        "adrg.csv": "code,name,mdc,rule,order\nAA1,two,MDCA,{rule},1\nA00,rest,MDCA,1,2\n",
        "drg.csv": "code,name,adrg,rule,order\nAA19,two,AA1,1,1\nA000,rest,A00,1,1\n",
        "sets.csv": "set,code\nS,D1\nS,D2\nS,P1\nS,B1\n",
        "cc.csv": "code,level,exclusion\n",
        "exclusion.csv": "exclusion,code\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def groups(folder: Path, rule: str, cases: list[tuple[list[str], list[str]]]) -> list[str]:
    text = (folder / "adrg.csv").read_text(encoding="utf-8")
    (folder / "adrg.csv").write_text(text.replace("{rule}", f'"{rule}"'), encoding="utf-8")
    frame = pl.DataFrame(
        {
            "row": pl.Series(range(1, len(cases) + 1), dtype=pl.UInt32),
            "case_id": [str(at) for at in range(len(cases))],
            "sex": [1] * len(cases),
            "age_years": [40] * len(cases),
            "diagnoses": pl.Series([dx for dx, _ in cases], dtype=pl.List(pl.String)),
            "procedures": pl.Series([px for _, px in cases], dtype=pl.List(pl.String)),
        }
    )
    return group_cases(frame, compile_scheme(read_pack(folder)))["drg"].to_list()


def test_a_count_over_two_kinds_takes_only_its_own_fields(pack_folder: Path) -> None:
    cases = [(["D1", "D2"], []), (["D1"], ["", "P1"]), (["D1"], ["P1"]), (["X", "D1"], ["", "P1"])]
    found = groups(pack_folder, "length(S ∩ {ZYZD, QTSS}) >= 2", cases)
    assert found == ["A000", "AA19", "A000", "A000"]


def test_one_code_text_among_diagnoses_and_procedures_counts_once(pack_folder: Path) -> None:
    cases = [(["B1"], ["B1"]), (["B1", "B1"], ["P1"])]
    assert groups(pack_folder, "length(S ∩ {ZYZD, QTZD, ZYSS, QTSS}) >= 2", cases) == ["A000", "AA19"]


def test_a_membership_over_two_kinds_takes_only_its_own_fields(pack_folder: Path) -> None:
    cases = [(["X", "D1"], ["P1"]), (["D1"], []), (["X"], ["X", "P1"]), (["X", "D1"], [])]
    assert groups(pack_folder, "{ZYZD, QTSS} in S", cases) == ["A000", "AA19", "AA19", "A000"]
