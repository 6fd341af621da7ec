"""Clinical edition -> insurance edition: by the crosswalk only, and what it does not carry is listed."""

from __future__ import annotations

import polars as pl

from grouper.encode import encode_cases
from grouper.engine import grouper_of
from grouper.normalize import CLINICAL_MARK, normalize_codes
from grouper.schemes import open_scheme
from grouper.unknown_codes import UnknownCodes
from reference_tables.codes import load_code_books, load_crosswalks


def frame(diagnoses: list[list[str]], procedures: list[list[str]]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "row": pl.Series(range(2, len(diagnoses) + 2), dtype=pl.UInt32),
            "case_id": [f"c{at}" for at in range(len(diagnoses))],
            "diagnoses": pl.Series(diagnoses, dtype=pl.List(pl.String)),
            "procedures": pl.Series(procedures, dtype=pl.List(pl.String)),
        }
    )


def differing(walk: pl.DataFrame) -> tuple[str, str]:
    """A published pair whose two spellings differ, the clinical one unknown to the insurance edition."""
    books = load_code_books()
    known = {*books.diagnosis.frame["code"], *books.procedure.frame["code"]}
    rows = walk.filter((pl.col("from") != pl.col("to")) & ~pl.col("from").is_in(list(known)))
    return rows.row(0)


def test_insurance_edition_is_left_alone() -> None:
    given = frame([["A00.100", "nonsense"]], [[]])
    cases, problems = normalize_codes(given, "insurance")
    assert cases.equals(given)
    assert problems.is_empty()


def test_clinical_codes_become_insurance_codes_in_place() -> None:
    walks = load_crosswalks()
    (dx_from, dx_to), (px_from, px_to) = differing(walks.diagnosis), differing(walks.procedure)
    cases, problems = normalize_codes(frame([["", dx_from, "A00.100"], []], [[px_from], ["", px_from]]), "clinical")
    assert cases["diagnoses"].to_list() == [["", dx_to, "A00.100"], []]
    assert cases["procedures"].to_list() == [[px_to], ["", px_to]]
    assert problems.is_empty()


def test_a_code_that_only_the_insurance_edition_has_is_refused_not_taken_over() -> None:
    walk = set(load_crosswalks().diagnosis["from"])
    book = load_code_books().diagnosis.frame.filter(~pl.col("gray"))
    own = next(code for code in book["code"] if code not in walk)
    cases, problems = normalize_codes(
        frame([["A00.100"], ["A00.100", own]], [[], ["00.XXXX"]]), "clinical", file="m.csv"
    )
    assert cases["diagnoses"].to_list() == [["A00.100"], ["A00.100", CLINICAL_MARK + own]]
    listed = problems.select("file", "row", "case_id", "code", "field", "value").rows()
    assert listed == [
        ("m.csv", 3, "c1", "GR05", "diagnoses", own),
        ("m.csv", 3, "c1", "GR06", "procedures", "00.XXXX"),
    ]


def test_unknown_and_grey_codes_are_listed_once_each_in_their_case() -> None:
    scheme = open_scheme("chs-drg-1.1")
    gray = next(code for code in load_code_books().diagnosis.frame.filter("gray")["code"] if code == "A00.000")
    cases = frame([["K80.101"], [gray, "Q99.9999", CLINICAL_MARK + "A"]], [["99.nope"], ["51.2300", "51.2300"]])
    encoded = encode_cases(cases, scheme.indexes, "birth")
    found = UnknownCodes(grouper_of(scheme).scheme).problems(cases, encoded, file="m.csv")
    assert found.select("row", "code", "field", "value").rows() == [
        (2, "GR02", "procedures", "99.nope"),
        (3, "GR01", "diagnoses", "Q99.9999"),
        (3, "GR03", "diagnoses", gray),
    ]
    assert gray in found["message"][2]
