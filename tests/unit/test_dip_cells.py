"""The cell language of DIP tables: what an item stands for, what is refused, and that printing undoes reading."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference_tables.dip_cells import (
    CellError,
    as_published,
    categories_between,
    diagnosis_items,
    mark_of,
    number_range,
    procedure_alternatives,
    subcategory_of,
)

LETTERS = st.sampled_from("ABKMPZ")
CATEGORY = st.builds("{}{:02d}".format, LETTERS, st.integers(0, 99))
SUBCATEGORY = st.builds("{}.{}".format, CATEGORY, st.sampled_from("0123456789X"))
START = CATEGORY | SUBCATEGORY
MARKED = st.builds("{}{}".format, START, st.sampled_from(["", "+", "*"]))
RANGE = st.tuples(START, START).map(sorted).map("-".join)
WHOLE = st.builds("{}{}".format, SUBCATEGORY, st.sampled_from(["00", "00X001", "01+G01*", "00X005+J17.0*"]))
ITEM = MARKED | RANGE | WHOLE
PROCEDURE = st.from_regex(r"[0-9]{2}\.[0-9]{2}(00|00X00[1-9]|[0-9]{2,3})", fullmatch=True)


@pytest.mark.parametrize(
    ("cell", "inside", "outside"),
    [
        ("A09", ["A09", "A09.0", "A09.900X001", "A09.001+B00.0*"], ["A08.9", "A10.0", "AA9.0", ""]),
        ("A09.0", ["A09.000", "A09.000X003"], ["A09", "A09.100"]),
        ("a09.0", ["A09.000"], ["A09.100"]),
        ("A15-A16", ["A15.000", "A16.900"], ["A14.9", "A17.000"]),
        ("A15.2-A16", ["A15.200", "A15.900", "A16.900"], ["A15.100", "A17.0"]),
        ("C00-C75.1", ["C00.000", "C75.000", "C75.100X001"], ["C75.200", "C76.0"]),
        ("M47.0+", ["M47.001+G99.2*", "M47.000+"], ["M47.000", "M47.100+G99.2*"]),
        ("G01*", ["G01*", "G01.X00*"], ["G01", "A17.000+G01*"]),
        ("Z51.100x001", ["Z51.100X001"], ["Z51.100", "Z51.100X0011"]),
    ],
)
def test_an_item_stands_for_the_codes_that_begin_with_it(cell: str, inside: list[str], outside: list[str]) -> None:
    (item,) = diagnosis_items(cell)
    assert [code for code in inside + outside if item.matches(code)] == inside


@pytest.mark.parametrize(
    ("cell", "lengths"), [("A09", [3]), ("A09.0", [4]), ("A15-A16", [3]), ("A15.2-A16", [3]), ("A15.2-A16.3", [4]),
                          ("A09.000|A17+|M47.0+", [9, 3, 4])]
)  # fmt: skip
def test_the_length_of_an_item(cell: str, lengths: list[int]) -> None:
    assert [item.length for item in diagnosis_items(cell)] == lengths


def test_empty_cells_and_any() -> None:
    assert diagnosis_items("") == diagnosis_items("*") == ()
    assert procedure_alternatives("") == ()
    assert number_range("") is None


@pytest.mark.parametrize(
    "cell", ["A9", "A09.", "A09|", "|A09", "A09|*", "A16-A15", "A15+-A16", "A15-A16-A17", "A09;A10", "09.0", "A09-1"]
)
def test_unreadable_diagnosis_cells_say_what_was_expected(cell: str) -> None:
    with pytest.raises(CellError) as caught:
        diagnosis_items(cell)
    assert "诊断" in caught.value.reason


@pytest.mark.parametrize("cell", ["47.01,47.02", "47.0100|", "+47.0100", "4.7", "47", "A09", "47.01 00", "47.0100++"])
def test_unreadable_procedure_cells_say_what_was_expected(cell: str) -> None:
    with pytest.raises(CellError) as caught:
        procedure_alternatives(cell)
    assert "手术操作" in caught.value.reason


def test_procedure_alternatives_are_sorted_upper_case_each_code_once() -> None:
    assert procedure_alternatives("96.7201+39.9500x007+96.7201|47.0100") == (("39.9500X007", "96.7201"), ("47.0100",))


@pytest.mark.parametrize(
    ("cell", "limits"), [("0-28", (0, 28)), ("29-", (29, None)), ("-28", (None, 28)), ("5-5", (5, 5))]
)
def test_ranges_of_numbers(cell: str, limits: tuple[int | None, int | None]) -> None:
    assert number_range(cell) == limits


@pytest.mark.parametrize("cell", ["-", "28", "28-0", "0~28", "<29", "1.5-2", "0-1234567890"])
def test_unreadable_ranges(cell: str) -> None:
    with pytest.raises(CellError):
        number_range(cell)


@pytest.mark.parametrize(
    ("code", "subcategory", "mark"),
    [("A09.900X001", "A09.9", ""), ("I10.X00", "I10.X", ""), ("A17.000+G01*", "A17.0", "+"), ("G01*", "G01*", "*")],
)
def test_parts_of_a_code(code: str, subcategory: str, mark: str) -> None:
    assert (subcategory_of(code), mark_of(code)) == (subcategory, mark)


def test_categories_cross_a_letter() -> None:
    assert list(categories_between("A98.1", "B01")) == ["A98", "A99", "B00", "B01"]


def test_codes_are_shown_as_the_books_spell_them() -> None:
    assert as_published("I10.X00、X59.0、X60-X84、A01.000X005+J17.0*、86.3X02") == (
        "I10.x00、X59.0、X60-X84、A01.000x005+J17.0*、86.3x02"
    )


@given(st.lists(ITEM, min_size=1, max_size=5))
def test_printing_items_undoes_reading_them(texts: list[str]) -> None:
    items = diagnosis_items("|".join(texts))
    same_ends = [text.split("-")[0] if "-" in text and len(set(text.split("-"))) == 1 else text for text in texts]
    assert [str(item) for item in items] == same_ends
    assert diagnosis_items("|".join(map(str, items))) == items


@given(ITEM)
def test_the_lower_end_of_an_item_falls_under_it(text: str) -> None:
    (item,) = diagnosis_items(text)
    assert item.matches(item.low + item.mark)


@given(st.lists(st.lists(PROCEDURE, min_size=1, max_size=3), min_size=1, max_size=4))
def test_printing_alternatives_undoes_reading_them(wanted: list[list[str]]) -> None:
    read = procedure_alternatives("|".join("+".join(codes) for codes in wanted))
    assert [set(codes) for codes in read] == [set(codes) for codes in wanted]
    assert procedure_alternatives("|".join("+".join(codes) for codes in read)) == read


def reason_of(read: Callable[[str], object], text: str) -> str:
    """Why a cell is refused; "" when it is read."""
    try:
        read(text)
    except CellError as error:
        return error.reason
    return ""


@given(st.text(alphabet="A09.+*|-x 1", max_size=12) | st.text(max_size=12))
def test_any_text_is_read_or_refused_with_a_reason(text: str) -> None:
    reasons = [reason_of(read, text) for read in (diagnosis_items, procedure_alternatives, number_range)]
    # No text but the empty one is a diagnosis, a procedure and a range at once.
    assert any(reasons) is (text != "")
