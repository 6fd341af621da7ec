"""Indicators of case files or of a year book: cases in, one table per level out.

Case files are grouped, and priced when a policy is given; a year book has its cases grouped and priced already, each
as it counts now. Cases are summed block by block, so that a region's year fits into memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from api.core.book import KEY, Book
from api.core.payable import PayableFiles, grouping_columns, mark_repeats, stay_days
from budget.frames import EXACT, FEN
from budget.group_values import GroupValues
from budget.indicators import CASE_COLUMNS, LEVELS, add_cells, case_cells, unit_indicators
from budget.money import decimal_text
from budget.pricing import Pricer
from grouper.dip.compile import CompiledDip
from grouper.intake import SourceInfo
from grouper.normalize import Edition
from grouper.pipeline import Progress, Sink, grouped_blocks
from grouper.schemes import Scheme
from reference_tables.indicator_rules import IndicatorRules, SchemeKind, indicator_rules
from reference_tables.policy import Policy

_SCOPE = ("group", "tier", "insurance")
_DIP_KINDS = ("core", "mixed")


@dataclass(frozen=True)
class Indicators:
    """`tables` by level (keys of LEVELS), as unit_indicators gives them; `priced`: with indicators of payment;
    `sources`: the files read, none for a book."""

    scheme: SchemeKind
    priced: bool
    tables: dict[str, pl.DataFrame]
    rules: IndicatorRules
    sources: tuple[SourceInfo, ...] = ()

    @property
    def table(self) -> pl.DataFrame:
        """All levels below one another."""
        return pl.concat(self.tables.values())


def kind_of(scheme: Scheme) -> SchemeKind:
    """Whether a scheme's groups are DRG or DIP."""
    return "DIP" if isinstance(scheme, CompiledDip) else "DRG"


def of_grouped(
    paths: Sequence[str],
    scheme: Scheme,
    values: GroupValues,
    *,
    fmt: str = "auto",
    edition: Edition = "insurance",
    threads: int = 1,
    problems: Sink | None = None,
    progress: Progress | None = None,
) -> Indicators:
    """Indicators of case files without a policy.

    Raises IntakeError for a file that cannot be read: indicators of a part of the region would mislead.
    """
    sources: list[SourceInfo] = []
    seen: set[str] = set()
    rows = 0

    def frames() -> Iterator[pl.DataFrame]:
        nonlocal rows
        for path in paths:
            for done in grouped_blocks(path, scheme, fmt=fmt, edition=edition, threads=threads):
                if not sources or sources[-1] is not done.source:
                    sources.append(done.source)
                if problems is not None and done.problems.height:
                    problems.write(done.problems)
                rows += done.cases.height
                if progress is not None:
                    progress(done.source, rows)
                found = grouping_columns(done.results)
                chosen = {name: found[name] for name in ("group", "name", "status", "kind")}
                cases = done.cases.select(
                    "case_id",
                    *(_text(done.cases, name) for name in ("hospital_id", "hospital_name", "department")),
                    *(expr.alias(name) for name, expr in chosen.items()),
                    _fen(done.cases, "total_cost_fen").alias("cost_fen"),
                    stay_days(done.cases).alias("los_days"),
                    pl.lit("").alias("tier"),
                    pl.lit("").alias("insurance"),
                )
                yield mark_repeats(cases, seen).with_columns(_weights(cases, values))

    tables = _tables(frames(), kind_of(scheme), priced=False)
    return Indicators(kind_of(scheme), False, tables, indicator_rules(), tuple(sources))


def of_priced(files: PayableFiles, policy: Policy, problems: Sink | None = None) -> Indicators:
    """Indicators of case files under a policy. Raises TablesRefused with the parameters the policy lacks; files that
    cannot be read are noted in `files.unusable`."""
    pricer = Pricer(policy, files.values)

    def batches() -> Iterator[pl.DataFrame]:
        held = []
        for block in files.blocks():
            if problems is not None and block.problems.height:
                problems.write(block.problems)
            if policy.has("volume_cap"):  # a group's place in the year's count needs all of its cases at once
                held.append(block.cases)
            else:
                yield block.cases
        if held:
            yield pl.concat(held)

    def frames() -> Iterator[pl.DataFrame]:
        for cases in batches():
            priced = pricer.price(cases).frame
            own = _weights(cases, files.values)
            yield cases.with_columns(
                pl.col("total_cost_fen").alias("cost_fen"), own, priced["case_kind"], priced["fund_fen"]
            )

    kind = kind_of(files.scheme)
    tables = _tables(frames(), kind, priced=True)
    return Indicators(kind, True, tables, indicator_rules(), tuple(files.sources))


def of_book(book: Book) -> Indicators:
    """Indicators of the cases that count now in a year book, as they were priced and posted.

    A case that left its group's price (特例单议, bed days) has the weight that the other cases of its group have.
    """
    priced = book.priced().select(*KEY, "group", "name", "status", "case_kind", "weight", "fund_fen")
    known = book.cases().select(
        *KEY, "hospital_name", "department", "kind", "los_days", pl.col("total_cost_fen").alias("cost_fen")
    )
    cases = priced.join(known, on=KEY, how="left", maintain_order="left", nulls_equal=True)
    cases = cases.with_columns(pl.coalesce("weight", pl.col("weight").min().over("group")).alias("weight"))
    dip = cases["kind"].is_in(_DIP_KINDS).any()
    kind: SchemeKind = "DIP" if dip else "DRG"
    return Indicators(kind, True, _tables(iter([cases]), kind, priced=True), indicator_rules())


def _tables(frames: Iterator[pl.DataFrame], kind: SchemeKind, *, priced: bool) -> dict[str, pl.DataFrame]:
    rules = indicator_rules()
    empty = case_cells(pl.DataFrame(schema=CASE_COLUMNS), kind, rules)
    cells = add_cells([empty, *(case_cells(_columns(frame), kind, rules) for frame in frames)])
    return {level: unit_indicators(cells, level, kind, rules, priced=priced) for level in LEVELS}


def _columns(frame: pl.DataFrame) -> pl.DataFrame:
    """CASE_COLUMNS of a frame, null where it has none."""
    return frame.select(
        (pl.col(name) if name in frame.columns else pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in CASE_COLUMNS.items()
    )


def _weights(cases: pl.DataFrame, values: GroupValues) -> pl.Series:
    """The weight or score of each case's group (EXACT), null where the group has none."""
    keys = cases.select(*_SCOPE).unique()
    found = [values.get(*(part or "" for part in key)).weight for key in keys.iter_rows()]
    texts = [None if weight is None else decimal_text(weight, 10) for weight in found]
    table = keys.with_columns(pl.Series("weight", texts, dtype=pl.String).cast(EXACT))
    return cases.select(*_SCOPE).join(table, on=_SCOPE, how="left", maintain_order="left", nulls_equal=True)["weight"]


def _text(cases: pl.DataFrame, name: str) -> pl.Expr:
    """A column without outer blanks, null where the file has none."""
    return pl.col(name).str.strip_chars() if name in cases.columns else pl.lit(None, dtype=pl.String).alias(name)


def _fen(cases: pl.DataFrame, name: str) -> pl.Expr:
    return pl.col(name) if name in cases.columns else pl.lit(None, dtype=FEN)
