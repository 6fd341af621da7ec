"""Result files: whole or not there, the same bytes however the rows were cut, codes as text."""

from __future__ import annotations

import shutil
from pathlib import Path

import fastexcel
import polars as pl
import pytest

import grouper.output as output_module
from grouper.output import ResultWriter
from reference_tables.formula_cells import guarded_rows, row_as_given
from reference_tables.table_files import read_table

ROWS = pl.DataFrame(
    {
        "case_id": ["=cmd|' /C calc'!A0", "007", "三"],
        "code": ["03.0900", "A00.100", ""],
        "row": pl.Series([2, 3, 4], dtype=pl.UInt32),
    }
)
KINDS = (".csv", ".parquet", ".xlsx")


def written(path: Path, cut: int) -> bytes:
    writer = ResultWriter.open(str(path))
    for at in range(0, ROWS.height, cut):
        writer.write(ROWS.slice(at, cut))
    writer.close()
    return path.read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_the_bytes_do_not_depend_on_the_blocks(tmp_path: Path, kind: str) -> None:
    whole = written(tmp_path / f"a{kind}", 3)
    assert written(tmp_path / f"b{kind}", 1) == whole == written(tmp_path / f"c{kind}", 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{name}{kind}" for name in "abc"]


def test_csv_has_a_byte_order_mark_and_every_value(tmp_path: Path) -> None:
    data = written(tmp_path / "a.csv", 2)
    assert data.startswith(b"\xef\xbb\xbfcase_id,code,row\n")
    assert data.decode("utf-8-sig").splitlines()[3] == '三,"",4'


def test_what_looks_like_a_formula_is_written_as_text_and_read_as_it_was(tmp_path: Path) -> None:
    texts = ["=cmd|x", "@x", "+1+1", "-2+3", "\ta", "'=x", "＝1", "'x", "", "-", "-5.00", "-0.5%", "三", "0.10"]
    shown = ["'=cmd|x", "'@x", "'+1+1", "'-2+3", "'\ta", "''=x", "'＝1", *texts[7:]]
    frame = pl.DataFrame({"case_id": texts, "at": range(len(texts)), "same": texts[7:] * 2})
    writer = ResultWriter.open(str(tmp_path / "a.csv"))
    writer.write(frame)
    writer.close()
    raw = pl.read_csv(tmp_path / "a.csv", infer_schema=False)
    assert raw["case_id"].to_list() == shown
    assert raw["same"].to_list() == frame["same"].to_list()
    assert [row for (row,) in guarded_rows((text,) for text in texts)] == shown
    found = read_table(tmp_path / "a.csv", {"case_id": "text", "at": "code"}).frame
    assert found is not None
    assert found["case_id"].to_list() == texts
    assert [row_as_given({"": text})[""] for text in shown] == texts


def test_parquet_gives_back_the_frame(tmp_path: Path) -> None:
    written(tmp_path / "a.parquet", 2)
    assert pl.read_parquet(tmp_path / "a.parquet").equals(ROWS)


def test_a_workbook_keeps_codes_and_formulas_as_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_module, "SHEET_ROWS", 2)
    written(tmp_path / "a.xlsx", 3)
    book = fastexcel.read_excel(tmp_path / "a.xlsx")
    assert book.sheet_names == ["结果1", "结果2"]
    first = book.load_sheet(0).to_polars()
    assert first["case_id"].to_list() == ROWS["case_id"].to_list()[:2]
    assert first["code"].to_list() == ["03.0900", "A00.100"]
    assert b"<f>" not in (tmp_path / "a.xlsx").read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_an_abandoned_file_leaves_nothing_and_spares_the_old_one(tmp_path: Path, kind: str) -> None:
    place = tmp_path / f"a{kind}"
    place.write_bytes(b"the last good result")
    writer = ResultWriter.open(str(place))
    writer.write(ROWS)
    writer.abort()
    assert [path.name for path in tmp_path.iterdir()] == [place.name]
    assert place.read_bytes() == b"the last good result"


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_frame_there_is_no_file(tmp_path: Path, kind: str) -> None:
    ResultWriter.open(str(tmp_path / f"a{kind}")).close()
    assert list(tmp_path.iterdir()) == []


def test_a_sink_that_breaks_is_an_error_not_a_hang(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    writer = ResultWriter.open(str(folder / "a.parquet"))
    shutil.rmtree(folder)
    writer.write(ROWS)
    with pytest.raises(OSError, match="gone"):
        writer.close()
    writer.abort()


def test_frames_of_another_schema_are_a_programmers_error(tmp_path: Path) -> None:
    writer = ResultWriter.open(str(tmp_path / "a.parquet"))
    writer.write(ROWS)
    with pytest.raises(AssertionError, match="one schema"):
        writer.write(ROWS.rename({"code": "other"}))
    writer.abort()
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_ending_and_a_missing_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\.parquet"):
        ResultWriter.open(str(tmp_path / "a.xls"))
    with pytest.raises(OSError, match="nowhere"):
        ResultWriter.open(str(tmp_path / "nowhere" / "a.csv"))
