"""Every rule of CHS-DRG 1.1 has a witness case or a checked reason why no case can reach it."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from benchmarks.witness import UNREACHABLE_COLUMNS, WITNESS_COLUMNS, Witnesses, make_witnesses, plain_codes
from grouper.engine import group_cases
from grouper.schemes import open_scheme
from reference_tables.packs import find_pack, read_pack
from tests.oracle.difficult import DifficultCases
from tests.oracle.oracle import Case, Oracle
from tests.oracle.pack_folder import PackText
from tests.oracle.random_packs import random_pack
from tests.oracle.synthetic_packs import SYNTHETIC_PACKS

ROOT = Path(__file__).parents[2]
PACK = ROOT / "reference_tables" / "packs" / "chs-drg-1.1"
GOLDEN = ROOT / "tests" / "golden"
LEVELS = ("mdc", "adrg", "drg")
Row = dict[str, str]


def read(path: Path) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


WITNESSES = read(GOLDEN / "witness-chs-drg-1.1.csv")
UNREACHABLE = read(GOLDEN / "unreachable-chs-drg-1.1.csv")


def case_of(row: Row, dropped: str = "") -> Case:
    """The oracle's case of a flat row, without one of its codes if asked."""

    def codes(kind: str) -> str:
        kept = [row[f"principal_{kind}"], *row[f"other_{kind}"].split("|")]
        return "|".join(code for code in kept if code and code != dropped)

    given = {name: value or "" for name, value in row.items()}
    return Case.from_row(
        {**given, "age": given["age_years"], "weight": "", "diagnoses": codes("dx"), "procedures": codes("px")}
    )


def frame_of(rows: list[Row]) -> pl.DataFrame:
    """The canonical frame of flat rows."""
    flat = pl.DataFrame(rows).with_columns(pl.col(pl.String).replace("", None))
    whole = ["age_years", "age_days", "newborn_birth_weight_g", "newborn_admission_weight_g", "los_days"]
    lists = {
        name: pl.Series(
            name, [list(getattr(case_of(row), name)) if row[key] else [] for row in rows], pl.List(pl.String)
        )
        for name, key in (("diagnoses", "principal_dx"), ("procedures", "principal_px"))
    }
    return flat.select(
        pl.int_range(1, pl.len() + 1, dtype=pl.UInt32).alias("row"),
        "case_id",
        pl.lit(None, dtype=pl.String).alias("defect"),
        pl.col("sex").cast(pl.Int8),
        *(pl.col(name).cast(pl.Int32) for name in whole),
        pl.col("icu_hours").cast(pl.Float64),
        "discharge_way",
        "department",
        *lists.values(),
    )


def expected(row: Row) -> tuple[str, str, str]:
    return row["mdc"], row["adrg"], row["drg"]


def test_every_row_of_the_pack_is_witnessed_or_unreachable_and_never_both() -> None:
    listed = [(row["level"], row["code"]) for row in (*WITNESSES, *UNREACHABLE)]
    rows = [(level, row["code"]) for level in LEVELS for row in read(PACK / f"{level}.csv")]
    assert sorted(listed) == sorted(rows)
    assert len(listed) == 26 + 421 + 673


def test_a_witness_stands_for_its_own_row() -> None:
    for row in WITNESSES:
        assert row[row["level"]] == row["code"]


def test_the_oracle_answers_every_witness_with_its_row() -> None:
    oracle = Oracle.from_folder(PACK)
    wrong = [row["case_id"] for row in WITNESSES if oracle.group(case_of(row)) != expected(row)]
    assert wrong == []


def test_the_engine_answers_every_witness_with_its_row() -> None:
    answers = group_cases(frame_of(WITNESSES), open_scheme("chs-drg-1.1"))
    got = list(answers.select("case_id", *LEVELS).iter_rows())
    assert got == [(row["case_id"], *expected(row)) for row in WITNESSES]


def test_no_code_of_a_witness_can_be_left_out() -> None:
    oracle = Oracle.from_folder(PACK)
    for row in WITNESSES:
        spare = [row["principal_px"], *row["other_px"].split("|"), *row["other_dx"].split("|")]
        place = LEVELS.index(row["level"])
        for code in filter(None, spare):
            assert oracle.group(case_of(row, dropped=code))[place] != row["code"], (row["case_id"], code)


def test_the_unreachable_rows_are_the_x00_of_twelve_mdcs() -> None:
    letters = "CEHIKQSTUVXY"
    assert sorted(row["code"] for row in UNREACHABLE) == sorted(
        [f"{letter}00" for letter in letters] + [f"{letter}000" for letter in letters]
    )
    assert {row["method"] for row in UNREACHABLE} == {"proof"}


def test_the_proofs_hold_on_the_tables_themselves() -> None:
    members: dict[str, set[str]] = {}
    for row in read(PACK / "sets.csv"):
        members.setdefault(row["set"], set()).add(row["code"])
    mdc_rules = {row["code"]: row["rule"] for row in read(PACK / "mdc.csv")}
    adrg_rules = {row["code"]: row["rule"] for row in read(PACK / "adrg.csv")}
    for row in UNREACHABLE:
        mdc = f"MDC{row['code'][0]}"
        takers = row["reason"].split("taken by one of ")[1].split(",")[0].split()
        assert mdc_rules[mdc] == f"ZYZD in DI_{mdc[3]}00"
        assert all(adrg_rules[taker] == f"ZYZD in DI_{taker}" for taker in takers)
        taken = set().union(*(members[f"DI_{taker}"] for taker in takers))
        assert members[f"DI_{mdc[3]}00"] <= taken


