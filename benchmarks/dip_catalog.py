"""A seeded DIP catalog of many core groups, and cases of which most come into them: what the DIP lines are timed on.

    python -m benchmarks.dip_catalog --rows 10000 -n 1000000 --folder out/bench/dip

The catalog is shaped like one grown from history: per subcategory the conservative group and the combinations of
procedures seen with it, most of them exact, some a principal with a related procedure; mixed groups (综合病种) for
every category and nature; a score for every group. The same seed gives the same bytes. Everything is invented.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.case_codes import closed_up
from benchmarks.draws import Draws, Ints, Pools, rank_weights
from reference_tables.codes import load_code_books
from reference_tables.dip_build import build_dip_pack
from reference_tables.dip_cells import category_of, mark_of, subcategory_of
from reference_tables.dip_pack import DipPack, dip_schema
from reference_tables.manifest import Manifest, Source
from reference_tables.pack_build import PackIdentity
from reference_tables.pack_writer import write_pack
from reference_tables.table_files import LINE

ROWS_PER_SUBCATEGORY = 4
PROCEDURES_OF_A_SUBCATEGORY = 7
SHARE_EXACT = 500
SHARE_OF_ROWS = 850
SHARE_WITH_ANOTHER_PROCEDURE = 60
WIDEST_COMBINATION = 3
MOST_OTHERS = 8
COMMON_DIAGNOSES = 400
NONE = -1
_PROCEDURES_OF_A_LETTER = 250


@dataclass(frozen=True)
class Group:
    """A core group to be: its subcategory, its procedures by number in the book, and how it asks for them."""

    subcategory: str
    procedures: tuple[int, ...]
    exact: bool


class MadeCatalog:
    """A catalog of about `rows` core groups and what cases are drawn from."""

    def __init__(self, rows: int, seed: int) -> None:
        self.seed = seed
        books = load_code_books()
        dx = books.diagnosis.frame.filter(~pl.col("gray"))
        self.diagnoses = dx["code"]
        self.procedures = books.procedure.frame.filter(~pl.col("gray") & (pl.col("category") != ""))["code"]
        self.starts = [subcategory_of(code) for code in self.diagnoses]
        draws = Draws(seed, 0)
        self.groups = self._groups(draws, rows)
        self.weights = rank_weights(len(self.groups), draws, 100 * len(self.groups), 20)

    def _groups(self, draws: Draws, rows: int) -> list[Group]:
        """Per subcategory: no procedure, then combinations of the procedures usual with its chapter's letter."""
        starts = list(dict.fromkeys(self.starts))
        letters = {
            letter: draws.below(len(self.procedures), _PROCEDURES_OF_A_LETTER)
            for letter in sorted({s[0] for s in starts})
        }
        # A few more than needed: a subcategory may have drawn the same combination again and again.
        count = rows // ROWS_PER_SUBCATEGORY + rows // 100
        chosen = [starts[place] for place in draws.order(len(starts))[:count].tolist()]
        groups: list[Group] = []
        for start in chosen:
            pool = letters[start[0]][draws.below(_PROCEDURES_OF_A_LETTER, PROCEDURES_OF_A_SUBCATEGORY)].tolist()
            wanted = 2 * ROWS_PER_SUBCATEGORY * WIDEST_COMBINATION
            picks = draws.below(len(pool), wanted).reshape(-1, WIDEST_COMBINATION).tolist()
            sizes = draws.weighted((50, 40, 10), len(picks)).tolist()
            exact = draws.chance(SHARE_EXACT, len(picks)).tolist()
            made = {frozenset[int](): Group(start, (), exact=True)}
            for pick, size, whole in zip(picks, sizes, exact, strict=True):
                codes = tuple(dict.fromkeys(pool[place] for place in pick[: size + 1]))
                # What is no exact combination asks for a principal procedure and a related one.
                kind = whole or len(codes) == 1
                codes = tuple(sorted(codes)) if kind else codes[:2]
                made.setdefault(frozenset(codes), Group(start, codes, exact=kind))
            groups += list(made.values())[:ROWS_PER_SUBCATEGORY]
        return groups[:rows]

    # --- the pack ---

    @cached_property
    def pack(self) -> DipPack:
        """The catalog as a checked pack."""
        tables: dict[str, list[tuple[str, ...]]] = {
            "layer": [("core", "核心病种", "1", "specific", "number")],
            "core": [self._core(number, group) for number, group in enumerate(self.groups, start=1)],
            "mixed": self._mixed(),
            "meta": [("combination", "all")],
        }
        codes = [row[0] for name in ("core", "mixed") for row in tables[name]]
        scores = Draws(self.seed, 1).between(2_000, 60_000_000, len(codes)).tolist()
        tables["score"] = [(code, f"{score // 10_000}.{score % 10_000:04d}", "", "", "", "")
                           for code, score in zip(codes, scores, strict=True)]  # fmt: skip
        frames = {
            name: pl.DataFrame(rows, schema=dict.fromkeys(dip_schema().tables[name].columns, pl.String), orient="row")
            .with_columns(pl.int_range(2, pl.len() + 2, dtype=pl.UInt32).alias(LINE))
            for name, rows in tables.items()
        }  # fmt: skip
        identity = PackIdentity("dip-bench", "1", "DIP benchmark catalog", "birth")
        return build_dip_pack(frames, identity, _manifest(identity))

    def _core(self, number: int, group: Group) -> tuple[str, ...]:
        codes = [self.procedures[place] for place in group.procedures]
        cells = {"px_mode": "none"}
        if codes:
            cells = {"px_mode": "exact", "px": "+".join(codes)}
        if not group.exact:
            cells = {"px_mode": "principal", "px": codes[0], "related_px": "".join(codes[1:2])}
        treatment = "+".join(codes) or "保守治疗"
        code = f"{group.subcategory}:{treatment}"
        cells |= {"code": code, "name": f"病种 {number}", "layer": "core", "number": str(number),
                  "principal_dx": group.subcategory}  # fmt: skip
        return tuple(cells.get(column, "") for column in dip_schema().tables["core"].columns)

    def _mixed(self) -> list[tuple[str, ...]]:
        scopes = dict.fromkeys(category_of(code) + mark_of(code) for code in sorted(self.diagnoses))
        return [
            (f"{scope}-{nature}", f"综合病种 {scope}", "category", scope, str(nature))
            for scope in scopes
            for nature in dip_schema().natures
        ]

    # --- cases ---

    @cached_property
    def _principals(self) -> tuple[Pools, Ints]:
        """Codes of each subcategory, and the list of each group."""
        places: dict[str, list[int]] = {}
        for place, start in enumerate(self.starts):
            places.setdefault(start, []).append(place)
        pools = Pools()
        of_group = [
            pools.add(group.subcategory, np.array(codes, np.int64), np.ones(len(codes), np.int64))
            for group in self.groups
            for codes in [places[group.subcategory]]
        ]
        return pools, np.array(of_group, np.int64)

    @cached_property
    def _procedures_of_groups(self) -> Ints:
        """[groups, WIDEST_COMBINATION + 1]: the procedures of each group, NONE behind the last."""
        table = np.full((len(self.groups), WIDEST_COMBINATION + 1), NONE, np.int64)
        for at, group in enumerate(self.groups):
            table[at, : len(group.procedures)] = group.procedures
        return table

    def cases(self, count: int) -> pl.DataFrame:
        """`count` cases as canonical frame: about SHARE_OF_ROWS per mille drawn for a core group, the others with
        the procedures of another group, some with one procedure more."""
        draws = Draws(self.seed, 2)
        group = draws.weighted(self.weights, count)
        pools, of_group = self._principals
        principal = pools.draw(draws, of_group[group])
        stays = draws.chance(SHARE_OF_ROWS, count)
        procedures = self._procedures_of_groups[np.where(stays, group, draws.order(count) % len(self.groups))].copy()
        more = draws.chance(SHARE_WITH_ANOTHER_PROCEDURE, count)
        procedures[more, WIDEST_COMBINATION] = draws.below(len(self.procedures), int(more.sum()))
        diagnoses = np.column_stack([principal, self._others(draws, count)])
        age = draws.between(1, 95, count)
        return pl.DataFrame(
            {
                "row": pl.Series(np.arange(2, count + 2), dtype=pl.UInt32),
                "case_id": pl.Series(np.arange(1, count + 1)).cast(pl.String),
                "sex": pl.Series(draws.between(1, 2, count)).cast(pl.Int8),
                "age_years": pl.Series(age).cast(pl.Int32),
                "age_days": pl.repeat(None, count, dtype=pl.Int32, eager=True),
                "newborn_birth_weight_g": pl.repeat(None, count, dtype=pl.Int32, eager=True),
                "los_days": pl.Series(draws.between(1, 30, count)).cast(pl.Int32),
                "discharge_way": pl.repeat("1", count, eager=True),
                "diagnoses": _lists(self.diagnoses, closed_up(diagnoses)),
                "procedures": _lists(self.procedures, closed_up(procedures)),
            }
        )

    def _others(self, draws: Draws, count: int) -> Ints:
        """[cases, MOST_OTHERS]: other diagnoses out of the common ones, often few."""
        common = draws.below(len(self.diagnoses), COMMON_DIAGNOSES)
        weights = rank_weights(COMMON_DIAGNOSES, draws, 100_000, 10)
        drawn = common[draws.weighted(weights, count * MOST_OTHERS)].reshape(count, MOST_OTHERS)
        kept = draws.weighted(range(MOST_OTHERS + 1, 0, -1), count)
        return np.where(np.arange(MOST_OTHERS) < kept[:, None], drawn, NONE)


