"""Groups of a catalog from counts of cases, worked out by hand."""

from __future__ import annotations

import polars as pl
import pytest

from grouper.catalog.case_keys import CaseKeys
from grouper.catalog.grow import Grown, GrowthCounts, grow
from reference_tables.codes import load_code_books

# Gallstones with acute cholecystitis K80.0, without cholecystitis K80.2; acute appendicitis K35.9 is in chapter 11
# too. 51.2300 laparoscopic cholecystectomy, 54.5100 lysis of adhesions, 51.1000 ERCP (diagnostic), 96.0700 gastric
# tube (therapeutic).
CHOLECYSTECTOMY, LYSIS = "51.2300", "54.5100"


def block(*cases: tuple[list[str], list[str]]) -> pl.DataFrame:
    return pl.DataFrame(
        {"diagnoses": [case[0] for case in cases], "procedures": [case[1] for case in cases]},
        schema={"diagnoses": pl.List(pl.String), "procedures": pl.List(pl.String)},
    ).with_columns(pl.int_range(1, pl.len() + 1, dtype=pl.UInt32).alias("row"), pl.lit(None, pl.String).alias("defect"))


def grown(
    cases: list[tuple[list[str], list[str]]], *, years: list[int] | None = None, usable: list[bool] | None = None,
    min_cases: int = 3, combination: str = "all", cut: int = 1000,
) -> Grown:  # fmt: skip
    frame = block(*cases)
    year = pl.Series(years or [2025] * frame.height, dtype=pl.Int16)
    counts = GrowthCounts(load_code_books(), combination)
    good = pl.Series(usable or [True] * frame.height)
    for start in range(0, frame.height, cut):
        counts.add(counts.counted(*(part.slice(start, cut) for part in (frame, year, good))))
    return grow(counts.frame(), [2023, 2024, 2025], min_cases, combination, load_code_books())


def keys(combination: str, *cases: tuple[list[str], list[str]]) -> list[tuple[object, ...]]:
    return CaseKeys(load_code_books(), combination).of(block(*cases)).rows()


def test_keys_of_cases() -> None:
    found = keys(
        "all",
        (["K80.000", "I10.x00"], []),
        (["i10.X05 "], ["", "54.5100", "51.2300", "54.5100"]),
        (["K80.000"], ["51.2300", "99.9999x999"]),
        (["K80.0zz"], ["99.9999x999", "51.2300"]),
        ([""], []),
        (["K80"], ["39.9500X007"]),
        (["胆囊结石"], [""]),
        (["I10.x00"], []),
        ([], []),
    )
    assert found == [
        ("K80", "K80.0", "", 1, False),  # K80.000 is a grey code
        ("I10", "I10.X", "51.2300+54.5100", 4, True),
        ("K80", "K80.0", None, 4, False),
        ("K80", "K80.0", None, 1, False),  # an unknown principal procedure has the default nature
        (None, None, "", 1, False),
        ("K80", None, "39.9500x007", 3, False),
        (None, None, "", 1, False),
        ("I10", "I10.X", "", 1, False),  # grey
        (None, None, "", 1, False),
    ]


def test_keys_by_the_principal_procedure() -> None:
    found = keys(
        "principal",
        (["K80.001"], ["54.5100", "51.2300"]),
        (["K80.001"], ["", "51.2300", "99.9999x999"]),
        (["K80.001"], ["99.9999x999", "51.2300"]),
        (["K80.001"], []),
    )
    assert [(px, nature, forms) for _, _, px, nature, forms in found] == [
        ("54.5100", 4, True), ("51.2300", 4, False), (None, 1, False), ("", 1, True),
    ]  # fmt: skip


def operated(count: int, diagnosis: str, *procedures: str) -> list[tuple[list[str], list[str]]]:
    return [([diagnosis], list(procedures))] * count


def test_core_groups_need_so_many_cases() -> None:
    found = grown(
        [
            *operated(3, "K80.001", CHOLECYSTECTOMY, LYSIS),
            *operated(2, "K80.002", LYSIS, CHOLECYSTECTOMY, LYSIS),  # the same set of the same subcategory
            *operated(3, "K80.200x003", CHOLECYSTECTOMY),
            *operated(4, "K80.200x003"),
            *operated(2, "K80.001", CHOLECYSTECTOMY),
        ]
    )
    core = found.tables["core"].select("code", "principal_dx", "px_mode", "px", "number", "layer").rows()
    assert core == [
        ("K80.0:51.2300+54.5100", "K80.0", "exact", "51.2300+54.5100", "1", "local"),
        ("K80.2:0", "K80.2", "none", "", "2", "local"),
        ("K80.2:51.2300", "K80.2", "exact", "51.2300", "3", "local"),
    ]
    assert found.expected == {
        "K80.0:51.2300+54.5100": 5, "K80.2:0": 4, "K80.2:51.2300": 3, "CH11-4": 2,
    }  # fmt: skip
    assert found.forming == {"K80.0:51.2300+54.5100": 5, "K80.2:0": 4, "K80.2:51.2300": 3}


