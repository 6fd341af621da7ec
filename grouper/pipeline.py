"""Files in, results out: read, normalize, group and write block by block, in order, in bounded memory."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import polars as pl

from grouper.dip.compile import CompiledDip
from grouper.dip.engine import DipGrouper
from grouper.dip.result import DIP_ENTRY, KINDS
from grouper.discretion import discreet
from grouper.engine import Grouper, group_cases, grouper_of
from grouper.in_order import in_order
from grouper.intake import CaseBlock, Columns, IntakeError, SourceInfo, read_cases
from grouper.normalize import Edition, normalize_codes
from grouper.result import MDC, Reason
from grouper.schemes import Scheme
from grouper.unknown_codes import UnknownCodes
from grouper.validate import BatchValidator, SchemeRules, rules_of_pack
from reference_tables.problems import PROBLEM_SCHEMA, Level, problem_frame, problem_rows

BLOCK_ROWS = 1 << 17
_Key = TypeVar("_Key", str, tuple[str, str])
_UNFIT = {
    Reason.SEX_INVALID: "sex",
    Reason.AGE_UNKNOWN: "age_years",
    Reason.AGE_DAYS_UNKNOWN: "age_days",
    Reason.WEIGHT_UNKNOWN: "newborn_birth_weight_g",
    Reason.PRINCIPAL_MISSING: "diagnoses",
    Reason.PRINCIPAL_BLOCKED: "diagnoses",
}
OUTPUT_COLUMNS = (
    "case_id", "status", "reason", "mdc", "adrg", "drg", "name", "severity", "used_codes", "reason_zh",
    "file", "row",
)  # fmt: skip
DIP_OUTPUT_COLUMNS = (
    "case_id", "status", "reason", "kind", "layer", "dip", "name", "base_score", "auxiliary", "factor", "score",
    "primary_care", "rows_fit", "used_codes", "reason_zh", "file", "row",
)  # fmt: skip


class Sink(Protocol):
    """Where result or problem frames go, one after the other."""

    def write(self, frame: pl.DataFrame) -> None: ...


@dataclass
class Summary:
    """What a run did: counts over all files; `problems` and `examples` by code and level. `kinds`: cases in core and
    in mixed groups, `primary_care`: cases with the mark 基层病种, `unscored`: grouped cases without a score by group,
    by a DIP scheme alone.

    `seconds` is wall time, kept out of everything that is hashed.
    """

    rows: int = 0
    status: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    primary_care: int = 0
    unscored: Counter[str] = field(default_factory=Counter)
    problems: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: dict[tuple[str, str], str] = field(default_factory=dict)
    levels: Counter[str] = field(default_factory=Counter)
    sources: list[SourceInfo] = field(default_factory=list)
    unusable: list[tuple[str, IntakeError]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Cases a second, reading and writing included."""
        return self.rows / self.seconds if self.seconds else 0.0

    def add_problems(self, problems: pl.DataFrame) -> None:
        counted = problems.group_by("code", "level", maintain_order=True).agg(pl.len(), pl.col("message").first())
        for code, level, count, message in counted.iter_rows():
            self.problems[code, level] += count
            self.examples.setdefault((code, level), message)
            self.levels[level] += count

    def add_unusable(self, path: str, error: IntakeError, problems: Sink | None) -> None:
        """Note a file that cannot be read at all, and hand its problems on."""
        frame = discreet(problem_frame(error.problems))
        self.unusable.append((path, error))
        self.add_problems(frame)
        if problems is not None:
            problems.write(frame)

    def add_results(self, results: pl.DataFrame) -> None:
        self.rows += results.height
        for status, reason, count in results.group_by("status", "reason").len().iter_rows():
            self.status[status] += count
            if reason:
                self.reasons[reason] += count
        if "kind" in results.columns:
            grouped = results.filter(pl.col("kind") != "")
            self.kinds.update(dict(grouped.group_by("kind").len().iter_rows()))
            self.primary_care += int(grouped["primary_care"].sum())
            unscored = grouped.filter(pl.col("score").is_null())
            self.unscored.update(dict(unscored.group_by("dip").len().iter_rows()))


@dataclass(frozen=True)
class GroupedBlock:
    """One block's results (OUTPUT_COLUMNS or DIP_OUTPUT_COLUMNS) and problems (PROBLEM_SCHEMA), in input order;
    `cases`: as they were read, row for row with the results."""

    source: SourceInfo
    cases: pl.DataFrame
    results: pl.DataFrame
    problems: pl.DataFrame


@dataclass(frozen=True)
class NotApplied:
    """A quality rule left out: what was missing, and in how many files."""

    missing: tuple[str, ...]
    files: int


Progress = Callable[[SourceInfo, int], None]


