"""Pricing a set of case files: every case out as it is paid, with totals by kind and by tier, and its proof."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import polars as pl

from api.core.pay_inputs import unknown_cases
from api.core.payable import PayableBlock, PayableFiles, file_problems
from budget.frames import CASE_KIND_ZH
from budget.group_values import GroupValues
from budget.pricing import Pricer
from grouper.dip.compile import CompiledDip
from grouper.pipeline import Sink
from grouper.proof import file_sha256, program_version
from grouper.repeat_command import command_line, file_words
from grouper.schemes import Scheme
from reference_tables.codes import load_code_books
from reference_tables.group_weights import GroupWeights
from reference_tables.policy import Policy
from reference_tables.problems import Problem, TablesRefused, problem_frame

YUAN = pl.Decimal(18, 2)
_MONEY = ("reference", "cost", "package", "fund", "patient")
_SUMS = ("cases", "cost_fen", "package_fen", "fund_fen", "unknown_fund")
OUTPUT_COLUMNS = (
    "case_id", "hospital_id", "tier", "month", "insurance", "group", "name", "status", "case_kind", "case_kind_zh",
    "weight", "coefficient", "reference", "multiple", "limit", "formula", "points", "cost", "package", "fund",
    "patient", "reason", "file", "row",
)  # fmt: skip
"""PRICED columns with amounts in yuan, the kind of case in Chinese, and where the case came from."""


@dataclass
class Totals:
    """Sums over cases: fen, and cases whose fund part is not known."""

    cases: int = 0
    cost_fen: int = 0
    package_fen: int = 0
    fund_fen: int = 0
    unknown_fund: int = 0

    def add(self, values: Sequence[int]) -> None:
        for name, value in zip(_SUMS, values, strict=True):
            setattr(self, name, getattr(self, name) + value)


@dataclass
class PaySummary:
    """What a run priced: `by_kind`, `by_tier`, `reasons`; `other_months` cases left out by --month; problems by code
    and level. `seconds` is wall time and kept out of everything that is hashed."""

    rows: int = 0
    other_months: int = 0
    by_kind: dict[str, Totals] = field(default_factory=dict)
    by_tier: dict[str, Totals] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    problems: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: dict[tuple[str, str], str] = field(default_factory=dict)
    seconds: float = 0.0

    def add_cases(self, frame: pl.DataFrame) -> None:
        """Count priced cases (PRICED_SCHEMA with tier)."""
        self.rows += frame.height
        for found, column in ((self.by_kind, "case_kind"), (self.by_tier, "tier")):
            sums = frame.group_by(column).agg(
                pl.len(), pl.col("cost_fen").sum(), pl.col("package_fen").sum(), pl.col("fund_fen").sum(),
                pl.col("fund_fen").is_null().sum().alias("unknown"),
            )  # fmt: skip
            for name, *values in sums.iter_rows():
                found.setdefault(name or "", Totals()).add(values)
        said = frame.filter(pl.col("reason") != "").group_by("reason").len()
        self.reasons.update(dict(said.iter_rows()))

    def add_problems(self, problems: pl.DataFrame) -> None:
        counted = problems.group_by("code", "level", maintain_order=True).agg(pl.len(), pl.col("message").first())
        for code, level, count, message in counted.iter_rows():
            self.problems[code, level] += count
            self.examples.setdefault((code, level), message)

    @property
    def total(self) -> Totals:
        """Over all kinds."""
        whole = Totals()
        for part in self.by_kind.values():
            whole.add([getattr(part, name) for name in _SUMS])
        return whole


def pay_files(
    files: PayableFiles,
    policy: Policy,
    values: GroupValues,
    results: Sink | None,
    *,
    problems: Sink | None = None,
    decisions: pl.DataFrame | None = None,
    lists: Mapping[str, pl.DataFrame] | None = None,
    month: str = "",
) -> PaySummary:
    """Price every case of some files and hand OUTPUT_COLUMNS on in input order.

    `lists`: name -> the rows about cases that the files must have (separately paid amounts, decisions). With `month`
    only its cases and those without a month are priced. Frames are priced as they come, all at once only when the
    policy counts cases over the year. Raises TablesRefused with every parameter missing for any of the cases.
    """
    started = time.perf_counter()
    summary = PaySummary()
    pricer = Pricer(policy, values)
    missing: list[Problem] = []

    def note(found: pl.DataFrame) -> None:
        summary.add_problems(found)
        if problems is not None and found.height:
            problems.write(found)

    for cases, about in _batches(files, note, together=policy.has("volume_cap")):
        if month:
            wanted = ((pl.col("month") == month) | pl.col("month").is_null()).alias("wanted")
            chosen = cases.select(wanted).to_series()
            summary.other_months += cases.height - int(chosen.sum())
        else:
            chosen = pl.repeat(value=True, n=cases.height, eager=True)
        counted = cases if policy.has("volume_cap") else cases.filter(chosen)
        try:
            priced = pricer.price(counted, decisions).frame
        except TablesRefused as error:
            missing += [problem for problem in error.problems if problem not in missing]
            continue
        if policy.has("volume_cap"):
            priced = priced.filter(chosen)
        frame = priced.with_columns(cases.filter(chosen)["tier"], *about.filter(chosen).iter_columns())
        summary.add_cases(frame)
        if results is not None and not missing:
            results.write(in_yuan(frame))
    if missing:
        raise TablesRefused(policy.id, missing)
    note(file_problems(files))
    for name, listed in (lists or {}).items():
        note(problem_frame(unknown_cases(listed, files.seen, name)))
    summary.seconds = time.perf_counter() - started
    return summary


def _batches(
    files: PayableFiles, note: Callable[[pl.DataFrame], None], *, together: bool
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Cases and their file and row, block by block or all at once; problems are noted as they come."""
    held: list[tuple[pl.DataFrame, pl.DataFrame]] = []
    for block in files.blocks():
        note(block.problems)
        batch = block.cases, _place(block)
        if together:
            held.append(batch)
        else:
            yield batch
    if held:
        yield pl.concat([cases for cases, _ in held]), pl.concat([place for _, place in held])


