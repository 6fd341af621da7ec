"""What the work on a submission leaves behind: accepted cases, their results, the problems of all rows; each a Parquet
file named by its content. Later a case may go out of it (it was corrected again, or its settlement refused it): then it
is a new file, and the problems say why."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from string import Formatter
from typing import Any

import polars as pl

from api.service.context import Service
from api.service.values import canonical
from reference_tables.problems import ProblemKind, catalogue


@dataclass(frozen=True)
class Batch:
    """`rows` of the file; `cases` accepted, their `results` (none for withdrawals), `problems` (PROBLEM_SCHEMA)."""

    rows: int
    cases: pl.DataFrame
    results: pl.DataFrame
    problems: pl.DataFrame

    def without(self, told: pl.DataFrame) -> Batch:
        """Without the cases that these problems are of."""
        gone = told["case_id"].unique().implode()
        cases, results = (
            frame.filter(~pl.col("case_id").is_in(gone)) if frame.width else frame
            for frame in (self.cases, self.results)
        )
        problems = pl.concat([self.problems, told]).sort("row", maintain_order=True)
        return Batch(self.rows, cases, results, problems)


def opened(service: Service, row: Any) -> Batch:
    """What a submission's row of the catalogue names."""

    def read(sha256: str) -> pl.DataFrame:
        return pl.read_parquet(service.files.path(sha256))

    return Batch(row.rows, read(row.cases_sha256), read(row.results_sha256), read(row.problems_sha256))


def kept(service: Service, batch: Batch, summary: dict[str, Any]) -> dict[str, Any]:
    """The files of a batch kept, and what the catalogue says of it; `summary`: what is told beside the counts."""
    problems = served(batch.problems)
    told = {**summary, "by_kind": _by_kind(batch.results), "problems": counted(problems)}
    return {
        "cases_sha256": _put(service, batch.cases), "results_sha256": _put(service, batch.results),
        "problems_sha256": _put(service, problems), "rows": batch.rows, "accepted": batch.cases.height,
        "rejected": batch.rows - batch.cases.height, "summary": canonical(told),
    }  # fmt: skip


def served(problems: pl.DataFrame) -> pl.DataFrame:
    """Problems (PROBLEM_SCHEMA) mended by routes and documents where the catalogue speaks of a command's options."""
    kinds = [catalogue()[code] for code in problems["code"].unique() if catalogue()[code].service_fix]
    fix = pl.col("fix")
    for kind in kinds:
        texts = problems.filter(pl.col("code") == kind.code)["fix"].unique()
        spoken = {text: _over_http(text, kind) for text in texts}
        of = pl.col("code") == kind.code
        fix = pl.when(of).then(pl.col("fix").replace(spoken)).otherwise(fix)
    return problems.with_columns(fix.alias("fix"))


def _over_http(text: str, kind: ProblemKind) -> str:
    """What `fix` came to, as `service_fix` with the same arguments; itself where it does not tell all of them."""
    args = args_of(text, kind.fix)
    wanted = {name for _, name, _, _ in Formatter().parse(kind.service_fix) if name}
    spoken = args or text == kind.fix
    return kind.service_fix.format_map(args) if spoken and wanted <= args.keys() else text


def args_of(text: str, template: str) -> dict[str, str]:
    """The arguments by which a template came to a text; none where it is of another template."""
    pattern = "".join(
        re.escape(literal) + (f"(?P<{name}>.*)" if name else "") for literal, name, _, _ in Formatter().parse(template)
    )
    found = re.fullmatch(pattern, text, re.DOTALL)
    return {} if found is None else found.groupdict()


def counted(problems: pl.DataFrame) -> list[dict[str, Any]]:
    """Problems by code, with how many and an example."""
    found = problems.group_by("code", "level").agg(pl.len().alias("count"), pl.col("message").first())
    return found.sort("code", "level").to_dicts()


def _by_kind(results: pl.DataFrame) -> dict[str, dict[str, Any]]:
    """Cases and sums (yuan) by kind of case."""
    if "case_kind" not in results.columns or results.is_empty():
        return {}
    sums = results.group_by("case_kind").agg(pl.len(), pl.col("package", "fund").sum()).sort("case_kind")
    return {
        kind: {"cases": cases, "package": str(package), "fund": str(fund)}
        for kind, cases, package, fund in sums.iter_rows()
    }


def _put(service: Service, frame: pl.DataFrame) -> str:
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd", statistics=False)
    return service.files.put(buffer.getvalue()).sha256
