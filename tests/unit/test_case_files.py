"""The files made for hospitals: readable with the standard library alone, and read back as they were made."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from benchmarks.make_cases import MadeCases, iter_cases
from benchmarks.make_city import make_city_month
from benchmarks.write_cases import FORMATS, write_cases
from benchmarks.write_hqms import header
from grouper.engine import group_cases
from grouper.intake import read_cases
from grouper.schemes import open_scheme
from reference_tables.packs import find_pack

SCHEME = "chs-drg-1.1"
ENDINGS = {"flat": "csv", "hqms": "csv", "4101": "ndjson", "parquet": "parquet", "parquet-joined": "parquet"}
INPUT = (
    "sex",
    "age_years",
    "age_days",
    "newborn_birth_weight_g",
    "los_days",
    "discharge_way",
    "diagnoses",
    "procedures",
)
OF_WHICH = {"D19x01", "D20x01", "D20x02", "D23x01"}
SYNTHETIC = ("合成", "SYN", "0000", "S", "P", "V")


@pytest.fixture(scope="module")
def made() -> MadeCases:
    (block,) = iter_cases(find_pack(SCHEME), 2400, 5, mistakes=0.03)
    return block


@pytest.fixture(scope="module")
def folder(made: MadeCases, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("files")
    for kind, ending in ENDINGS.items():
        half = made.frame.height // 2
        blocks = [made.frame.head(half), made.frame.tail(made.frame.height - half)]
        assert write_cases(blocks, kind, place / f"{kind}.{ending}") == made.frame.height
    return place


@pytest.fixture(scope="module")
def pages(folder: Path) -> list[dict[str, str]]:
    text = (folder / "hqms.csv").read_bytes().decode("gb18030")
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture(scope="module")
def messages(folder: Path) -> list[dict[str, dict[str, object]]]:
    return [json.loads(line, parse_float=Decimal) for line in (folder / "4101.ndjson").read_text("utf-8").splitlines()]


def test_every_format_of_the_command_is_covered() -> None:
    assert set(FORMATS) == set(ENDINGS)


def test_the_flat_table(made: MadeCases, folder: Path) -> None:
    with (folder / "flat.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == made.frame.height
    for row, case in zip(rows, made.frame.iter_rows(named=True), strict=True):
        assert row["case_id"] == case["case_id"]
        codes = [row["principal_dx"], *filter(None, row["other_dx"].split("|"))]
        assert codes == (case["diagnoses"] or [""])
        assert Decimal(row["total_cost"]) * 100 == case["total_cost_fen"]
        fees = [Decimal(value) for name, value in row.items() if name.startswith("fee_")]
        assert sum(fees) == Decimal(row["total_cost"])
        assert row["age_years"] == ("" if case["age_years"] is None else str(case["age_years"]))


def test_the_front_pages_have_the_columns_of_the_standard_in_its_order(pages: list[dict[str, str]]) -> None:
    names = header()
    assert tuple(pages[0]) == names
    assert len(names) == len(set(names)) == 642  # the ordinals run to 643 and leave out 639
    places = {"A01": 1, "C03C": 41, "C06x01C": 44, "C09C": 164, "C14x01C": 186, "C35x01C": 196, "A16": 596, "D01": 613}
    assert {name: names.index(name) + 1 for name in places} == places


def test_the_front_pages(made: MadeCases, pages: list[dict[str, str]]) -> None:
    assert all(value for page in pages for value in page.values())  # empty is "-"
    for page, case in zip(pages, made.frame.iter_rows(named=True), strict=True):
        others = [page[f"C06x{at:02d}C"] for at in range(1, 41)]
        assert [page["C03C"].replace("-", ""), *(code for code in others if code != "-")] == (case["diagnoses"] or [""])
        assert page["C14x01C"] == (case["procedures"] or ["-"])[0]
        assert (page["A14"] == "-") == (case["age_years"] in {None, 0})
        items = [Decimal(page[name]) for name in page if re.fullmatch(r"D[123]\d", name) and page[name] != "-"]
        assert sum(items) == Decimal(page["D01"]) == Decimal(case["total_cost_fen"]) / 100
        assert all(page[name] != "-" for name in OF_WHICH - {"D19x01"})
        assert Decimal(page["D20x01"]) + Decimal(page["D20x02"]) == Decimal(page["D20"])


def test_the_settlement_lists(made: MadeCases, messages: list[dict[str, dict[str, object]]]) -> None:
    span = re.compile(r"\d+/([01]?\d|2[0-3])/[0-5]?\d")
    durations = 0
    for message, case in zip(messages, made.frame.iter_rows(named=True), strict=True):
        assert message["infno"] == "4101"
        nodes = message["input"]
        assert list(nodes) == ["setlinfo", "payinfo", "opspdiseinfo", "diseinfo", "iteminfo", "oprninfo", "icuinfo"]
        listed = nodes["setlinfo"]
        western = [row for row in nodes["diseinfo"] if not row["diag_code"].startswith(("BN", "ZY"))]
        assert [row["diag_code"] for row in western] == [code for code in case["diagnoses"] if code]
        assert [row["oprn_oprt_code"] for row in nodes["oprninfo"]] == [code for code in case["procedures"] if code]
        assert sum(row["maindiag_flag"] == "1" for row in nodes["diseinfo"]) == bool((case["diagnoses"] or [""])[0])
        assert sum(row["amt"] for row in nodes["iteminfo"]) * 100 == case["total_cost_fen"]
        for row in nodes["iteminfo"]:
            assert row["amt"] == sum(row[name] for name in ("claa_sumfee", "clab_amt", "fulamt_ownpay_amt", "oth_amt"))
        assert nodes["payinfo"][0]["fund_payamt"] * 100 == case["fund_pay_fen"]
        assert listed["diag_code_cnt"] == len(nodes["diseinfo"])
        assert (listed["age"] is None) == (case["age_years"] in {None, 0})
        given = [value for name, value in listed.items() if name.endswith("_dura") and value is not None]
        durations += len(given)
        assert all(span.fullmatch(value) for value in given)
    assert durations > 10


def test_hospitals_use_one_or_the_other_set_of_diagnosis_types(messages: list[dict[str, dict[str, object]]]) -> None:
    used: dict[str, set[str]] = {}
    for message in messages:
        kinds = {row["diag_type"] for row in message["input"]["diseinfo"]}
        used.setdefault(message["input"]["setlinfo"]["fixmedins_code"], set()).update(kinds)
    assert Counter(len(kinds) for kinds in used.values()) == {3: 6, 4: 6}


def test_nobody_is_described(pages: list[dict[str, str]], messages: list[dict[str, dict[str, object]]]) -> None:
    for page in pages:
        assert all(page[name].startswith(SYNTHETIC) for name in ("A11", "A20", "A26", "A32", "A35"))
    personal = ("psn_name", "certno", "hi_no", "curr_addr", "coner_name", "coner_addr", "coner_tel", "bill_no")
    for message in messages:
        assert all(str(message["input"]["setlinfo"][name]).startswith(SYNTHETIC) for name in personal)


@pytest.mark.parametrize("kind", sorted(ENDINGS))
def test_intake_reads_every_file_as_it_was_made(kind: str, made: MadeCases, folder: Path) -> None:
    frame = pl.concat([block.cases for block in read_cases(folder / f"{kind}.{ENDINGS[kind]}")])
    got, given = frame.select(INPUT), made.frame.select(INPUT)
    for name in INPUT:
        if name == "diagnoses":
            # Without a principal diagnosis some formats cannot say which place is empty.
            clear = (given[name].list.len() > 0) & (given[name].list.first() != "")
            assert got[name].filter(clear).to_list() == given[name].filter(clear).to_list()
        elif name in {"age_years", "age_days"}:
            # A missing age is worked out from the dates where the format says so.
            told = made.truth["mistake"].fill_null("") != "missing_age"
            assert got[name].filter(told).to_list() == given[name].filter(told).to_list()
        else:
            assert got[name].to_list() == given[name].to_list(), name
    assert frame["total_cost_fen"].to_list() == made.frame["total_cost_fen"].to_list()
    drgs = group_cases(frame, open_scheme(SCHEME), used_codes=False)["drg"]
    sound = made.truth["drg"].is_not_null()
    assert drgs.filter(sound).to_list() == made.truth["drg"].filter(sound).to_list()


def test_a_city_sends_a_third_of_its_files_in_each_format(tmp_path: Path) -> None:
    files = make_city_month(tmp_path, pack=find_pack(SCHEME), hospitals=6, cases=900, seed=3, month="2026-11")
    kinds = ("flat.csv", "hqms.csv", "4101.ndjson")
    assert [path.name for path in files] == [f"H{number:04d}-{kinds[(number - 101) % 3]}" for number in range(101, 107)]
    assert sorted(tmp_path.iterdir()) == sorted(files)
    blocks = [block for path in files for block in read_cases(path)]
    assert sum(block.cases.height for block in blocks) == 900
    assert [block.source.format for block in blocks] == ["flat", "hqms", "4101"] * 2
    months = {month for block in blocks for month in block.cases["discharge_time"].dt.strftime("%Y-%m")}
    assert months == {"2026-11"}
    again = tmp_path / "again"
    again.mkdir()
    repeated = make_city_month(again, pack=find_pack(SCHEME), hospitals=6, cases=900, seed=3, month="2026-11")
    assert [path.read_bytes() for path in repeated] == [path.read_bytes() for path in files]