def group_files(
    paths: Sequence[str],
    scheme: Scheme,
    results: Sink | None,
    *,
    problems: Sink | None = None,
    fmt: str = "auto",
    edition: Edition = "insurance",
    strict: bool = False,
    threads: int = 1,
    progress: Progress | None = None,
) -> Summary:
    """Group every case of some files and hand the frames on in input order.

    A file that cannot be read at all is listed in `Summary.unusable` with its problems; the others are
    grouped. With `strict` the quality rules run over each whole file first, and what they reject is INVALID.
    The frames do not depend on `threads` or on where blocks are cut.
    """
    started = time.perf_counter()
    summary = Summary()
    stages = _Stages(grouper_of(scheme), edition)
    for path in paths:
        try:
            blocks = read_cases(path, fmt=fmt, block_rows=BLOCK_ROWS, columns=stages.columns)
            refusals = _rejections(path, fmt, edition, rules_of_pack(scheme.pack)) if strict else None
            if refusals is not None and refusals.height:
                summary.add_problems(refusals)
                if problems is not None:
                    problems.write(refusals)
            rejected = refusals["row"].unique().sort() if refusals is not None else None
            for done in in_order(partial(stages.run, rejected=rejected), blocks, threads):
                listed = done.problems
                if not summary.sources or summary.sources[-1] is not done.source:
                    summary.sources.append(done.source)
                    listed = pl.concat([stages.not_answered(done.source), listed])
                summary.add_results(done.results)
                summary.add_problems(listed)
                if results is not None:
                    results.write(done.results)
                if problems is not None and listed.height:
                    problems.write(listed)
                if progress is not None:
                    progress(done.source, summary.rows)
        except IntakeError as error:
            summary.add_unusable(path, error, problems)
    summary.seconds = time.perf_counter() - started
    return summary


def grouped_blocks(
    path: str,
    scheme: Scheme,
    *,
    fmt: str = "auto",
    edition: Edition = "insurance",
    threads: int = 1,
    block_rows: int = BLOCK_ROWS,
) -> Iterator[GroupedBlock]:
    """One file's cases with all their columns, grouped block by block in input order. Raises IntakeError."""
    stages = _Stages(grouper_of(scheme), edition)
    blocks = read_cases(path, fmt=fmt, block_rows=block_rows, columns="all")
    for at, done in enumerate(in_order(partial(stages.run, rejected=None), blocks, threads)):
        about_file = [] if at else [stages.not_answered(done.source)]
        yield replace(done, problems=pl.concat([*about_file, done.problems]))


def columns_asked(grouper: Grouper | DipGrouper) -> Columns:
    """What of a file a scheme needs: costs only where levels of its auxiliary catalog ask for them."""
    return "all" if isinstance(grouper, DipGrouper) and grouper.asks_costs else "grouping"


class _Stages:
    """What happens to one block, start to end; holds no state between blocks. `columns`: what it needs of a file."""

    def __init__(self, grouper: Grouper | DipGrouper, edition: Edition) -> None:
        self.grouper = grouper
        self.edition = edition
        self.unknown = UnknownCodes(grouper.scheme)
        self.dip = isinstance(grouper, DipGrouper)
        self.columns = columns_asked(grouper)

    def run(self, block: CaseBlock, rejected: pl.Series | None) -> GroupedBlock:
        file = block.source.path
        cases, refused = normalize_codes(block.cases, self.edition, file=file)
        if rejected is not None:
            cases = _mark_rejected(cases, rejected)
        encoded, found = self.grouper.with_codes(cases)
        columns = DIP_OUTPUT_COLUMNS if self.dip else OUTPUT_COLUMNS
        results = found.with_columns(pl.lit(file).alias("file")).select(columns)
        unfit = _unfit(found, file, DIP_ENTRY if self.dip else MDC)
        listed = [block.problems, refused, self.unknown.problems(cases, encoded, file=file), *unfit]
        return GroupedBlock(
            block.source, block.cases, results, discreet(pl.concat(listed).sort("row", maintain_order=True))
        )

    def not_answered(self, source: SourceInfo) -> pl.DataFrame:
        """What the scheme asks of every case and a whole file does not tell (PROBLEM_SCHEMA)."""
        if not isinstance(self.grouper, DipGrouper):
            return pl.DataFrame(schema=PROBLEM_SCHEMA)
        return problem_frame(self.grouper.unanswered(source.columns, source.path))


def _unfit(found: pl.DataFrame, file: str, entry: str) -> list[pl.DataFrame]:
    """Problems of cases that are no case to group: what the input check refused, or no principal diagnosis."""
    present = set(found["reason"].unique())
    return [
        problem_rows(
            found.filter(pl.col("reason") == reason.value), reason.value, file=file, field=column, args={"entry": entry}
        )
        for reason, column in _UNFIT.items()
        if reason.value in present
    ]


