"""However a pack's files are damaged, it loads or it is refused with problems: nothing else is raised."""

from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from reference_tables.pack_show import check_pack
from reference_tables.problems import Level
from reference_tables.table_files import read_table
from tests.unit.small_pack import FILES, write_small

PIECES = [
    b",", b"\n", b'"', b"\r\n", b"\xff", b"\xef\xbb\xbf", b"\x00", b" ", b"1", b"0", b"MDCB", b"I61.000", b"{", b")",
    b"in", b"not ", "，".encode(), "无".encode(), b"EX_1", b"9999999999", b"code",
]  # fmt: skip
EDITS = st.lists(
    st.tuples(st.sampled_from(sorted(FILES)), st.floats(0, 1), st.integers(0, 12), st.sampled_from(PIECES)),
    min_size=1,
    max_size=4,
)


@settings(max_examples=80, deadline=None)
@given(EDITS)
def test_damage_is_loaded_or_refused_with_reasons(edits: list[tuple[str, float, int, bytes]]) -> None:
    with TemporaryDirectory() as place:
        folder = write_small(Path(place) / "p")
        for name, where, cut, piece in edits:
            data = (folder / name).read_bytes()
            at = int(where * len(data))
            (folder / name).write_bytes(data[:at] + piece + data[at + cut :])
        pack, problems = check_pack(folder)
    assert all(str(problem) for problem in problems)
    assert any(problem.level is Level.ERROR for problem in problems) == (pack is None)
    if pack is not None:
        assert pack.drg["order"].dtype == pl.Int32


CELLS = st.text(alphabet="AX0. 中=\t\u00a0", max_size=4)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(CELLS, CELLS), max_size=6))
def test_quoted_and_plain_files_read_the_same(rows: list[tuple[str, str]]) -> None:
    columns = {"set": "code", "code": "code"}
    with TemporaryDirectory() as place:
        plain, quoted = Path(place) / "plain.csv", Path(place) / "quoted.csv"
        plain.write_text("set,code\n" + "".join(f"{a},{b}\n" for a, b in rows), encoding="utf-8")
        quoted.write_text('"set","code"\n' + "".join(f'"{a}","{b}"\n' for a, b in rows), encoding="utf-8")
        left, right = read_table(plain, columns, "t"), read_table(quoted, columns, "t")
    assert left.frame is not None
    assert right.frame is not None
    assert left.frame.rows() == right.frame.rows()
    assert left.problems == right.problems
    assert left.records == right.records == len(rows)
