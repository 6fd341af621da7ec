"""A list of settled cases that a hospital withdraws: a table in any of the encodings that case files have, or the
first sheet of a workbook."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import polars as pl

from api.core.settle import WITHDRAWAL_SCHEMA
from api.core.settle_files import read_withdrawals
from api.service.batches import Batch
from api.service.fitting import Around, fitting, once
from api.service.submissions import SubmissionInfo
from grouper.formats.csv_text import UTF8, UTF8_BOM, detect_encoding
from grouper.formats.detect import ZIP_MAGIC
from grouper.formats.source import InputFile, IntakeError
from grouper.going_on import waited
from reference_tables.case_formats import format_facts
from reference_tables.problems import PROBLEM_SCHEMA, Problem, TablesRefused, problem_frame
from reference_tables.spreadsheets import BrokenWorkbook, open_spreadsheet


def read_withdrawn(path: Path, found: SubmissionInfo, around: Around) -> Batch:
    """The cases of the list that can be withdrawn (WITHDRAWAL_SCHEMA), and the problems of the others."""
    nothing = pl.DataFrame(schema=PROBLEM_SCHEMA)
    try:
        listed = waited(lambda: read_withdrawals(_plain(path)))
    except (IntakeError, TablesRefused) as error:
        none = pl.DataFrame(schema=WITHDRAWAL_SCHEMA)
        why = problem_frame(error.problems).with_columns(pl.lit(found.file_name).alias("file"))
        return Batch(0, none, none, why)
    if listed.is_empty():
        return Batch(0, listed, listed, problem_frame([Problem("IN03", file=found.file_name)]))
    listed = listed.with_columns(
        pl.col("hospital_id").fill_null(found.hospital_id), pl.col("reason").fill_null(found.reason),
        pl.lit(found.file_name).alias("file"),
    )  # fmt: skip
    fit, out, told = fitting(listed, found, around)
    gone, more = once(fit, out, found)
    cases = fit.filter(~pl.col("row").is_in(gone.implode()))
    return Batch(listed.height, cases, cases, pl.concat([nothing, *told, *more]).sort("row", maintain_order=True))


def _plain(path: Path) -> Path:
    """The list as CSV in UTF-8, each record on the line or row where a person sees it. Raises IntakeError (IN01, IN04,
    IN05, IN53)."""
    limit = format_facts().reading.longest_list
    with InputFile(path) as source:
        if source.head(len(ZIP_MAGIC)) == ZIP_MAGIC:
            text = _lines(_first_sheet(source))
        else:
            if source.size > limit:
                raise source.refused("IN53", limit=limit)
            encoding = detect_encoding(source)
            if encoding in {UTF8, UTF8_BOM}:
                return path
            data = path.read_bytes()
            try:
                text = data.decode(encoding)
            except UnicodeDecodeError as error:
                raise source.refused("IN05", row=data[: error.start].count(b"\n") + 1) from None
    made = path.with_name("list.csv")
    made.write_text(text, encoding="utf-8", newline="")
    return made


def _first_sheet(source: InputFile) -> Sequence[Sequence[str | None]]:
    try:
        return open_spreadsheet(source.path).load(0, dtypes="string").to_polars().rows()
    except BrokenWorkbook as error:
        raise source.refused("IN01", reason=error.reason) from error


def _lines(rows: Iterable[Sequence[str | None]]) -> str:
    """Rows as lines of CSV; a row without anything is an empty line."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    for row in rows:
        cells = [" ".join((cell or "").split()) for cell in row]
        writer.writerow(cells if any(cells) else [])
    return out.getvalue()
