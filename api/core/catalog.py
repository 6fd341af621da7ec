"""Build a region's DIP catalog from its history: read, grow or keep the groups, group, score, check, write.

Nothing is taken on trust: every case that was read must come out with a status, a grown group must hold exactly the
cases it was counted to hold, and the pack as written must read back as the pack that was built.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from api.core.catalog_auxiliary import FACTORS, AuxiliaryEstimate, estimate_auxiliary
from api.core.catalog_cases import (
    NO_GROUP,
    FirstLook,
    GroupedHistory,
    HistoryFiles,
    first_look,
    group_history,
    told_when_refused,
)
from api.core.catalog_plan import CatalogIdentity, CatalogPlan, manifest_of
from api.core.catalog_scores import Explained, Scores, explain_variance, score_groups
from api.core.whole_folder import appear, beside
from grouper.catalog.grow import Grown, GrowthCounts, grow
from grouper.catalog.history import HistoryRefused, catalog_years, year_remarks
from grouper.catalog.unfit import UnfitCases
from grouper.compile import CompiledScheme
from grouper.dip.compile import CompiledDip, compile_dip
from grouper.intake import BLOCK_ROWS
from grouper.pipeline import Progress, Sink
from reference_tables.auxiliary import AUXILIARY_TABLES
from reference_tables.codes import load_code_books
from reference_tables.dip_build import build_dip_pack
from reference_tables.dip_pack import DipPack
from reference_tables.pack_build import PackIdentity
from reference_tables.pack_writer import write_pack
from reference_tables.packs import read_pack
from reference_tables.problems import Problem, TablesRefused
from reference_tables.table_files import LINE

CORE, MIXED = KINDS = ("core", "mixed")


class CatalogBroken(RuntimeError):
    """A check of the program's own work failed: a fault of the program, never of the history."""


@dataclass(frozen=True)
class BuiltCatalog:
    """A finished catalog and all that is worth telling about it. `grown` is None when the groups were given."""

    pack: DipPack
    plan: CatalogPlan
    identity: CatalogIdentity
    years: tuple[int, ...]
    look: FirstLook
    grown: Grown | None
    history: GroupedHistory
    scores: Scores
    explained: Explained
    drg_scheme: CompiledScheme
    auxiliary: AuxiliaryEstimate | None

    def scored(self) -> tuple[int, int, int]:
        """Groups of the catalog, those with a score, and how many cases came into groups without one."""
        cases = self.cases_of(CORE) + self.cases_of(MIXED)
        groups = {code for kind in KINDS for code in self.pack.tables[kind]["code"]}
        without = sum(number for code, number in cases.items() if code not in self.scores.scores)
        return len(groups), len(groups & self.scores.scores.keys()), without

    def cases_of(self, kind: str) -> Counter[str]:
        """Cases of each group of a kind (core, mixed), whatever their year and cost; groups without a case too."""
        codes = self.pack.tables[kind]["code"].unique(maintain_order=True).to_list()
        by_place = dict(self.history.cases.group_by("group").len().iter_rows())
        place = {code: at for at, code in enumerate(self.history.groups)}
        return Counter({code: by_place.get(place[code], 0) for code in codes})


