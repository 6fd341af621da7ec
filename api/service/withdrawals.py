"""A list of settled cases that a hospital withdraws."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from api.core.settle import WITHDRAWAL_SCHEMA
from api.core.settle_files import read_withdrawals
from api.service.batches import Batch
from api.service.fitting import Around, fitting, once
from api.service.submissions import SubmissionInfo
from reference_tables.problems import PROBLEM_SCHEMA, Problem, TablesRefused, problem_frame


def read_withdrawn(path: Path, found: SubmissionInfo, around: Around) -> Batch:
    """The cases of the list that can be withdrawn (WITHDRAWAL_SCHEMA), and the problems of the others."""
    nothing = pl.DataFrame(schema=PROBLEM_SCHEMA)
    try:
        listed = read_withdrawals(path)
    except TablesRefused as error:
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
