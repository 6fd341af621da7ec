"""The progress bar's guess of how many cases a file holds."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from api.cli.progress import expected_rows


def test_rows_are_guessed_from_lines_and_read_from_parquet(tmp_path: Path) -> None:
    lines = "case_id,sex\n" + "12345,1\n" * 100_000
    (tmp_path / "a.csv").write_text(lines, encoding="utf-8")
    pl.DataFrame({"case_id": ["1"] * 77}).write_parquet(tmp_path / "a.parquet")
    (tmp_path / "a.xlsx").write_bytes(b"PK\x03\x04\n\n\n")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 nothing\n more")
    guess = expected_rows(str(tmp_path / "a.csv"))
    assert guess is not None
    assert 99_000 < guess < 101_000
    assert expected_rows(str(tmp_path / "a.parquet")) == 77
    assert [expected_rows(str(tmp_path / name)) for name in ("a.xlsx", "broken.parquet", "none.csv")] == [None] * 3
