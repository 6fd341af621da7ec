"""A region's history: case files of several years, block by block, each case with its year and its cost.

The year of a case is that of its discharge, else that of the end of its settlement. A case without a year of the
catalog or without a usable cost is put aside for the statistics and a problem of its row; it is grouped all the same.
Files are read twice (first to see what groups there are, then to group), so that no text is held in between.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from grouper.discretion import discreet
from grouper.intake import BLOCK_ROWS, IntakeError, SourceInfo, read_cases
from grouper.normalize import Edition, normalize_codes
from reference_tables.catalog_rules import catalog_rules
from reference_tables.problems import PROBLEM_SCHEMA, Problem, problem_rows

NO_YEAR = 0


class HistoryRefused(Exception):
    """A history that no catalog can be built from; carries every problem found."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


@dataclass(frozen=True, slots=True)
class HistoryBlock:
    """A stretch of a history file. `cases`: canonical, codes of the insurance edition; `problems`: of reading.

    `year` (Int16, NO_YEAR = none) and `cost_fen` (Int64, null = not given), row for row.
    """

    source: SourceInfo
    cases: pl.DataFrame
    problems: pl.DataFrame
    year: pl.Series
    cost_fen: pl.Series

    @property
    def usable(self) -> pl.Series:
        """Boolean: the cost can stand in a statistic."""
        return ((self.cost_fen > 0) & (self.cost_fen <= catalog_rules().largest_cost_fen)).fill_null(value=False)


def read_history(
    paths: Sequence[str], *, fmt: str = "auto", edition: Edition = "insurance", block_rows: int = BLOCK_ROWS
) -> Iterator[HistoryBlock]:
    """Every file of a history in the given order.

    Raises HistoryRefused when a file cannot be read as cases: a catalog without one of its files is another one.
    """
    for path in paths:
        try:
            for block in read_cases(path, fmt=fmt, block_rows=block_rows, columns="all"):
                cases, refused = normalize_codes(block.cases, edition, file=block.source.path)
                problems = discreet(pl.concat([block.problems, refused]).sort("row", maintain_order=True))
                yield HistoryBlock(block.source, cases, problems, _year(cases), _cost(cases))
        except IntakeError as error:
            raise HistoryRefused(error.problems) from error


def _year(cases: pl.DataFrame) -> pl.Series:
    dates = [pl.col(name).dt.year() for name in ("discharge_time", "settlement_end") if name in cases.columns]
    year = pl.coalesce(*dates, pl.lit(NO_YEAR, pl.Int32))
    return cases.select(year.cast(pl.Int16).alias("year")).to_series() if dates else _constant(cases, NO_YEAR, "year")


def _constant(cases: pl.DataFrame, value: int, name: str) -> pl.Series:
    return pl.repeat(value, cases.height, dtype=pl.Int16, eager=True).alias(name)


def _cost(cases: pl.DataFrame) -> pl.Series:
    if "total_cost_fen" in cases.columns:
        return cases["total_cost_fen"].alias("cost_fen")
    return pl.Series("cost_fen", [None], dtype=pl.Int64).new_from_index(0, cases.height)


