"""The rows of a submission as payable cases, by a basis: read when it is worked on, and anew when it is settled by
documents that differ from those.

What a case is grouped to, its tier and what is paid apart come from the scheme, the policy, the register and the list
of separate payments; a settlement goes by these as they stand when it is asked for, like the command over the same
files. Which rows are accepted stays as it was told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from api.core.book import Book
from api.core.pay import in_yuan
from api.core.pay_inputs import registered
from api.core.payable import PayableBlock, PayableFiles
from api.core.settle_tiers import by_settled_tiers
from api.service.basis import Basis
from api.service.batches import Batch, kept, opened
from api.service.context import Service
from api.service.documents import IN_FORCE
from api.service.submissions import SubmissionInfo
from api.service.unpack import unpack
from budget.frames import PAYABLE_SCHEMA
from budget.pricing import Pricer
from reference_tables.problems import PROBLEM_SCHEMA, problem_frame

CASE_SCHEMA = {**PAYABLE_SCHEMA, "file": pl.String(), "row": pl.UInt32()}
"""An accepted case, and where it came from."""
TIER_OF_THEN = "ST56"
BLOCK_ROWS = 1 << 15
"""So many rows are done before it is told again how far the work is."""
_READ_BY = ("scheme_sha256", "policy_sha256", "hospitals_sha256", "separate_sha256")


def files_of(
    path: Path, found: SubmissionInfo, basis: Basis, tell: Callable[[int], None], block_rows: int = BLOCK_ROWS
) -> PayableFiles:
    """A submission's file, to be read by a basis; `tell`: how many rows are done."""
    return PayableFiles(
        [str(path)], basis.scheme, basis.policy, basis.values, hospitals=basis.hospitals, separate=basis.separate,
        fmt=found.format, threads=1, progress=lambda _, rows: tell(rows), block_rows=block_rows,
        owner=found.hospital_id,
    )  # fmt: skip


def cases_of(block: PayableBlock, found: SubmissionInfo) -> pl.DataFrame:
    """The cases of a block (CASE_SCHEMA)."""
    return block.cases.with_columns(pl.lit(found.file_name).alias("file"), block.place["row"]).select(*CASE_SCHEMA)


def results_of(pricer: Pricer, cases: pl.DataFrame) -> pl.DataFrame:
    """Cases (CASE_SCHEMA) with their prices, as hospitals see them."""
    priced = pricer.price(cases.select(*PAYABLE_SCHEMA)).frame
    return in_yuan(pl.concat([priced, cases.select("tier", "file", "row")], how="horizontal"))


def as_paid(book: Book | None, basis: Basis, cases: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Cases (CASE_SCHEMA) at the tiers that a settlement will pay them by: in months that the year's book has settled
    those of then; and what is told of it (PROBLEM_SCHEMA). What is handed to the settlement stays as it was read."""
    if book is None:
        return cases, problem_frame([])
    at_tiers, told = by_settled_tiers(book, cases, registered(basis.hospitals))
    return at_tiers, problem_frame(told)


def as_settled(
    service: Service, found: SubmissionInfo, basis: Basis, documents: Sequence[Sequence[Any]], folder: Path,
    book: Book | None,
) -> SubmissionInfo:  # fmt: skip
    """A submission with its accepted cases as they are by the basis of a settlement, made of `documents` (kind, name,
    version): itself where they were read by the same. `folder`: a place of its own to unpack into; `book`: the year's,
    by which results go at the tiers of settled months, None where they go by the register of now."""
    assert isinstance(found.summary, dict), "what was accepted has a summary"
    then, now = found.summary["basis"], basis.about
    if all(then.get(name) == now.get(name) for name in _READ_BY):
        return found
    used = [item for item in documents if item[0] in IN_FORCE]
    made = kept(service, _anew(service, found, basis, folder, book), {**found.summary, "basis": now, "documents": used})
    files = {name: made[name] for name in ("cases_sha256", "results_sha256", "problems_sha256")}
    return replace(found, **files, summary=orjson.loads(made["summary"]))


def _anew(service: Service, found: SubmissionInfo, basis: Basis, folder: Path, book: Book | None) -> Batch:
    """The accepted rows read and priced by another basis; what was told of the others stays."""
    old, pricer = opened(service, found), Pricer(basis.policy, basis.values)
    accepted = pl.col("row").is_in(old.cases["row"].implode()).fill_null(value=False)
    folder.mkdir(parents=True)
    path = unpack(service.files.path(found.sha256), folder, found.file_name, service.settings.max_unpacked_bytes)
    cases, results = [pl.DataFrame(schema=CASE_SCHEMA)], []
    problems = [pl.DataFrame(schema=PROBLEM_SCHEMA), old.problems.filter(~accepted & (pl.col("code") != TIER_OF_THEN))]
    for block in files_of(path, found, basis, lambda _: None).blocks():
        frame = cases_of(block, found).filter(accepted)
        cases.append(frame)
        paid, told = as_paid(book, basis, frame)
        results.append(results_of(pricer, paid))
        problems.append(told.with_columns(pl.lit(found.file_name).alias("file")))
        problems.append(block.problems.filter(accepted).with_columns(pl.lit(found.file_name).alias("file")))
    whole = pl.concat(problems).sort("row", maintain_order=True)
    return Batch(old.rows, pl.concat(cases), pl.concat(results), whole)
