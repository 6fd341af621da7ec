"""A list of cases of closed months that a hospital withdraws."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from api.core.settle import WITHDRAWAL_SCHEMA
from api.core.settle_files import read_withdrawals
from api.service.submissions import SubmissionInfo
from reference_tables.problems import PROBLEM_SCHEMA, TablesRefused, problem_frame, problem_rows


def read_withdrawn(path: Path, found: SubmissionInfo) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The cases (WITHDRAWAL_SCHEMA) and the problems of the list; another hospital's cases stay out."""
    nothing = pl.DataFrame(schema=PROBLEM_SCHEMA)
    try:
        listed = read_withdrawals(path)
    except TablesRefused as error:
        return pl.DataFrame(schema=WITHDRAWAL_SCHEMA), problem_frame(error.problems)
    listed = listed.with_columns(
        pl.col("hospital_id").fill_null(found.hospital_id), pl.col("reason").fill_null(found.reason)
    )
    foreign = listed.filter(pl.col("hospital_id") != found.hospital_id)
    args: dict[str, pl.Expr | str] = {"value": pl.col("hospital_id"), "hospital": found.hospital_id}
    told = problem_rows(
        foreign, "SV30", file=found.file_name, field="hospital_id", value=pl.col("hospital_id"), args=args
    )
    return listed.filter(pl.col("hospital_id") == found.hospital_id), pl.concat([nothing, told])
