"""What a settlement refused of the submissions that it took: told to the hospital with its submission, and to the
office with the settlement's own result, by submission and reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from api.core.settle import Settled
from api.service.batches import args_of, kept, opened
from api.service.context import Service
from api.service.submissions import DONE, REFUSED, SubmissionInfo
from api.service.values import now
from reference_tables.problems import Level, catalogue


@dataclass(frozen=True)
class Refusals:
    """`left`: what the catalogue says of each submission from which cases were refused; `told`: of each of them how
    many cases were refused, and why."""

    left: Mapping[str, Mapping[str, Any]]
    told: list[dict[str, Any]]


def refusals(
    service: Service, settled: Settled, rows: Mapping[str, SubmissionInfo], files: Mapping[str, str], month: str
) -> Refusals:  # fmt: skip
    """`files`: what the file of each submission is called in the settlement of `month`. A submission without a case
    left is refused as a whole: its file may come again."""
    rejected = settled.problems.filter(pl.col("level") == Level.REJECT.value)
    left: dict[str, dict[str, Any]] = {}
    told: list[dict[str, Any]] = []
    for name, row in rows.items():
        of_file = rejected.filter(pl.col("file") == files[name]).with_columns(file=pl.lit(row.file_name))
        if of_file.is_empty():
            continue
        batch = opened(service, row)
        rest = batch.without(of_file)
        gone = batch.cases.height - rest.cases.height
        settlement = {"month": month, "refused": gone, "at": now()}
        values = kept(service, rest, {**dict(row.summary), "settlement": settlement})
        state = DONE if rest.cases.height else REFUSED
        left[name] = {**values, "state": state}
        told.append({
            "submission": name, "hospital_id": row.hospital_id, "month": row.month, "kind": row.kind, "state": state,
            "refused": gone, "settled": rest.cases.height, "problems": _reasons(of_file),
        })  # fmt: skip
    return Refusals(left, told)


def _reasons(problems: pl.DataFrame) -> list[dict[str, Any]]:
    """Problems by code and reason, no case named: how many, and how they are mended over HTTP."""
    counts: dict[tuple[str, str], int] = {}
    for code, message in problems.select("code", "message").iter_rows():
        kind = catalogue()[code]
        reason = args_of(message, kind.message).get("reason", kind.told)
        counts[code, reason] = counts.get((code, reason), 0) + 1
    return [
        {"code": code, "reason": reason, "count": count, "fix": catalogue()[code].mended(served=True)}
        for (code, reason), count in sorted(counts.items())
    ]
