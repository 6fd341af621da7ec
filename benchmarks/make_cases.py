"""Seeded, realistic inpatient cases for any pack, in the canonical case frame.

    python -m benchmarks.make_cases --scheme chs-drg-1.1 -n 1000000 --seed 1 --format parquet -o cases.parquet

Cases are built from the pack's own rules (`recipes.py`), dressed with a case mix (`case_mix.toml`): so every
DRG that can be reached is reached, and how each case should be grouped is known without a grouper.
The same seed gives the same cases on every machine. Everything is invented; nobody is described.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.case_codes import CodeDrawer
from benchmarks.case_frame import case_frame
from benchmarks.case_mistakes import spoil
from benchmarks.case_money import draw_money, quantiles, weight_x1000
from benchmarks.case_people import PeopleDrawer
from benchmarks.case_stay import StayDrawer
from benchmarks.draws import Draws, Flags, Ints, Pools
from benchmarks.group_mix import UNANSWERED
from benchmarks.hospitals import Hospital, city_hospitals
from benchmarks.recipes import NONE, Recipes, recipes_of
from benchmarks.write_cases import FORMATS, write_cases
from reference_tables.packs import DrgPack, find_drg_pack

BLOCK_ROWS = 1 << 17
MONTH = "2026-10"
_ENOUGH = 3
"""Every DRG gets a case of its own when there are at least so many cases a DRG."""


@dataclass(frozen=True)
class MadeCases:
    """`frame`: canonical cases. `truth`, row by row: `drg` the case was made for (null after a mistake, and
    where a scheme's second try is left to answer), `mistake` its kind (null: none)."""

    frame: pl.DataFrame
    truth: pl.DataFrame


def make_cases(
    pack: DrgPack,
    n: int,
    seed: int,
    *,
    mistakes: float = 0.01,
    month: str = MONTH,
    hospitals: Sequence[Hospital] | None = None,
    details: bool = True,
) -> pl.DataFrame:
    """`n` cases of a pack: the canonical case frame with the optional columns.

    `mistakes`: share of records with something wrong (the one case a DRG is sure of is always right);
    `month`: of all discharges, as 2026-10; `details`: names, operation data and nursing beside codes, stay
    and money. `row` counts from 1.
    """
    blocks = iter_cases(pack, n, seed, mistakes=mistakes, month=month, hospitals=hospitals, details=details)
    return pl.concat([block.frame for block in blocks])


def iter_cases(
    pack: DrgPack,
    n: int,
    seed: int,
    *,
    mistakes: float = 0.01,
    month: str = MONTH,
    hospitals: Sequence[Hospital] | None = None,
    details: bool = True,
) -> Iterator[MadeCases]:
    """The cases of `make_cases` block by block, with what they were made for."""
    maker = _Maker(recipes_of(pack), hospitals or city_hospitals(), month, seed)
    for first in range(0, n, BLOCK_ROWS):
        yield maker.block(first, min(BLOCK_ROWS, n - first), mistakes, details=details)
    if n == 0:
        one = maker.block(0, 1, mistakes, details=details)
        yield MadeCases(one.frame.clear(), one.truth.clear())


@lru_cache(maxsize=16)
def _drawers(recipes: Recipes) -> tuple[CodeDrawer, PeopleDrawer]:
    return CodeDrawer(recipes), PeopleDrawer(recipes)


class _Maker:
    def __init__(self, recipes: Recipes, hospitals: Sequence[Hospital], month: str, seed: int) -> None:
        self.recipes = recipes
        self.hospitals = hospitals
        self.seed = seed
        self.codes, self.people = _drawers(recipes)
        self.weights = self._weights()
        self.stays = StayDrawer(recipes, self.weights, hospitals, month)
        # A scheme that tries the other procedures may yet find a group where the walk finds none.
        retries = "retry" in recipes.pack.meta
        self._answers = [None if retries and drg == UNANSWERED else drg for drg in recipes.drgs]
        self.of_drg = Pools()
        for drg, places in _by_drg(recipes).items():
            weights = np.array([recipes.items[place].weight for place in places], dtype=np.int64)
            self.of_drg.add(drg, np.array(places, dtype=np.int64), weights)

    def _weights(self) -> Ints:
        operated = [bool((self.recipes.px_pools.items_of(item.procedure) != NONE).all()) for item in self.recipes.items]
        known: dict[int, int] = {}
        for item, cut in zip(self.recipes.items, operated, strict=True):
            known.setdefault(item.drg, weight_x1000(self.recipes.drgs[item.drg], operated=cut))
        return np.array([known[item.drg] for item in self.recipes.items], dtype=np.int64)

    def _chosen(self, draws: Draws, first: int, count: int) -> tuple[Ints, Flags]:
        """The DRG of each case: by frequency, and in the first block each once if there is room.

        Also which cases stand for their DRG in this way.
        """
        drg = draws.weighted(self.recipes.weights, count)
        reserved = len(self.recipes.drgs)
        stands = np.zeros(count, dtype=bool)
        if first == 0 and count >= _ENOUGH * reserved:
            drg[:reserved] = np.arange(reserved)
            stands[:reserved] = True
            order = draws.order(count)
            drg, stands = drg[order], stands[order]
        return drg, stands

    def block(self, first: int, count: int, mistakes: float, *, details: bool) -> MadeCases:
        draws = Draws(self.seed, first // BLOCK_ROWS)
        drg, stands = self._chosen(draws, first, count)
        recipe = self.of_drg.draw(draws, drg)
        principal = self.codes.principals(draws, recipe)
        people = self.people.draw(draws, recipe, principal)
        diagnoses = self.codes.diagnoses(draws, recipe, principal, people.age, people.sex)
        procedures = self.codes.procedures(draws, recipe)
        operated = (procedures[:, 0] >= 0) & (procedures[:, 0] < self.recipes.procedures.listed)
        costly = quantiles(draws, count)
        stay = self.stays.draw(draws, recipe, people, operated, costly)
        level = np.array([hospital.level for hospital in self.hospitals])[stay.hospital]
        employee = stay.insurance == "310"
        money = draw_money(
            draws, weight=self.weights[recipe], operated=operated, level=level, employee=employee, costly=costly
        )
        spoiled = spoil(draws, diagnoses, self.recipes.diagnoses, mistakes, stands)
        frame = case_frame(
            draws,
            self.recipes,
            hospitals=self.hospitals,
            first=first,
            people=people,
            spoiled=spoiled,
            procedures=procedures,
            stay=stay,
            money=money,
            details=details,
        )
        names = pl.Series(self._answers).gather(pl.Series(drg))
        kinds = pl.Series([None, *spoiled.kinds], dtype=pl.String).gather(pl.Series(spoiled.kind))
        truth = pl.DataFrame({"drg": names, "mistake": kinds}).with_columns(
            pl.when(pl.col("mistake").is_null()).then("drg").alias("drg")
        )
        return MadeCases(frame, truth)


def _by_drg(recipes: Recipes) -> dict[int, list[int]]:
    places: dict[int, list[int]] = {}
    for place, item in enumerate(recipes.items):
        places.setdefault(item.drg, []).append(place)
    return dict(sorted(places.items()))


def main() -> None:
    """Write made cases in one of the formats hospitals send."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scheme", default="chs-drg-1.1", help="built-in pack, pack folder or workbook")
    parser.add_argument("-n", "--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mistakes", type=float, default=0.01, help="share of records with something wrong")
    parser.add_argument("--month", default=MONTH)
    parser.add_argument("--format", choices=sorted(FORMATS), default="flat")
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    made = iter_cases(find_drg_pack(given.scheme), given.cases, given.seed, mistakes=given.mistakes, month=given.month)
    written = write_cases((block.frame for block in made), given.format, given.output)
    print(f"{given.output}: {written} cases", file=sys.stderr)


if __name__ == "__main__":
    main()
