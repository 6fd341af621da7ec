"""Reading does not depend on where blocks are cut, and clean tables come back cell for cell."""

from __future__ import annotations

import csv
import io
import tempfile
from dataclasses import replace
from pathlib import Path

import orjson
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grouper.intake import IntakeError, read_cases
from reference_tables.case_formats import format_facts

HEADER = "case_id,sex,age,diagnoses,procedures,department,dx_names"
SETTINGS = settings(max_examples=25, deadline=None)

# pieces that make trouble together: quotes open and shut, delimiters, line ends, blanks, bad bytes
PIECES = st.sampled_from(
    [
        '"',
        '""',
        ",",
        ",,,",
        "\n",
        "\r\n",
        " ",
        "|",
        "\0",
        'a"b',
        "\u3000",
        ",,,,,,\n",
        "1,1,45,A|B,C,d,e\n",
        '2,2,"4',
        '5,A,"x\ny",C,d\n',
        "三,1,四十岁,A,,,\n",
        "3,1,7,|A,,,\n",
        '"1","1","45","A","","",""\n',
    ]
)
TEXTS = st.lists(PIECES, max_size=40).map("".join)
SIZES = st.integers(1, 40)


def read(content: bytes, name: str, size: int) -> tuple[pl.DataFrame, pl.DataFrame] | tuple[str, ...]:
    """All cases and problems, or the codes for which the file is refused."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        try:
            blocks = list(read_cases(path, block_rows=size))
        except IntakeError as error:
            return tuple(problem.code for problem in error.problems)
    return pl.concat([b.cases for b in blocks]), pl.concat([b.problems for b in blocks])


def same(left: object, right: object) -> bool:
    if isinstance(left, tuple) and isinstance(right, tuple) and left and isinstance(left[0], pl.DataFrame):
        return isinstance(right[0], pl.DataFrame) and all(a.equals(b) for a, b in zip(left, right, strict=True))
    return bool(left == right)


@SETTINGS
@given(text=TEXTS, size=SIZES, encoding=st.sampled_from(["utf-8", "gb18030", "utf-8-sig", "utf-16"]))
def test_any_block_size_gives_the_same_cases_and_problems(text: str, size: int, encoding: str) -> None:
    content = f"{HEADER}\n{text}".encode(encoding)
    assert same(read(content, "a.csv", size), read(content, "a.csv", 100_000))


@SETTINGS
@given(text=TEXTS, size=SIZES, encoding=st.sampled_from(["utf-8", "gb18030", "utf-16"]), longest=st.integers(3, 30))
def test_lines_too_long_are_told_alike_for_any_block_size(text: str, size: int, encoding: str, longest: int) -> None:
    content = f"{HEADER}\n{text}".encode(encoding)
    facts = format_facts()
    with pytest.MonkeyPatch.context() as patch:
        short = replace(facts, reading=replace(facts.reading, longest_line=longest))
        patch.setattr("grouper.formats.csv_text.format_facts", lambda: short)
        assert same(read(content, "a.csv", size), read(content, "a.csv", 100_000))


@SETTINGS
@given(text=TEXTS, cut=st.integers(0, 200), size=SIZES)
def test_damaged_bytes_are_told_alike_for_any_block_size(text: str, cut: int, size: int) -> None:
    content = f"{HEADER}\n1,1,4,A,,内科,\n2,1,4,A,,内科,\n3,1,4,A,,内科,\n{text}".encode()
    content = content[: 90 + cut] + b"\xff" + content[90 + cut :]
    assert same(read(content, "a.csv", size), read(content, "a.csv", 100_000))


LETTERS = st.characters(blacklist_categories=("Cs", "Cc", "Zs", "Zl", "Zp"), blacklist_characters="|\ufeff")
CELLS = st.text(LETTERS, max_size=6)
NAMES = st.text(st.sampled_from('ab",;\n三'), max_size=8).map(str.strip)
CODES = st.lists(CELLS, max_size=4)
ROWS = st.lists(st.tuples(CELLS, st.integers(0, 9), st.integers(0, 130), CODES, NAMES), min_size=1, max_size=30)


@SETTINGS
@given(
    rows=ROWS,
    size=SIZES,
    delimiter=st.sampled_from(",\t;"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_clean_tables_come_back_cell_for_cell(
    rows: list[tuple[str, int, int, list[str], str]], size: int, delimiter: str, quoting: int
) -> None:
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, quoting=quoting, lineterminator="\n")  # type: ignore[arg-type]
    writer.writerow(["case_id", "sex", "age", "diagnoses", "department", "discharge_way"])
    for number, sex, age, codes, name in rows:
        writer.writerow([number, sex, age, "|".join(codes), name, "1"])
    result = read(out.getvalue().encode(), "a.csv", size)
    assert isinstance(result[0], pl.DataFrame)
    cases = result[0]
    assert cases["row"].to_list() == list(range(2, len(rows) + 2))
    assert cases["case_id"].to_list() == [number or None for number, *_ in rows]
    assert cases["sex"].to_list() == [sex for _, sex, *_ in rows]
    assert cases["age_years"].to_list() == [age for _, _, age, *_ in rows]
    assert cases["department"].to_list() == [name or None for *_, name in rows]
    wanted = [[*codes[:1], *filter(None, codes[1:])] if any(codes) else [] for *_, codes, _ in rows]
    assert cases["diagnoses"].to_list() == wanted


MESSAGES = st.lists(
    st.one_of(
        st.just(b"{broken"),
        st.just(b""),
        st.just(b"7"),
        st.builds(
            lambda age, flags, odd: orjson.dumps(
                {"input": {"setlinfo": {"setl_id": "S", "gend": "1", "age": age, **odd},
                           "diseinfo": [{"diag_code": f"A{n}", "maindiag_flag": f} for n, f in enumerate(flags)]}}
            ),
            st.sampled_from(["45", "x", None, 45.5]),
            st.lists(st.sampled_from(["0", "1"]), max_size=3),
            st.dictionaries(st.sampled_from(["foo", "bar"]), st.integers(0, 9), max_size=2),
        ),
    ),
    min_size=2,
    max_size=20,
)  # fmt: skip


@SETTINGS
@given(lines=MESSAGES, size=SIZES)
def test_messages_do_not_depend_on_blocks_either(lines: list[bytes], size: int) -> None:
    content = b'{"input": {"setlinfo": {"setl_id": "S0"}}}\n' + b"\n".join(lines)
    assert same(read(content, "a.ndjson", size), read(content, "a.ndjson", 100_000))
