"""Core groups that fit a case equally: found exactly when some case shows it, and every example stands the test."""

import random
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from reference_tables.dip_build import build_dip_pack
from reference_tables.dip_examples import ExampleCase, read_fit_rules
from reference_tables.dip_pack import DipPack
from reference_tables.dip_tables import PLACE, DipTables, PlacedRow
from reference_tables.dip_ties import Tie, find_ties
from reference_tables.pack_build import PackIdentity
from reference_tables.packs import read_pack
from reference_tables.problems import TablesRefused
from tests.oracle.dip_case import DipCase
from tests.oracle.dip_oracle import DipOracle
from tests.oracle.dip_pack_folder import DipText, Row, layer
from tests.oracle.random_dip_packs import DIAGNOSES, PROCEDURES, random_dip_pack


def all_ties(pack: DipPack) -> list[Tie]:
    """Ties of every layer of a pack."""
    frames = {name: frame.with_columns(pl.lit(name).alias(PLACE)) for name, frame in pack.tables.items()}
    rules = read_fit_rules(DipTables(frames), ends=pack.setting("conservative") == "case")
    return [
        tie
        for code in pack.layers
        for tie in find_ties([PlacedRow(row, "core.csv") for row in pack.rows if row.layer.code == code], rules)
    ]


def pack_of(folder: Path, *rows: Row, precedence: str = "specific", **tables: list[Row]) -> DipPack:
    """A pack of one layer in which the number decides between equals."""
    core = [{"code": f"R{place}", "layer": "L", **row} for place, row in enumerate(rows, start=1)]
    pack = read_pack(DipText({"layer": [layer("L", 1, precedence)], "core": core, **tables}).write(folder))
    assert isinstance(pack, DipPack)
    return pack


FLAGS: list[Row] = [
    {"flag": "耐药", "role": "principal", "item": "A15.000x010"},
    {"flag": "耐药", "role": "other", "item": "U84"},
    {"flag": "耐药", "role": "other", "item": "U85"},
]
EXCLUDED: list[Row] = [
    {"code": "00.0100", "rule": "conservative"},
    {"code": "00.0200", "rule": "not_principal"},
    {"code": "45.1300", "rule": "with_principal", "principal_dx": "K20-K93"},
]

