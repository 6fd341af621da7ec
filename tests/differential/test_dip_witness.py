"""Every core group of a DIP catalog has a witness case, or a reason why no case can come into it."""

from __future__ import annotations

import csv
from pathlib import Path

import polars as pl
import pytest

from benchmarks.dip_witness import WITNESS_COLUMNS, DipWitnesses, make_dip_witnesses
from reference_tables.dip_pack import DipPack
from reference_tables.packs import read_pack
from tests.differential.dip_compare import engine_answers
from tests.oracle.difficult_dip import DifficultDipCases
from tests.oracle.dip_case import DipCase
from tests.oracle.dip_oracle import DipOracle
from tests.oracle.dip_pack_folder import DipText, Row, layer
from tests.oracle.dip_sample_pack import sample_pack
from tests.oracle.random_dip_packs import random_dip_pack

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "witness-dip-3.0-sample.csv"
QUICK_SEEDS = (0, 1, 4, 5, 6, 8, 9, 10)
RANDOM_PACKS_LONG = 60


@pytest.fixture(scope="module")
def national(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample_pack().write(tmp_path_factory.mktemp("national"))


def committed() -> list[dict[str, str]]:
    with GOLDEN.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def made_for(folder: Path) -> DipWitnesses:
    pack = read_pack(folder)
    assert isinstance(pack, DipPack)
    return make_dip_witnesses(pack)


def filled(frame: pl.DataFrame) -> list[dict[str, str]]:
    """The rows as a file has them."""
    return frame.with_columns(pl.all().fill_null("")).rows(named=True)


def case_of(row: dict[str, str]) -> DipCase:
    """The oracle's case of a witness row."""

    def number(name: str) -> int | None:
        return int(row[name]) if row[name] else None

    return DipCase(
        case_id=row["case_id"],
        diagnoses=tuple(row["diagnoses"].split("|")),
        procedures=tuple(filter(None, row["procedures"].split("|"))),
        age_years=number("age_years"),
        age_days=number("age_days"),
        newborn_birth_weight_g=number("newborn_birth_weight_g"),
    )


def test_every_core_group_of_the_sample_is_witnessed_once() -> None:
    rows = [str(row["code"]) for row in sample_pack().tables["core"]]
    assert sorted(row["dip"] for row in committed()) == sorted(rows)
    assert len(rows) == 132


def test_the_committed_table_is_what_the_constructor_makes(national: Path) -> None:
    made = made_for(national)
    assert made.reached.columns == list(WITNESS_COLUMNS)
    assert filled(made.reached) == committed()
    assert made.unreachable.height == 0


def test_the_oracle_answers_every_witness_with_its_row(national: Path) -> None:
    oracle = DipOracle(national)
    answers = {row["case_id"]: oracle.group(case_of(row)) for row in committed()}
    wrong = [
        row
        for row in committed()
        if (answers[row["case_id"]].kind, answers[row["case_id"]].dip) != ("core", row["dip"])
    ]
    assert wrong == []


def test_the_engine_answers_every_witness_with_its_row(national: Path) -> None:
    rows = committed()
    answers = engine_answers([case_of(row) for row in rows], str(national))
    got = [(answer.kind, answer.layer, answer.dip) for answer in answers]
    assert got == [("core", row["layer"], row["dip"]) for row in rows]


def check_against_oracle(folder: Path, difficult: int) -> DipWitnesses:
    """Witnesses of a pack folder, agreed by the oracle, whose unreachable rows no difficult case comes into."""
    made = made_for(folder)
    oracle = DipOracle(folder)
    for row in filled(made.reached):
        assert oracle.group(case_of(row)).dip == row["dip"], row
    dead = set(made.unreachable["code"])
    for case in DifficultDipCases(folder).cases(difficult, 9):
        assert oracle.group(case).dip not in dead, case
    rows = sum(len(one.rows) for one in oracle.layers)
    assert made.reached.height + made.unreachable.height == rows
    return made


def test_random_catalogs(tmp_path: Path) -> None:
    made = [check_against_oracle(random_dip_pack(seed).write(tmp_path / str(seed)), 500) for seed in QUICK_SEEDS]
    assert sum(one.unreachable.height for one in made) > 5
    assert sum(one.reached.height for one in made) > 200


@pytest.mark.long
@pytest.mark.parametrize("seed", range(200, 200 + RANDOM_PACKS_LONG))
def test_random_catalogs_long(tmp_path: Path, seed: int) -> None:
    check_against_oracle(random_dip_pack(seed).write(tmp_path), 3_000)


def test_reasons_of_unreachable_rows(tmp_path: Path) -> None:
    core: list[Row] = [
        {"code": "FIRST", "layer": "L", "principal_dx": "A01", "px_mode": "any"},
        {"code": "SAME", "layer": "L", "principal_dx": "A01", "px": "47.0100"},
        {"code": "BLOCKED", "layer": "L", "principal_dx": "I10.x00"},
        {"code": "NEVER", "layer": "L", "principal_dx": "A02", "px": "38.0100|38.0200"},
        {"code": "ONLY", "layer": "L", "principal_dx": "A02", "px": "38.0300"},
        {"code": "WITH", "layer": "L", "principal_dx": "*", "px": "38.0400"},
        {"code": "EXACT", "layer": "L", "principal_dx": "A03", "px_mode": "exact", "px": "38.0100+47.0100"},
    ]
    excluded_px: list[Row] = [
        {"code": "38.0100", "rule": "conservative"},
        {"code": "38.0200", "rule": "not_principal"},
        {"code": "38.0300", "rule": "with_principal", "principal_dx": "A03"},
        {"code": "38.0400", "rule": "with_principal", "principal_dx": "K35.9"},
    ]
    tables: dict[str, list[Row]] = {
        "layer": [layer("L", 1, "number")], "core": core, "excluded_dx": [{"code": "I10.x00"}],
        "excluded_px": excluded_px,
    }  # fmt: skip
    made = made_for(DipText(tables).write(tmp_path))
    principal = "no procedure of the row may be the principal procedure with its principal diagnoses"
    assert made.unreachable.rows() == [
        ("SAME", "search", made.unreachable.filter(pl.col("code") == "SAME")["reason"][0]),
        ("BLOCKED", "proof", "every principal diagnosis of the row is excluded as principal diagnosis"),
        ("NEVER", "proof", principal),
        ("ONLY", "proof", principal),
        ("EXACT", "proof", "every combination of the row holds a procedure that counts as conservative treatment"),
    ]
    assert "taken by FIRST" in made.unreachable["reason"][0]
    assert made.reached["dip"].to_list() == ["FIRST", "WITH"]
    assert made.reached["diagnoses"][1].startswith("K35.9")