def check_against_oracle(folder: Path, difficult: int) -> Witnesses:
    """Witnesses of a pack folder, agreed by the oracle, whose unreachable rows no difficult case reaches."""
    made = make_witnesses(read_pack(folder))
    oracle = Oracle.from_folder(folder)
    for row in made.reached.with_columns(pl.all().fill_null("")).iter_rows(named=True):
        assert oracle.group(case_of(row)) == expected(row), row
    dead = {level: set(made.unreachable.filter(level=level)["code"]) for level in LEVELS}
    for row in DifficultCases(folder).rows(difficult, seed=1, two_weights=True):
        answer = None if oracle.is_invalid(case := Case.from_row(row)) else oracle.walk(case)
        for level, code in zip(LEVELS, answer or (), strict=False):
            assert code not in dead[level], row
    return made


@pytest.mark.parametrize("name", sorted(SYNTHETIC_PACKS))
def test_packs_with_every_feature_of_the_format(name: str, tmp_path: Path) -> None:
    made = check_against_oracle(SYNTHETIC_PACKS[name].write(tmp_path / name), difficult=600)
    text = SYNTHETIC_PACKS[name]
    assert made.reached.height + made.unreachable.height == len(text.mdc) + len(text.adrg) + len(text.drg)


def two_mdcs(seed: int) -> PackText:
    """The first two MDCs of a random pack: all four take an exhaustive search minutes."""
    text = random_pack(seed)
    kept = {"MDCB", "MDCC"}
    adrg = [row for row in text.adrg if row[1] in kept]
    drg = [row for row in text.drg if f"MDC{row[1][0]}" in kept]
    return replace(text, mdc=[row for row in text.mdc if row[0] in kept], adrg=adrg, drg=drg)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(4))
def test_packs_of_random_formulas(seed: int, tmp_path: Path) -> None:
    made = check_against_oracle(two_mdcs(seed).write(tmp_path / f"random{seed}"), difficult=20_000)
    assert set(made.unreachable["method"]) <= {"proof", "search"}
    assert made.reached.height > 25


@pytest.mark.long
def test_the_committed_tables_are_what_the_constructor_makes() -> None:
    made = make_witnesses(find_pack("chs-drg-1.1"), plain_codes())
    for frame, rows, columns in (
        (made.reached, WITNESSES, WITNESS_COLUMNS),
        (made.unreachable, UNREACHABLE, UNREACHABLE_COLUMNS),
    ):
        assert frame.with_columns(pl.all().fill_null("")).to_dicts() == [dict(row) for row in rows]
        assert tuple(frame.columns) == columns


ONLY_BY_EXCLUSION = PackText(
    mdc=[("MDCB", "ZYZD in DI_B")],
    adrg=[("BR1", "MDCB", "QTZD in DI_C"), ("B00", "MDCB", "")],
    drg=[
        ("BR11", "BR1", "QTZD in MCC"),
        ("BR13", "BR1", "QTZD in {MCC, CC}"),
        ("BR15", "BR1", ""),
        ("B000", "B00", ""),
    ],
    sets={"DI_B": ["K35.000"], "DI_C": ["J96.000"]},
    cc=[("J96.000", "MCC", "EX_1"), ("E11.900", "CC", "")],
    exclusion={"EX_1": ["K35.000"]},
)


def test_exclusions_are_weighed_exactly(tmp_path: Path) -> None:
    """The only MCC is excluded by the only principal diagnosis: BR11 is out of reach, BR15 is not."""
    made = check_against_oracle(ONLY_BY_EXCLUSION.write(tmp_path / "exclusion"), difficult=50)
    found = {row["code"]: row for row in made.reached.iter_rows(named=True)}
    assert list(made.unreachable.iter_rows()) == [("drg", "BR11", "search", made.unreachable["reason"][0])]
    assert (found["BR13"]["principal_dx"], found["BR13"]["other_dx"]) == ("K35.000", "J96.000|E11.900")
    assert found["BR15"]["other_dx"] == "J96.000"


def test_a_count_needs_different_codes(tmp_path: Path) -> None:
    text = PackText(
        mdc=[("MDCB", "ZYZD in DI_B")],
        adrg=[("BB1", "MDCB", "length(OP_B ∩ {ZYSS, QTSS}) >= 2"), ("B00", "MDCB", "")],
        drg=[("BB19", "BB1", "LYFS in WAYS and ICUXS > 24 and ICUXS < 25"), ("B000", "B00", "")],
        sets={"DI_B": ["K35.000"], "OP_B": ["47.0100", "47.0900"], "WAYS": ["5"]},
    )
    made = check_against_oracle(text.write(tmp_path / "count"), difficult=50)
    row = made.reached.filter(code="BB19").row(0, named=True)
    assert sorted([row["principal_px"], row["other_px"]]) == ["47.0100", "47.0900"]
    assert (row["discharge_way"], row["icu_hours"]) == ("5", "24.5")