def validate_files(
    paths: Sequence[str],
    problems: Sink,
    *,
    fmt: str = "auto",
    edition: Edition = "insurance",
    scheme: Scheme | None = None,
    progress: Progress | None = None,
) -> tuple[Summary, Mapping[str, NotApplied]]:
    """Run the quality rules over every case of some files, each file as one batch.

    With a scheme its own rules and those about the group a case comes into apply too. Returns the summary
    and, by rule, what files lacked for it to be applied and how many files that was.
    """
    started = time.perf_counter()
    summary = Summary()
    not_applied: dict[str, NotApplied] = {}
    for path in paths:
        try:
            for source, cases, frame, missing in _validated(path, fmt, edition, scheme):
                if source is not None and (not summary.sources or summary.sources[-1] is not source):
                    summary.sources.append(source)
                summary.rows += cases
                summary.add_problems(frame)
                if frame.height:
                    problems.write(frame)
                for rule, lacking in missing.items():
                    before = not_applied.get(rule, NotApplied((), 0))
                    missed = dict.fromkeys((*before.missing, *lacking))
                    not_applied[rule] = NotApplied(tuple(missed), before.files + 1)
                if progress is not None and source is not None:
                    progress(source, summary.rows)
        except IntakeError as error:
            summary.add_unusable(path, error, problems)
    summary.seconds = time.perf_counter() - started
    return summary, not_applied


def _validated(
    path: str, fmt: str, edition: Edition, scheme: Scheme | None, rules: SchemeRules | None = None
) -> Iterator[tuple[SourceInfo | None, int, pl.DataFrame, Mapping[str, Sequence[str]]]]:
    """(source, cases, problems, rules not applied) block by block, then what only the whole file shows."""
    validator: BatchValidator | None = None
    source: SourceInfo | None = None
    for block in read_cases(path, fmt=fmt, block_rows=BLOCK_ROWS, columns="all"):
        source = block.source
        if validator is None:
            if scheme is not None:
                rules = rules_of_pack(scheme.pack)
            validator = BatchValidator(file=source.path, scheme_rules=rules, columns=frozenset(source.columns))
        cases, refused = normalize_codes(block.cases, edition, file=source.path)
        found = validator.add(cases, None if scheme is None else group_cases(cases, scheme))
        yield source, cases.height, discreet(pl.concat([block.problems, refused, found])), {}
    if validator is not None:
        last = validator.finish()
        yield source, 0, discreet(last.problems), last.not_applied


def _rejections(path: str, fmt: str, edition: Edition, rules: SchemeRules) -> pl.DataFrame:
    """The quality problems of a file that reject a case, in the order of rows."""
    frames = [
        frame.filter((pl.col("level") == Level.REJECT.value) & (pl.col("row") > 0))
        for _, _, frame, _ in _validated(path, fmt, edition, None, rules)
    ]
    return pl.concat([pl.DataFrame(schema=PROBLEM_SCHEMA), *frames]).sort("row", maintain_order=True)


def _mark_rejected(cases: pl.DataFrame, rejected: pl.Series) -> pl.DataFrame:
    mark = pl.when(pl.col("row").is_in(rejected.implode())).then(pl.lit(Reason.QUALITY_REJECT.value))
    defect = pl.col("defect") if "defect" in cases.columns else pl.lit(None, dtype=pl.String)
    return cases.with_columns(pl.coalesce(defect, mark).alias("defect"))


def most_frequent(counted: Counter[_Key], count: int) -> list[tuple[_Key, int]]:
    """The `count` most frequent keys with how often they occur; equal ones in the order of their names."""
    return sorted(counted.items(), key=lambda item: (-item[1], item[0]))[:count]


def scores_lacking(summary: Summary, scheme: Scheme | None) -> Counter[str] | None:
    """Grouped cases without a score by group; None where the scheme has no scores at all, or is none of DIP."""
    scored = isinstance(scheme, CompiledDip) and scheme.pack.tables["score"].height > 0
    return summary.unscored if scored else None


def summary_dict(summary: Summary, scheme: Scheme | None) -> dict[str, object]:
    """The summary as plain values for JSON."""
    found: dict[str, object] = {
        "rows": summary.rows,
        "status": dict(sorted(summary.status.items())),
        "reasons": dict(sorted(summary.reasons.items())),
        "problems": [
            {"code": code, "level": level, "count": count} for (code, level), count in sorted(summary.problems.items())
        ],
        "unusable_files": [path for path, _ in summary.unusable],
        "sources": [
            {"path": Path(source.path).name, "format": source.format, "encoding": source.encoding}
            for source in summary.sources
        ],
        "seconds": round(summary.seconds, 3),
        "cases_per_second": round(summary.rate),
    }
    if isinstance(scheme, CompiledDip):
        found["kinds"] = {kind: summary.kinds[kind] for kind in KINDS}
        found["primary_care"] = summary.primary_care
    lacking = scores_lacking(summary, scheme)
    if lacking is not None:
        found["without_score"] = {"cases": lacking.total(), "groups": dict(sorted(lacking.items()))}
    if scheme is not None:
        pack = scheme.pack
        found["scheme"] = {
            "id": pack.id, "version": pack.version, "sha256": pack.sha256, "data_level": pack.data_level,
        }  # fmt: skip
    return found
