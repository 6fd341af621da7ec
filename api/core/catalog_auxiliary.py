"""The auxiliary catalog (辅助目录) of a catalog: its tables, and correction factors estimated from the history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from api.core.catalog_cases import GroupedHistory, HistoryFiles
from api.core.catalog_plan import CatalogPlan
from api.core.catalog_scores import Scores
from budget.auxiliary_factors import FactorEstimate, estimate_factors
from budget.cost_statistics import year_weights
from budget.money import round_half_up
from grouper.catalog.history import HistoryBlock
from grouper.dip.auxiliary import AuxiliaryCatalog
from grouper.dip.compile import compile_dip
from grouper.encode import CodeLists
from grouper.pipeline import Sink
from reference_tables.auxiliary import AUXILIARY_TABLES, default_auxiliary, factor_gate, read_auxiliary
from reference_tables.dip_pack import DipPack, dip_schema
from reference_tables.problems import TablesRefused, problem_frame
from reference_tables.table_files import LINE, read_table

DEFAULT, NONE = "default", "none"
FACTORS = "aux_factor"


def auxiliary_tables(choice: str) -> Mapping[str, pl.DataFrame]:
    """The tables for `default`, `none` (no tables) or a folder of aux_level.csv, aux_set.csv, cci.csv and, where the
    factors are given and not to be estimated, aux_factor.csv.

    Raises TablesRefused when a file of the folder cannot be read as that table, or aux_level.csv is not there.
    """
    if choice == NONE:
        return {}
    if choice == DEFAULT:
        return default_auxiliary()
    folder = Path(choice)
    wanted = [name for name in AUXILIARY_TABLES if name == "aux_level" or (folder / f"{name}.csv").exists()]
    texts = {name: read_table(folder / f"{name}.csv", dip_schema().tables[name].columns) for name in wanted}
    problems = [problem for text in texts.values() for problem in text.problems]
    frames = {name: text.frame for name, text in texts.items() if text.frame is not None}
    if len(frames) < len(texts):
        raise TablesRefused(folder.name, problems)
    return frames


@dataclass(frozen=True)
class AuxiliaryEstimate:
    """`table`: aux_factor of the pack; `estimate`: with group numbers as places in `GroupedHistory.groups`."""

    table: pl.DataFrame
    estimate: FactorEstimate


def estimate_auxiliary(
    files: HistoryFiles,
    pack: DipPack,
    history: GroupedHistory,
    scores: Scores,
    plan: CatalogPlan,
    years: Sequence[int],
    problems: Sink | None,
) -> AuxiliaryEstimate:
    """Factors for the core groups of `pack`, whose auxiliary catalog has none yet.

    Reads the history once more: a level may ask how a case's cost compares with the mean of its group. What a file
    lacks for the rules is a problem (AU80) in `history.problems` and `problems`.
    """
    compiled = compile_dip(pack)
    catalog = AuxiliaryCatalog(pack, compiled.dx, compiled.px)
    enums = {
        dimension.code: pl.Enum(["", *(level.code for level in dimension.levels)])
        for dimension in read_auxiliary(pack.tables).dimensions
    }
    means = [round_half_up(scores.costs[code].mean_fen) if code in scores.costs else None for code in history.groups]
    mean_of = pl.Series(means, dtype=pl.Int64)
    groups = history.cases["group"]

    def work(block: HistoryBlock, first: int) -> pl.DataFrame:
        cases = block.cases
        group = groups.slice(first, cases.height)
        mean = mean_of.gather(pl.select(pl.when(group >= 0).then(group)).to_series())
        dx = compiled.dx.encode_lists(cases["diagnoses"])[0]
        px = CodeLists(*compiled.px.encode_lists(cases["procedures"]))
        return catalog.level_columns(cases, dx, px, mean).cast(enums)  # type: ignore[arg-type]

    levels = pl.concat(files.each(work))
    lacking = problem_frame(
        problem for source in files.sources for problem in catalog.unanswered(source.columns, source.path)
    )
    history.note(lacking)
    if problems is not None and lacking.height:
        problems.write(lacking)
    core = set(pack.tables["core"]["code"])
    places = [at for at, code in enumerate(history.groups) if code in core]
    counting = history.cases.select("group", "year", "cost_fen", "counts").hstack(levels.get_columns())
    counting = counting.filter(pl.col("counts") & pl.col("group").is_in(places)).drop("counts")
    estimate = estimate_factors(counting, list(enums), year_weights(years, plan.year_weights), plan.trim, factor_gate())
    rows = [(history.groups[it.group], it.dimension, it.level, str(it.factor)) for it in estimate.factors]
    columns = dip_schema().tables[FACTORS].columns
    table = pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String), orient="row")
    return AuxiliaryEstimate(table.with_columns(pl.lit(0, pl.UInt32).alias(LINE)), estimate)