def build_catalog(
    paths: Sequence[str],
    output: Path,
    plan: CatalogPlan,
    identity: CatalogIdentity,
    *,
    drg_scheme: CompiledScheme,
    base: CompiledDip | None = None,
    auxiliary: Mapping[str, pl.DataFrame] | None = None,
    threads: int = 1,
    block_rows: int = BLOCK_ROWS,
    problems: Sink | None = None,
    progress: Progress | None = None,
) -> BuiltCatalog:
    """Build the catalog and write it as the pack folder `output`, which must not hold anything yet.

    `base`: the pack whose groups are kept, None = grow them; `auxiliary`: tables of an auxiliary catalog, its factors
    estimated when they are not among them; empty = a catalog without one, None = that of `base` as it is. The pack
    is the same to the byte whatever the order of the files, the blocks and the number of threads.

    Raises HistoryRefused for a history that cannot be used, FileExistsError for an output that is taken, OSError
    when it cannot be written, TablesRefused when the tables of `auxiliary` or `base` do not fit.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise FileExistsError(str(output))
    books = load_code_books()
    files = HistoryFiles(
        paths, fmt=plan.fmt, edition=plan.edition, threads=threads, block_rows=block_rows, progress=progress
    )
    counts = GrowthCounts(books, plan.combination) if base is None else None
    look = first_look(files, counts)
    with told_when_refused(files, look, problems):
        years = catalog_years(look.found, look.usable, plan.years, len(plan.year_weights), len(paths))
        grown = None if counts is None else grow(counts.frame(), years, plan.min_cases, plan.combination, books)
        if grown is not None and not grown.expected:
            raise HistoryRefused([Problem("DC09")])
    kept = None if base is None else base.pack
    manifest = manifest_of(plan, years, identity, files.sources, kept)
    named = PackIdentity(manifest.id, manifest.version, manifest.name, manifest.newborn_weight)
    tables = _kept_tables(kept, keep_auxiliary=auxiliary is None) if kept else dict(grown.tables if grown else {})
    # Which group a case comes into does not depend on the auxiliary catalog: it is checked now and applied later.
    bare = {name: frame for name, frame in tables.items() if name not in AUXILIARY_TABLES}
    compiled = compile_dip(build_dip_pack(bare, named, manifest), books)
    tables |= auxiliary or {}
    try:
        build_dip_pack(tables, named, manifest)
    except TablesRefused as error:
        # The scores come later: that they lack mean costs is no fault of the given tables.
        raise TablesRefused(error.what, [each for each in error.problems if each.code != "AU52"]) from None
    groups = list(dict.fromkeys([*tables[CORE]["code"].to_list(), *_codes(tables, MIXED)]))
    unfit = UnfitCases(books) if base is None else None
    history = group_history(files, compiled, groups, drg_scheme, years, look.repeats, problems, unfit)
    history.remark(year_remarks(look.found, years), problems)
    _check(look, history, grown, plan)
    scores = score_groups(history, plan, years)
    tables["score"] = scores.table()
    estimate = None
    if auxiliary and FACTORS not in auxiliary:
        scored = build_dip_pack(tables, named, manifest)
        estimate = estimate_auxiliary(files, scored, history, scores, plan, years, problems)
        tables[FACTORS] = estimate.table
    pack = build_dip_pack(tables, named, manifest)
    _write(pack, output)
    return BuiltCatalog(
        pack, plan, identity, years, look, grown, history, scores, explain_variance(history, plan), drg_scheme, estimate
    )


def _kept_tables(pack: DipPack, *, keep_auxiliary: bool) -> dict[str, pl.DataFrame]:
    """The tables of a pack whose groups are kept, without its scores."""
    left_out = {"score"} if keep_auxiliary else {"score", *AUXILIARY_TABLES}
    tables = {name: frame for name, frame in pack.tables.items() if name not in left_out}
    return {**tables, "meta": pack.table("meta").with_columns(pl.lit(0, pl.UInt32).alias(LINE))}


def _codes(tables: Mapping[str, pl.DataFrame], name: str) -> list[str]:
    return tables[name]["code"].to_list() if name in tables else []


def _check(look: FirstLook, history: GroupedHistory, grown: Grown | None, plan: CatalogPlan) -> None:
    """No case lost, and every grown group holds what it was counted to hold. Raises CatalogBroken."""
    answered = history.status.total()
    if not look.rows == history.cases.height == answered:
        raise CatalogBroken(f"{look.rows} cases read, {history.cases.height} grouped, {answered} with a status")
    if grown is None:
        return
    grouped = history.cases.filter(pl.col("group") != NO_GROUP)
    found = {history.groups[place]: cases for place, cases in grouped.group_by("group").len().iter_rows()}
    if found != grown.expected:
        wrong = sorted(code for code in {*found, *grown.expected} if found.get(code) != grown.expected.get(code))
        raise CatalogBroken(f"groups with other cases than counted: {wrong[:5]}")
    if history.unfit.total() != grown.unfit:
        raise CatalogBroken(f"{grown.unfit} cases counted that form no core group, {history.unfit.total()} told")
    counting = dict(history.counting().group_by("group").len().iter_rows())
    small = [
        code for at, code in enumerate(history.groups) if code in grown.forming and counting.get(at, 0) < plan.min_cases
    ]
    if small:
        raise CatalogBroken(f"core groups of fewer than {plan.min_cases} cases: {small[:5]}")


def _write(pack: DipPack, output: Path) -> None:
    """Write the pack beside its place, read it back, and give it its name. Raises CatalogBroken, OSError."""
    with beside(output) as place:
        write_pack(pack, place)
        again = read_pack(place)
        if again.sha256 != pack.sha256:
            raise CatalogBroken("the pack as written is not the pack that was built")
        appear(place, output)