def _place(block: PayableBlock) -> pl.DataFrame:
    return block.place.select(pl.lit(block.source.path).alias("file"), "row")


def in_yuan(frame: pl.DataFrame) -> pl.DataFrame:
    """Priced cases as people read them: OUTPUT_COLUMNS, amounts in yuan with two decimals, exact."""
    money = [(pl.col(f"{name}_fen").cast(YUAN) / 100).cast(YUAN).alias(name) for name in _MONEY]
    kind = pl.col("case_kind").replace_strict(CASE_KIND_ZH, return_dtype=pl.String).alias("case_kind_zh")
    return frame.with_columns(*money, kind).select(OUTPUT_COLUMNS)


def pay_proof(
    files: PayableFiles,
    scheme: Scheme,
    policy: Policy,
    weights: GroupWeights | None,
    options: Mapping[str, str],
    lists: Mapping[str, Path],
    output: Path,
) -> dict[str, object]:
    """The proof of one pricing run: all that decides the result by content, `run_id` over it, and how to run it again.

    `options`: flag -> value as given on the command line, `lists`: flag -> file given beside the cases.
    """
    pack, books = scheme.pack, load_code_books()
    deciding: dict[str, object] = {
        "program": {"name": "drgdip", "version": program_version()},
        "policy": {"id": policy.id, "sha256": policy.sha256, "data_level": policy.header.data_level},
        "pack": {"id": pack.id, "version": pack.version, "sha256": pack.sha256, "data_level": pack.data_level},
        "weights": None if weights is None else {"id": weights.id, "sha256": weights.sha256},
        "code_books": {"diagnosis": books.diagnosis.edition, "procedure": books.procedure.edition},
        "options": {name: value for name, value in options.items() if name not in lists},
        "inputs": [
            {"name": Path(source.path).name, "sha256": source.sha256, "format": source.format}
            for source in files.sources
        ],
        "lists": {name: {"name": path.name, "sha256": file_sha256(path)} for name, path in lists.items()},
    }
    run_id = hashlib.sha256(orjson.dumps(deciding, option=orjson.OPT_SORT_KEYS)).hexdigest()
    words = file_words(source.path for source in files.sources)
    again = ["drgdip", "pay", *(words[source.path] for source in files.sources)]
    again += [word for name, value in options.items() for word in (f"--{name}", value)]
    return {
        "run_id": run_id,
        **deciding,
        "output": {"name": output.name, "sha256": file_sha256(output)},
        "recompute": command_line([*again, "-o", output.name]),
    }


def summary_dict(summary: PaySummary, policy: Policy, scheme: Scheme) -> dict[str, object]:
    """The summary as plain values for JSON; amounts in fen."""

    def plain(totals: Totals) -> dict[str, int]:
        return {name: getattr(totals, name) for name in _SUMS}

    pack = scheme.pack
    return {
        "rows": summary.rows,
        "other_months": summary.other_months,
        "total": plain(summary.total),
        "by_kind": {kind: plain(summary.by_kind[kind]) for kind in CASE_KIND_ZH if kind in summary.by_kind},
        "by_tier": {tier: plain(totals) for tier, totals in sorted(summary.by_tier.items())},
        "reasons": dict(sorted(summary.reasons.items())),
        "problems": [
            {"code": code, "level": level, "count": count} for (code, level), count in sorted(summary.problems.items())
        ],
        "policy": {"id": policy.id, "sha256": policy.sha256, "data_level": policy.header.data_level},
        "scheme": {
            "id": pack.id, "version": pack.version, "sha256": pack.sha256, "data_level": pack.data_level,
            "kind": "DIP" if isinstance(scheme, CompiledDip) else "DRG",
        },
        "seconds": round(summary.seconds, 3),
    }  # fmt: skip