def set_aside(block: HistoryBlock, years: Sequence[int], repeated: pl.DataFrame) -> tuple[pl.Series, pl.DataFrame]:
    """Boolean: which cases of a block count in the statistics; and why the others do not (PROBLEM_SCHEMA), one
    problem a case and field, by row. `repeated`: PLACES of the cases of the block that stand elsewhere first."""
    rules = catalog_rules()
    wanted = "、".join(map(str, sorted(years)))
    frame = block.cases.select("row", "case_id").with_columns(block.year, block.cost_fen)
    year, cost = pl.col("year"), pl.col("cost_fen")
    reasons: list[tuple[str, str, pl.Expr, pl.Expr]] = [
        ("DC20", "discharge_time", year == NO_YEAR, pl.lit("")),
        ("DC21", "discharge_time", (year != NO_YEAR) & ~year.is_in(list(years)), year.cast(pl.String)),
        ("DC22", "total_cost_fen", cost < 0, _yuan(cost)),
        ("DC23", "total_cost_fen", cost.is_null(), pl.lit("")),
        ("DC24", "total_cost_fen", cost == 0, pl.lit("0")),
        ("DC25", "total_cost_fen", cost > rules.largest_cost_fen, _yuan(cost)),
    ]
    again = frame.select("row", "case_id")[repeated["place"].to_numpy()].hstack(repeated)
    firsts: dict[str, pl.Expr | str] = {name: pl.col(name) for name in ("first_file", "first_row")}
    case = pl.col("case_id")
    found = [problem_rows(again, "DC26", file=block.source.path, field="case_id", value=case, args=firsts)]
    for code, field, met, value in reasons:
        rows = frame.filter(met)
        args: dict[str, pl.Expr | str] = {"value": value, "wanted": wanted, "limit": str(rules.largest_cost_fen // 100)}
        found.append(problem_rows(rows, code, file=block.source.path, field=field, value=value, args=args))
    problems = discreet(pl.concat([pl.DataFrame(schema=PROBLEM_SCHEMA), *found]).sort("row", maintain_order=True))
    first = np.ones(block.cases.height, np.bool_)
    first[repeated["place"].to_numpy()] = False
    return block.usable & block.year.is_in(list(years)) & pl.Series(first), problems


def _yuan(cost: pl.Expr) -> pl.Expr:
    """Fen as yuan with two decimals, as text."""
    whole, part = cost.abs() // 100, cost.abs() % 100
    sign = pl.when(cost < 0).then(pl.lit("-")).otherwise(pl.lit(""))
    return pl.format("{}{}.{}", sign, whole, part.cast(pl.String).str.zfill(2))


def catalog_years(
    found: Mapping[int, int], usable: Mapping[int, int], years: Sequence[int] | None, count: int, files: int
) -> tuple[int, ...]:
    """The years of the catalog, ascending: those asked for, else the latest `count` in a row of which each holds at
    least `year_share` of the cases of the fullest year.

    `found` and `usable`: cases and cases with a usable cost by year (NO_YEAR too); `files`: how many files were read.
    Raises HistoryRefused: DC01, DC02, DC03 for every missing year, DC05, DC10 without as many default years.
    """
    if not sum(found.values()):
        raise HistoryRefused([Problem("DC01", {"files": files})])
    dated = sorted(year for year, cases in found.items() if cases and year != NO_YEAR)
    if not dated:
        raise HistoryRefused([Problem("DC02", field="discharge_time")])
    seen = "、".join(f"{year} 年 {found[year]} 例" for year in dated)
    if found.get(NO_YEAR):
        seen += f"、无出院时间 {found[NO_YEAR]} 例"
    chosen = tuple(sorted(years)) if years else _latest_years(found, dated, count)
    if chosen is None:
        args: dict[str, str | int] = {"count": count, "share": share_text(), "found": seen}
        raise HistoryRefused([Problem("DC10", args, field="discharge_time")])
    wanted = "、".join(map(str, chosen))
    missing = [year for year in chosen if not found.get(year)]
    problems = [
        Problem("DC03", {"year": year, "wanted": wanted, "found": seen}, field="discharge_time", value=str(year))
        for year in missing
    ]
    problems += [
        Problem("DC05", {"year": year, "aside": found[year]}, field="total_cost_fen")
        for year in chosen
        if found.get(year) and not usable.get(year)
    ]
    if problems:
        raise HistoryRefused(problems)
    return chosen


def _latest_years(found: Mapping[int, int], dated: Sequence[int], count: int) -> tuple[int, ...] | None:
    """The latest `count` years in a row that are no `_thin` ones; None = there are none."""
    for last in reversed(dated):
        years = tuple(range(last - count + 1, last + 1))
        if not any(_thin(found, year) for year in years):
            return years
    return None


def _thin(found: Mapping[int, int], year: int) -> bool:
    """Whether a year holds less than `year_share` of the cases of the fullest year."""
    most = max(cases for other, cases in found.items() if other != NO_YEAR)
    return found.get(year, 0) < catalog_rules().year_share * most


def share_text() -> str:
    """The share of the fullest year that a default year holds at least, in percent."""
    return f"{(100 * catalog_rules().year_share).normalize():f}%"


def year_remarks(found: Mapping[int, int], years: Sequence[int]) -> list[Problem]:
    """DC40 for every year of a catalog that would be no default year for its few cases."""
    fullest = max((year for year in found if year != NO_YEAR), key=lambda year: (found[year], year))
    common: dict[str, str | int] = {"fullest": fullest, "most": found[fullest], "share": share_text()}
    return [
        Problem("DC40", {"year": year, "cases": found[year], **common}, field="discharge_time", value=str(year))
        for year in years
        if _thin(found, year)
    ]


def check_sources(sources: Sequence[SourceInfo]) -> None:
    """No file stands twice in a history: DC04 by content, DC08 by name. Raises HistoryRefused."""
    first: dict[str, str] = {}
    problems = []
    for source in sources:
        if source.sha256 in first:
            problems.append(Problem("DC04", {"first": first[source.sha256]}, file=source.path))
        first.setdefault(source.sha256, source.path)
    names = Counter(first.values())
    problems += [Problem("DC08", file=name) for name, times in sorted(names.items()) if times > 1]
    if problems:
        raise HistoryRefused(problems)
