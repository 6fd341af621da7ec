"""A history streamed through: counted to see what groups there are, then grouped by the catalog and by a DRG scheme.

Of each case only numbers are kept (group, DRG, year, cost), so that millions of cases fit into memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import polars as pl

from grouper.catalog.grow import GrowthCounts
from grouper.catalog.history import (
    NO_YEAR,
    HistoryBlock,
    HistoryRefused,
    check_sources,
    read_history,
    set_aside,
)
from grouper.catalog.repeats import Repeats, case_hashes, case_names, suspects
from grouper.catalog.unfit import REASON_ZH, UnfitCases
from grouper.compile import CompiledScheme
from grouper.dip.compile import CompiledDip
from grouper.discretion import discreet
from grouper.engine import group_cases, grouper_of
from grouper.in_order import in_order
from grouper.intake import BLOCK_ROWS, SourceInfo
from grouper.normalize import Edition
from grouper.pipeline import Progress, Sink
from reference_tables.catalog_rules import catalog_rules
from reference_tables.problems import PROBLEM_SCHEMA, Problem, problem_frame

NO_GROUP = -1
Why = tuple[str, str]
Work = TypeVar("Work")


class HistoryFiles:
    """The files of a history, read as often as needed: blocks worked on in threads, results in order.

    The first reading notes `sources`; a later one that finds other content refuses the history (DC06).
    """

    def __init__(
        self,
        paths: Sequence[str],
        *,
        fmt: str = "auto",
        edition: Edition = "insurance",
        threads: int = 1,
        block_rows: int = BLOCK_ROWS,
        progress: Progress | None = None,
    ) -> None:
        self.paths, self.fmt, self.edition = paths, fmt, edition
        self.threads, self.block_rows, self.progress = threads, block_rows, progress
        self.sources: tuple[SourceInfo, ...] = ()
        self._rows = 0

    def each(self, work: Callable[[HistoryBlock, int], Work]) -> Iterator[Work]:
        """`work` on every block of every file and the number of cases before it. Raises HistoryRefused for a file that
        cannot be read, was given twice, or has changed since the first reading."""
        sources: list[SourceInfo] = []

        def blocks() -> Iterator[tuple[HistoryBlock, int]]:
            first = 0
            for block in read_history(self.paths, fmt=self.fmt, edition=self.edition, block_rows=self.block_rows):
                if not sources or sources[-1] is not block.source:
                    sources.append(block.source)
                yield block, first
                first += block.cases.height
                self._rows += block.cases.height
                if self.progress is not None:
                    self.progress(block.source, self._rows)

        yield from in_order(lambda item: work(*item), blocks(), self.threads)
        if not self.sources:
            check_sources(sources)
            self.sources = tuple(sources)
        changed = [new for new, old in zip(sources, self.sources, strict=True) if new.sha256 != old.sha256]
        if changed:
            raise HistoryRefused(Problem("DC06", file=source.path) for source in changed)


@dataclass
class FirstLook:
    """`rows` of a history; cases `found` by year (0 = none), those of them `usable`: with a usable cost and no later
    place of a case that stands twice; `repeats`: such places."""

    rows: int = 0
    found: Counter[int] = field(default_factory=Counter)
    usable: Counter[int] = field(default_factory=Counter)
    repeats: Repeats = field(default_factory=Repeats)


def first_look(files: HistoryFiles, counts: GrowthCounts | None) -> FirstLook:
    """Count the cases of a history by year and, with `counts`, by what a grown group is made of; find the cases that
    stand in it twice (the history is read once more where there may be some)."""

    def work(block: HistoryBlock, _first: int) -> tuple[pl.DataFrame, pl.DataFrame | None, pl.Series]:
        usable = block.usable
        years = pl.DataFrame({"year": block.year, "usable": usable}).group_by("year").agg(pl.len(), pl.sum("usable"))
        counted = None if counts is None else counts.counted(block.cases, block.year, usable)
        return years, counted, case_hashes(block.cases)

    look = FirstLook()
    hashes = []
    for years, counted, hashed in files.each(work):
        hashes.append(hashed)
        for year, cases, usable in years.iter_rows():
            look.rows += cases
            look.found[year] += cases
            look.usable[year] += usable
        if counts is not None and counted is not None:
            counts.add(counted)
    suspected = suspects(pl.concat(hashes)) if hashes else pl.Series([False])
    if suspected.any():
        look.repeats = _repeats(files, suspected, counts)
        again = look.repeats.frame
        look.usable.subtract(dict(again.filter("usable").group_by("year").len().iter_rows()))
        if counts is not None and again.height:
            counts.withdraw(again)
    return look


def _repeats(files: HistoryFiles, suspected: pl.Series, counts: GrowthCounts | None) -> Repeats:
    """The later places of repeated cases, with `year`, `usable` and, with `counts`, what is counted of them."""

    def work(block: HistoryBlock, first: int) -> pl.DataFrame:
        here = suspected.slice(first, block.cases.height)
        usable, year = block.usable, block.year
        keys = pl.DataFrame({"year": year}) if counts is None else counts.keyed(block.cases, year, usable)
        places = pl.DataFrame({"at": pl.int_range(first, first + block.cases.height, eager=True), "usable": usable})
        named = places.hstack(case_names(block.cases)).hstack([block.cases["row"]]).hstack(keys)
        return named.with_columns(pl.lit(block.source.path).alias("file")).filter(here)

    return Repeats(pl.concat(files.each(work)))


@contextmanager
def told_when_refused(files: HistoryFiles, look: FirstLook, problems: Sink | None) -> Iterator[None]:
    """When the work inside refuses the history, `problems` gets row by row what was seen of it so far: cells that
    cannot be read, cases without a date or a cost. Reads the history once more."""
    try:
        yield
    except HistoryRefused:
        if problems is not None:
            every = [year for year in look.found if year != NO_YEAR]

            def work(block: HistoryBlock, first: int) -> pl.DataFrame:
                return row_problems(block, set_aside(block, every, look.repeats.of(first, block.cases.height))[1])

            for found in files.each(work):
                problems.write(found)
        raise


def row_problems(block: HistoryBlock, aside: pl.DataFrame) -> pl.DataFrame:
    """The problems of reading a block and those of putting cases aside, by row."""
    return pl.concat([block.problems, aside]).sort("row", maintain_order=True)


@dataclass
class GroupedHistory:
    """Every case of a history, in the order read.

    `cases`: `group` (Int32, place in `groups`, NO_GROUP = none), `drg` (Int32, place in `drgs`), `year` (Int32),
    `cost_fen` (Int64, 0 where it does not count), `counts` (Boolean: stands in the statistics). `status` and
    `drg_status`: cases by status; `reasons`: by why they are in no DIP group. `problems`: those of reading and those
    that put a case aside, by code and level; `unfit`: cases of the statistics that may not stand for a core group, by
    reason and code; `listed`: the first of each code by file and row.
    """

    groups: tuple[str, ...]
    cases: pl.DataFrame = field(default_factory=pl.DataFrame)
    drgs: list[str] = field(default_factory=list)
    status: Counter[str] = field(default_factory=Counter)
    drg_status: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    problems: Counter[tuple[str, str]] = field(default_factory=Counter)
    unfit: Counter[Why] = field(default_factory=Counter)
    listed: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=PROBLEM_SCHEMA))

    def counting(self) -> pl.DataFrame:
        """group, year, cost_fen of the cases that are in a group and stand in the statistics."""
        return self.cases.filter(pl.col("counts") & (pl.col("group") != NO_GROUP)).select("group", "year", "cost_fen")

    def unfit_by_reason(self) -> dict[str, int]:
        """Cases that may not stand for a core group, by reason in Chinese; those that there are."""
        counts = {reason: sum(n for (why, _), n in self.unfit.items() if why == reason) for reason in REASON_ZH}
        return {REASON_ZH[reason]: cases for reason, cases in counts.items() if cases}

    def unfit_codes(self) -> list[tuple[str, int]]:
        """The most frequent codes that keep cases from standing for a core group, and how many cases each."""
        coded = sorted(((-n, code) for (_, code), n in self.unfit.items() if code))
        return [(code, -n) for n, code in coded[: catalog_rules().unfit_codes]]

    def much_unfit(self) -> bool:
        """Whether more of the cases in the statistics than `unfit_share` may not stand for a core group."""
        return self.unfit.total() > catalog_rules().unfit_share * int(self.cases["counts"].sum())

    def remark(self, found: Sequence[Problem], problems: Sink | None) -> None:
        """Note problems of the history as a whole and write them to `problems`."""
        if found:
            frame = problem_frame(found)
            self.note(frame)
            if problems is not None:
                problems.write(frame)

    def foremost(self, count: int) -> list[tuple[tuple[str, str], int]]:
        """The first `count` kinds of problems, (code, level) and how many: those of the history or a file as a whole,
        then the most frequent ones."""
        whole = set(self.listed.filter(pl.col("row") == 0)["code"])
        ranked = sorted(self.problems.items(), key=lambda item: (item[0][0] not in whole, -item[1], item[0]))
        return ranked[:count]

    def note(self, found: pl.DataFrame) -> None:
        """Count problems, and keep the first of each code by file and row, whatever the order in which they come."""
        for code, level, count in found.group_by("code", "level").len().iter_rows():
            self.problems[code, level] += count
        kept = pl.concat([self.listed, found]).sort("code", "file", "row", "field", maintain_order=True)
        self.listed = kept.filter(pl.int_range(pl.len()).over("code") < catalog_rules().listed)


def group_history(
    files: HistoryFiles,
    catalog: CompiledDip,
    groups: Sequence[str],
    drg_scheme: CompiledScheme,
    years: Sequence[int],
    repeats: Repeats,
    problems: Sink | None,
    unfit: UnfitCases | None = None,
) -> GroupedHistory:
    """Group every case by both schemes; `groups`: the codes of the catalog, each once; with `unfit` the cases of the
    statistics that may not stand for a core group are counted and listed."""
    place = pl.Series(range(len(groups)), dtype=pl.Int32)
    codes = pl.Series(list(groups), dtype=pl.String)

    def work(block: HistoryBlock, first: int) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, Counter[Why]]:
        found = group_cases(block.cases, catalog, used_codes=False)
        drgs = group_cases(block.cases, drg_scheme, used_codes=False)
        counts, aside = set_aside(block, years, repeats.of(first, block.cases.height))
        numbers = pl.DataFrame(
            {
                "group": found["dip"].replace_strict(codes, place, default=NO_GROUP, return_dtype=pl.Int32),
                **statistics_columns(block, counts),
            }
        )
        texts = found.select("status", "reason").with_columns(drgs["drg"], drgs["status"].alias("drg_status"))
        why = Counter[Why]()
        if unfit is not None:
            cases = block.cases.filter(counts)
            reasons = unfit.of(cases)
            why = unfit.counted(reasons)
            aside = pl.concat([aside, discreet(unfit.problems(cases, reasons, block.source.path))])
        return numbers, texts, row_problems(block, aside), why

    grouper_of(catalog), grouper_of(drg_scheme)  # made once, before threads ask for them
    grouped = GroupedHistory(tuple(groups))
    drg_places: dict[str, int] = {}
    parts = []
    for numbers, texts, found, why in files.each(work):
        grouped.unfit.update(why)
        for status, reason, drg_status, count in texts.group_by("status", "reason", "drg_status").len().iter_rows():
            grouped.status[status] += count
            grouped.drg_status[drg_status] += count
            if reason:
                grouped.reasons[reason] += count
        different = texts["drg"].unique()
        known = [drg_places.setdefault(code, len(drg_places)) for code in different.to_list()]
        parts.append(numbers.with_columns(texts["drg"].replace_strict(different, known, return_dtype=pl.Int32)))
        grouped.note(found)
        if problems is not None and found.height:
            problems.write(found)
    grouped.cases = pl.concat(parts, rechunk=True)
    grouped.drgs = list(drg_places)
    return grouped


def statistics_columns(block: HistoryBlock, counts: pl.Series) -> dict[str, pl.Series]:
    """What a case brings into the statistics beside its group: year, cost_fen (0 where it does not count), counts."""
    zeros = pl.Series(np.zeros(len(counts), np.int64))
    cost = block.cost_fen.fill_null(0).zip_with(counts, zeros)
    return {"year": block.year.cast(pl.Int32), "cost_fen": cost, "counts": counts}
