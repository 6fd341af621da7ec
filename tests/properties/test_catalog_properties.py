"""Catalogs grown from random histories: what was counted is what the engine finds, and nothing is lost."""

from __future__ import annotations

from collections import Counter

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from grouper.catalog.case_keys import WITHOUT_PROCEDURE
from grouper.catalog.grow import GrowthCounts, grow
from grouper.dip.compile import compile_dip
from grouper.engine import group_cases
from reference_tables.codes import load_code_books
from reference_tables.dip_build import build_dip_pack
from reference_tables.pack_build import PackIdentity

BOOKS = load_code_books()
YEARS = (2024, 2025)
# Codes of one subcategory, of its neighbours, grey ones, a bare category, a dagger, unknown codes, nonsense, blank.
DIAGNOSES = [
    "K80.000x001", "K80.001", "K80.000", "k80.100x001", "K80.2ZZ", "K80", "K81.000", "I10.x05", "I10.X00",
    "A17.000+G01*", "Q99.900", "K8A.000", "肺炎", "",
]  # fmt: skip
PROCEDURES = ["51.2300", "54.5100", "51.1000", "96.0700", "39.9500X007", "99.9999x999", ""]
CASES = st.lists(
    st.tuples(
        st.lists(st.sampled_from(DIAGNOSES), max_size=2),
        st.lists(st.sampled_from(PROCEDURES), max_size=3),
        st.sampled_from([0, 2023, *YEARS]),
        st.booleans(),
    ),
    max_size=40,
)


def frame(cases: list[tuple[list[str], list[str], int, bool]]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "row": range(1, len(cases) + 1),
            "case_id": [str(at) for at in range(len(cases))],
            "diagnoses": [case[0] for case in cases],
            "procedures": [case[1] for case in cases],
        },
        schema={
            "row": pl.UInt32,
            "case_id": pl.String,
            **dict.fromkeys(("diagnoses", "procedures"), pl.List(pl.String)),
        },
    )


@settings(max_examples=10)
@given(CASES, st.integers(1, 4), st.sampled_from(["all", "principal"]))
def test_the_engine_finds_what_was_counted(cases, min_cases, combination) -> None:
    history = frame(cases)
    counts = GrowthCounts(BOOKS, combination)
    year = pl.Series([case[2] for case in cases], dtype=pl.Int16)
    usable = pl.Series([case[3] for case in cases], dtype=pl.Boolean)
    counts.add(counts.counted(history, year, usable))
    grown = grow(counts.frame(), YEARS, min_cases, combination, BOOKS)
    if not grown.expected:
        return
    pack = build_dip_pack(grown.tables, PackIdentity("grown", "1", "grown", "birth"), None)
    found = group_cases(history, compile_dip(pack, BOOKS))
    assert Counter(found.filter(pl.col("dip") != "")["dip"].to_list()) == grown.expected
    assert all(forming >= min_cases for forming in grown.forming.values())
    assert set(grown.forming) == set(pack.tables["core"]["code"])
    # Every principal diagnosis with a category of some chapter is in a group; only one core row fits a case.
    lettered = [bool(case[0]) and case[0][0][:1].isascii() and case[0][0][1:3].isdigit() for case in cases]
    assert (found["status"] == "GROUPED").to_list() == lettered
    assert found["rows_fit"].max() in {0, 1}
    natures = dict(pack.tables["mixed"].select("code", "nature").iter_rows())
    blank = [not any(case[1]) for case in cases]
    for code, untreated in zip(found["dip"], blank, strict=True):
        assert code not in natures or not untreated or natures[code] == str(WITHOUT_PROCEDURE)