# Two rows; the case they share as text, "" for none; tables beside.
PAIRS: dict[str, tuple[Row, Row, str]] = {
    "same beginning, one procedure in common": (
        {"principal_dx": "A09", "px": "47.0100|47.0901"}, {"principal_dx": "A09|A10", "px": "47.0901|47.0902"},
        "主要诊断 A09，手术操作 47.0901",
    ),
    "longer beginning goes before": (
        {"principal_dx": "A09", "px": "47.0100"}, {"principal_dx": "A09.0", "px": "47.0100"}, "",
    ),
    "ranges that meet": (
        {"principal_dx": "A15-A17", "px": "47.0100"}, {"principal_dx": "A17-A19", "px": "47.0100"},
        "主要诊断 A17，手术操作 47.0100",
    ),
    "ranges apart": ({"principal_dx": "A15-A16", "px": "47.0100"}, {"principal_dx": "A17-A19", "px": "47.0100"}, ""),
    "range and category": (
        {"principal_dx": "A15-A17.2", "px": "47.0100"}, {"principal_dx": "A16", "px": "47.0100"},
        "主要诊断 A16，手术操作 47.0100",
    ),
    "dagger and plain of one length": (
        {"principal_dx": "M47.0+", "px": "47.0100"}, {"principal_dx": "M47.0", "px": "47.0100"},
        "主要诊断 M47.0+，手术操作 47.0100",
    ),
    "dagger and asterisk": (
        {"principal_dx": "M47.0+", "px": "47.0100"}, {"principal_dx": "M47.0*", "px": "47.0100"}, "",
    ),
    "same whole code": (
        {"principal_dx": "A09.000", "px": "47.0100"}, {"principal_dx": "a09.000", "px": "47.0100|47.0901"},
        "主要诊断 A09.000，手术操作 47.0100",
    ),
    "more codes required go before": ({"px": "47.0100"}, {"px": "47.0100+47.0901"}, ""),
    "two pairs with the same principal procedure": (
        {"px": "47.0100+47.0901"}, {"px": "47.0100+47.0902"}, "主要诊断 任意，手术操作 47.0100、47.0901、47.0902",
    ),
    "two pairs with another principal procedure": ({"px": "47.0100"}, {"px": "47.0901"}, ""),
    "related on both sides": (
        {"px": "74.1x01", "related_px": "38.8609"}, {"px": "74.1x01", "related_px": "54.5904"},
        "主要诊断 任意，手术操作 74.1x01、38.8609、54.5904",
    ),
    "related on one side goes before": ({"px": "74.1x01", "related_px": "38.8609"}, {"px": "74.1x01"}, ""),
    "a related code makes up for a pair": (
        {"px": "74.1x01", "related_px": "38.8609"}, {"px": "74.1x01+54.5904"},
        "主要诊断 任意，手术操作 74.1x01、38.8609、54.5904",
    ),
    "anywhere and principal": (
        {"px_mode": "anywhere", "px": "96.7201"}, {"px": "47.0100"}, "主要诊断 任意，手术操作 47.0100、96.7201",
    ),
    "two exact combinations": (
        {"px_mode": "exact", "px": "47.0100+47.0901"}, {"px_mode": "exact", "px": "47.0100+47.0902"}, "",
    ),
    "exact and principal": (
        {"px_mode": "exact", "px": "47.0100+47.0901"}, {"px": "47.0901+47.0100|47.0300"},
        "主要诊断 任意，手术操作 47.0100、47.0901",
    ),
    "none and principal": ({"px_mode": "none"}, {"px": "47.0100"}, ""),
    "none and not asked": ({"px_mode": "none"}, {"px_mode": "any"}, "主要诊断 任意，无手术操作"),
    "flag and its contrary": (
        {"principal_dx": "A15", "flag": "耐药", "px_mode": "none"},
        {"principal_dx": "A15", "flag": "!耐药", "px_mode": "none"}, "",
    ),
    "flag not asked by one": (
        {"principal_dx": "A15", "flag": "耐药", "px_mode": "none"}, {"principal_dx": "A15", "px_mode": "none"},
        "主要诊断 A15，其他诊断 U84，无手术操作",
    ),
    "unwanted flag leaves another diagnosis": (
        {"principal_dx": "A15", "flag": "!耐药", "px_mode": "none"},
        {"principal_dx": "A15", "other_dx": "U84|U85|U86", "px_mode": "none"},
        "主要诊断 A15，其他诊断 U86，无手术操作",
    ),
    "unwanted flag leaves none": (
        {"principal_dx": "A15", "flag": "!耐药", "px_mode": "none"},
        {"principal_dx": "A15", "other_dx": "U84|U85", "px_mode": "none"}, "",
    ),
    "different other diagnoses": (
        {"principal_dx": "T20.2", "other_dx": "T31.0", "px_mode": "none"},
        {"principal_dx": "T20.2", "other_dx": "T31.1", "px_mode": "none"},
        "主要诊断 T20.2，其他诊断 T31.0、T31.1，无手术操作",
    ),
    "ages apart": ({"any_dx": "P07", "age_days": "0-28"}, {"any_dx": "P07", "age_days": "29-"}, ""),
    "ages that meet": (
        {"any_dx": "P07", "age_days": "-28"}, {"any_dx": "P07", "age_days": "28-", "birth_weight_g": "1000-"},
        "主要诊断 任意，其他诊断 P07，无手术操作，日龄 28 天，出生体重 1000 克",
    ),
    "weights apart": ({"birth_weight_g": "0-999"}, {"birth_weight_g": "1000-1499"}, ""),
    "procedure never principal": ({"px": "00.0200"}, {"px": "00.0200|47.0100"}, ""),
    "procedure admitted by the diagnosis": (
        {"px": "45.1300"}, {"px": "45.1300|47.0100", "principal_dx": "*"}, "主要诊断 K20，手术操作 45.1300",
    ),
    "procedure not admitted by the diagnosis": (
        {"px": "45.1300", "principal_dx": "A09"}, {"px": "45.1300|47.0100", "principal_dx": "A09"}, "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_two_rows_are_equal_when_a_case_fits_both_alike(tmp_path: Path, pair: tuple[Row, Row, str]) -> None:
    one, two, case = pair
    pack = pack_of(tmp_path / "p", one, two, flag=FLAGS, excluded_px=EXCLUDED)
    assert [str(tie.case) for tie in all_ties(pack)] == ([case] if case else [])


def test_without_an_effective_procedure_there_may_be_recorded_ones(tmp_path: Path) -> None:
    """A row without a required code has none of them, so the two can only be equal where the number is the order."""
    rows = ({"px_mode": "none", "number": 1}, {"px_mode": "anywhere", "px": "47.0100", "number": 1})
    (tie,) = all_ties(pack_of(tmp_path / "p", *rows, precedence="number", excluded_px=EXCLUDED))
    assert str(tie.case) == "主要诊断 任意，手术操作 00.0100、47.0100"
    assert all_ties(pack_of(tmp_path / "q", *rows, precedence="number", excluded_px=EXCLUDED[1:])) == []
    rows = ({"px_mode": "none", "number": 1}, {"px_mode": "anywhere", "px": "00.0200", "number": 1})
    (tie,) = all_ties(pack_of(tmp_path / "r", *rows, precedence="number", excluded_px=EXCLUDED[1:]))
    assert str(tie.case) == "主要诊断 任意，手术操作 00.0200"


def test_where_the_number_is_the_order_only_equal_numbers_are_equal(tmp_path: Path) -> None:
    rows = ({"px": "47.0100", "number": 1}, {"px": "47.0100", "number": 2, "principal_dx": "A09"})
    assert all_ties(pack_of(tmp_path / "p", *rows, precedence="number")) == []
    rows = (*rows, {"px": "47.0100", "number": 1, "principal_dx": "A09.0"})
    (tie,) = all_ties(pack_of(tmp_path / "q", *rows, precedence="number"))
    assert (tie.earlier.row.code, tie.later.row.code, str(tie.case)) == ("R1", "R3", "主要诊断 A09.0，手术操作 47.0100")


def oracle_case(case: ExampleCase) -> DipCase:
    """The example as the oracle takes it; "" stands for a diagnosis of no list."""
    return DipCase(
        diagnoses=(case.principal or "~", *case.others),
        procedures=case.procedures,
        age_days=case.age_days,
        age_years=0,
        newborn_birth_weight_g=case.birth_weight_g,
    )


def random_case(rng: random.Random) -> DipCase:
    return DipCase(
        diagnoses=tuple(rng.choices((*DIAGNOSES, "A17.000", "K35"), k=rng.randint(1, 3))),
        procedures=tuple(rng.choices((*PROCEDURES, "38.03ZZ"), k=rng.choice((0, 0, 1, 2, 3)))),
        age_days=rng.choice((3, 28, 100, 500)),
        age_years=0,
        newborn_birth_weight_g=rng.choice((800, 1200, 2400, 4000)),
    )


@pytest.mark.parametrize("seed", range(24))
def test_on_random_packs_the_search_agrees_with_the_oracle(tmp_path: Path, seed: int) -> None:
    """Every example is a case that both rows fit alike; every case that shows two equal rows has been foreseen."""
    text = random_dip_pack(seed)
    tables = {name: rows for name, rows in text.tables.items() if not name.startswith("aux")}
    folder = replace(text, tables=tables).write(tmp_path / "p")
    pack, oracle = read_pack(folder), DipOracle(folder)
    assert isinstance(pack, DipPack)
    layers = {layer.code: layer for layer in oracle.layers}
    ties = all_ties(pack)
    foreseen = {tie.later.row.code for tie in ties}

    def rank_of(layer_code: str, case: DipCase) -> dict[str, tuple[int, ...]]:
        facts = oracle.facts_of(case)
        fits = [] if facts.principal in oracle.excluded_dx else oracle.fits(layers[layer_code], facts)
        if layers[layer_code].precedence == "number":
            return {fit.row.code: (fit.row.number,) for fit in fits if not fit.lacking}
        return {fit.row.code: (fit.width, fit.procedures_asked) for fit in fits if not fit.lacking}

    for tie in ties:
        ranks = rank_of(tie.later.row.layer.code, oracle_case(tie.case))
        assert ranks[tie.earlier.row.code] == ranks[tie.later.row.code]
    rng = random.Random(seed)
    for _ in range(60):
        case = random_case(rng)
        for code in layers:
            seen: set[tuple[int, ...]] = set()
            for row, rank in rank_of(code, case).items():
                assert rank not in seen or row in foreseen
                seen.add(rank)


def test_on_random_packs_no_case_reaches_a_row_that_is_said_to_be_out_of_reach(tmp_path: Path) -> None:
    said: set[tuple[int, str]] = set()
    answered: set[tuple[int, str]] = set()
    for seed in range(100, 116):
        folder = random_dip_pack(seed).write(tmp_path / str(seed))
        said |= {(seed, problem.value) for problem in read_pack(folder).problems if problem.code == "TB55"}
        oracle, rng = DipOracle(folder), random.Random(seed)
        answered |= {(seed, oracle.group(random_case(rng)).dip) for _ in range(150)}
    assert len(said) > 10
    assert len(answered) > 100
    assert answered.isdisjoint(said)


def test_among_thousands_of_rows_every_row_that_repeats_another_is_found() -> None:
    """One row in a hundred asks for the procedure of an earlier one; 99.9900 they share among themselves, too."""
    rows = [
        {"code": f"G{n}", "principal_dx": f"K{n % 40:02d}", "px": f"{n // 40:02d}.{n % 40:02d}00", "number": str(n)}
        for n in range(3960)
    ]
    twins = [{**row, "code": f"T{row['number']}", "px": f"{row['px']}|99.9900"} for row in rows[::100]]
    blank = ("name", "other_dx", "any_dx", "flag", "age_days", "birth_weight_g", "related_px")
    core = pl.DataFrame([*rows, *twins]).with_columns(
        pl.int_range(2, len(rows) + len(twins) + 2, dtype=pl.UInt32).alias("line"),
        pl.lit("L").alias("layer"),
        pl.lit("principal").alias("px_mode"),
        *(pl.lit("").alias(name) for name in blank),
    )
    one = {"code": "L", "name": "", "order": "1", "precedence": "specific", "ties": "refuse"}
    layers = pl.DataFrame([one]).with_columns(pl.lit(2, pl.UInt32).alias("line"))
    with pytest.raises(TablesRefused) as caught:
        build_dip_pack({"layer": layers, "core": core}, PackIdentity("p", "", "p", None), None)
    found = {problem.value: problem.args["first"] for problem in caught.value.problems if problem.code == "DP17"}
    # T200 meets T0 before G200: both are of K00 and ask for 99.9900.
    assert set(found) == {row["code"] for row in twins}
    assert (found["T0"], found["T100"], found["T200"]) == ("G0", "G100", "T0")