def test_three_levels_of_mixed_groups() -> None:
    found = grown(
        [
            # Three conservative-less remainders of one subcategory and nature: a subcategory group.
            (["K80.001"], ["51.2300"]), (["K80.001"], ["54.5100"]), (["K80.002"], ["51.2300", "54.5100"]),
            # Two of K80.1 and one of K80.2 with surgery: a category group.
            (["K80.101"], ["51.2300"]), (["K80.101"], ["54.5100"]), (["K80.200x003"], ["51.2300"]),
            # One each of diagnostic and therapeutic procedures, in chapter 11; one conservative in chapter 10.
            (["K80.001"], ["51.1000"]), (["K35.900"], ["96.0700"]), (["J18.900"], []),
        ]
    )  # fmt: skip
    assert found.tables["core"].is_empty()
    assert found.tables["mixed"].select("code", "level", "scope", "nature").rows() == [
        ("K80.0-4", "subcategory", "K80.0", "4"),
        ("K80-4", "category", "K80", "4"),
        ("CH10-1", "chapter", "J00-J99", "1"),
        ("CH11-2", "chapter", "K00-K93", "2"),
        ("CH11-3", "chapter", "K00-K93", "3"),
    ]
    assert found.expected == {"K80.0-4": 3, "K80-4": 3, "CH10-1": 1, "CH11-2": 1, "CH11-3": 1}


def test_names_out_of_the_books() -> None:
    found = grown(
        [*operated(3, "I10.x05"), *operated(3, "K80.001", CHOLECYSTECTOMY, LYSIS), *operated(1, "A17.000+G01*")]
    )
    names = dict(zip(found.tables["core"]["code"], found.tables["core"]["name"], strict=True))
    assert names["I10.x:0"] == "特发性(原发性)高血压：保守治疗"
    assert names["K80.0:51.2300+54.5100"] == "胆囊结石伴有急性胆囊炎：腹腔镜下胆囊切除术+腹腔镜下腹膜粘连松解术"
    assert found.tables["mixed"]["name"].to_list() == ["某些传染病和寄生虫病：保守治疗"]


def test_unknown_codes_and_grey_principals_form_no_core_group() -> None:
    odd = [
        *operated(5, "K80.001", CHOLECYSTECTOMY, "99.9999x999"),
        *operated(5, "K80.2ZZ", CHOLECYSTECTOMY),
        *operated(5, "I10.x00"),
    ]
    found = grown(odd)
    assert found.tables["core"].is_empty()
    assert found.expected == {"K80.0-4": 5, "K80.2-4": 5, "I10.x-1": 5}
    assert found.unfit == 15


def test_a_core_group_takes_what_cannot_form_it() -> None:
    found = grown([*operated(3, "K80.200x003", CHOLECYSTECTOMY), *operated(2, "K80.2ZZ", CHOLECYSTECTOMY)])
    assert found.expected == {"K80.2:51.2300": 5}
    assert found.forming == {"K80.2:51.2300": 3}


def test_only_usable_cases_of_the_years_form_groups() -> None:
    cases = operated(5, "K80.200x003", CHOLECYSTECTOMY)
    enough = grown(cases, years=[2022, 2023, 2024, 2025, 2026])
    assert (enough.expected, enough.forming) == ({"K80.2:51.2300": 5}, {"K80.2:51.2300": 3})
    short = grown(cases, usable=[True, True, False, False, False])
    assert short.expected == {"CH11-4": 5}
    assert grown(cases, years=[0, 0, 0, 2024, 2025]).forming == {}


def test_principal_procedure_alone() -> None:
    found = grown(
        [*operated(2, "K80.001", CHOLECYSTECTOMY, LYSIS), *operated(1, "K80.002", CHOLECYSTECTOMY)],
        combination="principal",
    )
    assert found.tables["core"].select("code", "px_mode", "px").rows() == [("K80.0:51.2300", "principal", "51.2300")]
    assert found.tables["meta"].select("key", "value").rows() == [("combination", "principal")]


def test_principals_without_a_chapter_stay_out() -> None:
    found = grown([(["肺炎"], []), ([""], []), ([], []), (["12345"], ["51.2300"])])
    assert found.expected == {}


def test_records_with_a_defect_are_not_counted() -> None:
    frame = block(*operated(3, "K80.200x003")).with_columns(pl.Series("defect", ["IN20", None, None]))
    counts = GrowthCounts(load_code_books(), "all")
    counts.add(counts.counted(frame, pl.Series([2025] * 3, dtype=pl.Int16), pl.Series([True] * 3)))
    assert counts.frame()["cases"].to_list() == [2]


@pytest.mark.parametrize("cut", [1, 2, 5])
def test_blocks_and_order_do_not_matter(cut: int) -> None:
    cases = [
        *operated(3, "K80.001", CHOLECYSTECTOMY, LYSIS), *operated(4, "K80.200x003"), *operated(2, "J18.900"),
        *operated(1, "K80.101", "51.1000"),
    ]  # fmt: skip
    one, other = grown(cases), grown(cases[::-1], cut=cut)
    assert one.expected == other.expected
    assert all(one.tables[name].equals(other.tables[name]) for name in one.tables)
