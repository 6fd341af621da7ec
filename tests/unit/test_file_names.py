"""Names as names of files: 255 bytes at most, with what is put before and behind them."""

from __future__ import annotations

from pathlib import Path

from api.core.book import write_whole
from api.core.file_names import file_name, is_short, statement_name


def test_names_are_counted_in_bytes() -> None:
    assert [is_short(name) for name in ("a" * 180, "a" * 181, "中" * 60, "中" * 61)] == [True, False, True, False]


def test_a_name_that_is_too_long_keeps_its_beginning_and_its_ending(tmp_path: Path) -> None:
    assert file_name("中" * 75 + ".csv") == "中" * 75 + ".csv"
    one, other = file_name("中" * 90 + "a.csv"), file_name("中" * 90 + "b.csv")
    assert one != other
    assert one.startswith("中" * 60 + "-")
    assert (one[-4:], len(one)) == (".csv", 60 + 1 + 16 + 4)


def test_a_statement_of_any_hospital_can_be_written(tmp_path: Path) -> None:
    """64 characters, as an id may have, are 768 bytes of an address."""
    assert statement_name("市 1") == "%E5%B8%82%201"
    for hospital in ("中" * 25, "中" * 64, "𠀀" * 64):
        path = tmp_path / f"{statement_name(hospital)}.html"
        write_whole(path, b"x")
        assert path.read_bytes() == b"x"
