"""From counts of cases to the groups of a catalog: core groups, and three levels of mixed groups for the rest.

A core group (核心病种) is a subcategory of the principal diagnosis and a combination of procedures that at least
`min_cases` cases of the catalog's years have. What no core group takes goes to mixed groups (综合病种) by the nature
of the treatment: of its subcategory when they are `min_cases` cases, else of its category when those are, else of its
chapter. Only counts are held, never the texts of the cases. Source: 《DIP 技术规范》.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from grouper.catalog.case_keys import KEYS, CaseKeys, Combination
from grouper.catalog.names import GroupNames
from reference_tables.catalog_rules import catalog_rules
from reference_tables.codes import CodeBooks, load_chapters
from reference_tables.dip_pack import dip_schema
from reference_tables.table_files import LINE

_COUNTS = ("cases", "counting", "forming")
_PENDING_ROWS = 1 << 20
LEVELS = ("subcategory", "category", "chapter")


class GrowthCounts:
    """Cases of a history counted by key and year as they stream by."""

    def __init__(self, books: CodeBooks, combination: Combination) -> None:
        self._keys = CaseKeys(books, combination)
        self._parts: list[pl.DataFrame] = []
        self._pending = 0

    def counted(self, cases: pl.DataFrame, year: pl.Series, usable: pl.Series) -> pl.DataFrame:
        """The counts of one block: KEYS, `year`, and `cases`, those `counting` (usable cost), those `forming` (may
        stand for a core group). Cases that cannot be read (defect) are in no group and not counted. Pure."""
        return _counts_of(self.keyed(cases, year, usable))

    def keyed(self, cases: pl.DataFrame, year: pl.Series, usable: pl.Series) -> pl.DataFrame:
        """What `counted` counts, one row a case: KEYS, `year`, and (Boolean) `cases`, `counting`, `forming`. Pure."""
        defect = pl.col("defect") if "defect" in cases.columns else pl.lit(None, pl.String)
        readable = cases.with_columns(defect.is_null().alias("cases"))["cases"]
        keys = self._keys.of(cases).with_columns(year.alias("year"), usable.alias("usable"), readable)
        counting = pl.col("cases") & pl.col("usable")
        forming = counting & pl.col("forms")
        return keys.select(*KEYS, "year", "cases", counting.alias("counting"), forming.alias("forming"))

    def withdraw(self, keyed: pl.DataFrame) -> None:
        """Cases as `keyed` that were added and turn out not to count: they stay in their groups, and stand for none."""
        counted = _counts_of(keyed)
        self.add(counted.with_columns(pl.lit(0, pl.Int64).alias("cases"), *(-pl.col(name) for name in _COUNTS[1:])))

    def add(self, counted: pl.DataFrame) -> None:
        """Take the counts of a block in."""
        self._parts.append(counted)
        self._pending += counted.height
        if self._pending > _PENDING_ROWS:
            self._parts = [self._summed()]
            self._pending = 0

    def _summed(self) -> pl.DataFrame:
        return pl.concat(self._parts).group_by(*KEYS, "year").agg(pl.col(_COUNTS).sum())

    def frame(self) -> pl.DataFrame:
        """All counts, in an order that does not depend on that of the cases."""
        return self._summed().sort(*KEYS, "year", nulls_last=True)


def _counts_of(keyed: pl.DataFrame) -> pl.DataFrame:
    """Counts of cases by key and year; cases that cannot be read are left out."""
    sums = [pl.col(name).sum().cast(pl.Int64) for name in _COUNTS]
    return keyed.filter("cases").group_by(*KEYS, "year").agg(sums)


@dataclass(frozen=True)
class Grown:
    """`tables` of a DIP pack; `expected`: code -> how many of all the cases come into the group, whatever their year
    and cost; `forming`: core group -> the cases that stand for it; `unfit`: cases of the years with a usable cost that
    may not stand for a core group, for a principal diagnosis that is unknown or grey or an unknown procedure."""

    tables: dict[str, pl.DataFrame]
    expected: dict[str, int]
    forming: dict[str, int]
    unfit: int


def grow(
    counts: pl.DataFrame, years: Collection[int], min_cases: int, combination: Combination, books: CodeBooks
) -> Grown:
    """The groups for the counts of `GrowthCounts.frame`, in the order of their codes.

    Every case whose principal diagnosis has a category of some chapter comes into a group.
    """
    counts = counts.with_columns(
        pl.when(pl.col("year").is_in(list(years))).then(pl.col(name)).otherwise(0).alias(name) for name in _COUNTS[1:]
    )
    unfit: int = counts.select(pl.sum("counting") - pl.sum("forming")).item()
    counts = counts.filter(pl.col("category").is_not_null())
    core, rest = _split(counts, ("subcategory", "px"), "forming", min_cases)
    subcategories, rest = _split(rest, ("subcategory", "nature"), "counting", min_cases)
    categories, rest = _split(rest, ("category", "nature"), "counting", min_cases)
    chapters, _ = _split(_with_chapter(rest), ("chapter", "nature"), "cases", 1)
    names = GroupNames(books)
    core_rows = [*_core_rows(core, combination, names)]
    mixed_rows = [
        row
        for level, frame in zip(LEVELS, (subcategories, categories, chapters), strict=True)
        for row in _mixed_rows(frame, level, names)
    ]
    return Grown(
        tables={
            "layer": _layer(),
            "core": _table("core", core_rows),
            "mixed": _table("mixed", mixed_rows),
            "meta": _table("meta", [{"key": "combination", "value": combination}]),
        },
        expected={row["code"]: int(row["cases"]) for row in (*core_rows, *mixed_rows)},
        forming={row["code"]: int(row["forming"]) for row in core_rows},
        unfit=unfit,
    )


def _split(counts: pl.DataFrame, key: tuple[str, str], measure: str, least: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Groups of a key with at least `least` of a measure (key, cases, forming; sorted), and the counts of the rest.

    A null in the key is never a group.
    """
    summed = counts.drop_nulls(key).group_by(key).agg(pl.col(_COUNTS).sum()).filter(pl.col(measure) >= least)
    return summed.sort(key), counts.join(summed, on=key, how="anti")