def _lists(texts: pl.Series, numbers: Ints) -> pl.Series:
    """Rows of numbers as lists of texts, NONE left out."""
    words = texts.gather(pl.Series(np.maximum(numbers, 0).ravel()))
    table = pl.DataFrame({"items": words.reshape(numbers.shape), "count": (numbers != NONE).sum(axis=1)})
    return table.select(pl.col("items").arr.to_list().list.head("count")).to_series()


def _manifest(identity: PackIdentity) -> Manifest:
    return Manifest(
        id=identity.id,
        scheme="DIP",
        version=identity.version,
        name=identity.name,
        region="合成",
        effective_from=None,
        effective_until=None,
        newborn_weight="birth",
        data_level="synthetic",
        statement="合成数据，仅用于测速",
        files={},
        sources=(Source("benchmarks.dip_catalog", "drgdip"),),
    )


def main() -> None:
    """Write the catalog and its cases."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("-n", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=20261001)
    parser.add_argument("--folder", type=Path, required=True)
    given = parser.parse_args()
    made = MadeCatalog(given.rows, given.seed)
    write_pack(made.pack, given.folder / "pack")
    made.cases(given.n).write_parquet(given.folder / "canonical.parquet")
    print(f"{len(made.groups)} core groups, {given.n} cases")


if __name__ == "__main__":
    main()