def _with_chapter(counts: pl.DataFrame) -> pl.DataFrame:
    chapter = pl.lit(None, pl.Int32)
    for known in load_chapters():
        inside = pl.col("category").is_between(pl.lit(known.first), pl.lit(known.last))
        chapter = pl.when(inside).then(pl.lit(known.number, pl.Int32)).otherwise(chapter)
    return counts.with_columns(chapter.alias("chapter"))


def _core_rows(core: pl.DataFrame, combination: Combination, names: GroupNames) -> Iterator[dict[str, str]]:
    rules = catalog_rules()
    for number, row in enumerate(core.iter_rows(named=True), start=1):
        scope = names.diagnosis(row["subcategory"])
        procedures = row["px"]
        yield {
            "code": f"{scope}:{procedures or rules.conservative}",
            "name": names.core(row["subcategory"], procedures),
            "layer": rules.layer,
            "number": str(number),
            "principal_dx": scope,
            "px_mode": rules.combinations[combination].px_mode if procedures else "none",
            "px": procedures,
            "cases": str(row["cases"]),
            "forming": str(row["forming"]),
        }


def _mixed_rows(groups: pl.DataFrame, level: str, names: GroupNames) -> Iterator[dict[str, str]]:
    chapters = {chapter.number: chapter for chapter in load_chapters()}
    for row in groups.iter_rows(named=True):
        key, nature = row[level], row["nature"]
        if level == "chapter":
            chapter = chapters[key]
            code, scope = f"{catalog_rules().chapter_prefix}{key:02d}", chapter.scope
            name = chapter.name
        else:
            code = scope = names.diagnosis(key)
            name = names.scope(key)
        yield {
            "code": f"{code}-{nature}",
            "name": f"{name}：{dip_schema().natures[nature]}",
            "level": level,
            "scope": scope,
            "nature": str(nature),
            "cases": str(row["cases"]),
        }


def _layer() -> pl.DataFrame:
    rules = catalog_rules()
    # Rows of one subcategory differ in their procedures, so no case fits two of them: a tie would be an error.
    row = {"code": rules.layer, "name": rules.layer_name, "order": "1", "precedence": "number", "ties": "refuse"}
    return _table("layer", [row])


def _table(name: str, rows: Sequence[dict[str, str]]) -> pl.DataFrame:
    """A table of dip_schema.toml with the given cells, the others blank."""
    columns = dip_schema().tables[name].columns
    cells = {column: [row.get(column, "") for row in rows] for column in columns}
    frame = pl.DataFrame(cells, schema=dict.fromkeys(columns, pl.String))
    return frame.with_columns(pl.lit(0, pl.UInt32).alias(LINE))
