"""Drawing the codes of cases: what the recipe wants, typical comorbidities, further codes of the same system."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.case_company import Company
from benchmarks.draws import PER_MILLE, Draws, Flags, Ints, Pools
from benchmarks.formula import All, In
from benchmarks.plausible import case_mix
from benchmarks.recipes import LEVELS, NONE, Recipes
from benchmarks.scheme_formulas import bits

_REDRAWS = 12


class CodeDrawer:
    """Draws the codes of many cases of one pack at once. Recipes are named by their place in `recipes.items`."""

    def __init__(self, recipes: Recipes) -> None:
        self.recipes = recipes
        self.wanted_dx = recipes.column("wanted_dx")
        self.levels = recipes.column("levels")
        self.wanted_px = recipes.column("wanted_px")
        self.principal_pool = recipes.column("principal")
        self.procedure_pool = recipes.column("procedure")
        mdcs = _mdc_of_recipes(recipes)
        self.company = Company(recipes)
        self.further_pools = Pools()
        self.further_dx = _further_diagnoses(recipes, self.further_pools, mdcs)
        self.further_px = _further_procedures(recipes, self.further_pools, mdcs)
        self.exclusions = _Exclusions(recipes)

    def principals(self, draws: Draws, recipe: Ints) -> Ints:
        """The principal diagnosis of each case."""
        return self.recipes.dx_pools.draw(draws, self.principal_pool[recipe])

    def diagnoses(self, draws: Draws, recipe: Ints, principal: Ints, age: Ints, sex: Ints) -> Ints:
        """All diagnoses: one row a case, principal first, NONE behind the last; no code twice."""
        wanted = (self._wanted(draws, recipe, principal, place) for place in range(self.wanted_dx.shape[1]))
        columns = [principal, *wanted]
        columns += self.company.draw(draws, recipe, principal, age, sex)
        columns += self._further(draws, recipe, self.further_dx, case_mix()["other_diagnoses"]["same_system_share"])
        first_free = 1 + self.wanted_dx.shape[1]
        for column in columns[first_free:]:
            asked = self.recipes.diagnoses.sex[column]
            column[(column != NONE) & (asked != 0) & (asked != sex)] = NONE
        return closed_up(_without_repeats(np.column_stack(columns), first_free))

    def procedures(self, draws: Draws, recipe: Ints) -> Ints:
        """All procedures, laid out likewise; a row without a principal procedure is empty."""
        mix = case_mix()["procedures"]
        principal = self.recipes.px_pools.draw(draws, self.procedure_pool[recipe])
        examinations = self.recipes.procedures.ordinary
        # Where others are wanted beside no listed principal one, an examination stands first.
        examined = draws.chance(mix["examination_share"], len(recipe)) | (self.wanted_px[recipe] != NONE).any(axis=1)
        examined &= principal == NONE
        if len(examinations):
            found = examinations[draws.below(len(examinations), len(recipe))]
            principal = np.where(examined, found, principal)
        columns = [principal]
        for place in range(self.wanted_px.shape[1]):
            pool = self.wanted_px[recipe, place]
            drawn = self.recipes.px_pools.draw(draws, np.maximum(pool, 0))
            columns.append(np.where(pool == NONE, NONE, drawn))
        # An operation beside a smaller procedure would be the principal one.
        major = self.recipes.procedures.major
        for column in self._further(draws, recipe, self.further_px, mix["further_share"]):
            fits = major[principal] | ~major[column]
            columns.append(np.where(fits, column, NONE))
        table = np.column_stack(columns)
        wanted: Flags = np.any(table[:, 1 : 1 + self.wanted_px.shape[1]] >= 0, axis=1)
        table[(principal == NONE) & ~wanted] = NONE
        return closed_up(_without_repeats(table, 1 + self.wanted_px.shape[1]), keep_first=wanted)

    def _wanted(self, draws: Draws, recipe: Ints, principal: Ints, place: int) -> Ints:
        pool = self.wanted_dx[recipe, place]
        level = self.levels[recipe, place]
        drawn = np.where(pool == NONE, NONE, self.recipes.dx_pools.draw(draws, np.maximum(pool, 0)))
        for _ in range(_REDRAWS):
            (barred,) = np.nonzero(self.exclusions.bars(principal, drawn, level))
            if not len(barred):
                return drawn
            drawn[barred] = self.recipes.dx_pools.draw(draws, pool[barred])
        (barred,) = np.nonzero(self.exclusions.bars(principal, drawn, level))
        for row in barred.tolist():
            refused = self.recipes.items[recipe[row]].refused[0]
            drawn[row] = self.exclusions.plainest(int(principal[row]), int(level[row]), refused)
        return drawn

    def _further(self, draws: Draws, recipe: Ints, pool_of: NDArray[np.int32], shares: list[int]) -> list[Ints]:
        pool = pool_of[recipe]
        if (pool == NONE).all():
            return []
        drawn = draws.below(PER_MILLE, len(recipe))
        upto = np.cumsum(shares[1:])
        count = np.where(drawn >= upto[-1], 0, 1 + np.searchsorted(upto, drawn, side="right"))
        columns = []
        for at in range(1, len(shares)):
            code = self.further_pools.draw(draws, np.maximum(pool, 0))
            columns.append(np.where((count >= at) & (pool != NONE), code, NONE))
        return columns


class _Exclusions:
    """Which complications a principal diagnosis excludes, by number."""

    def __init__(self, recipes: Recipes) -> None:
        self.complications = recipes.complications
        tables = sorted({table for held in self.complications.tables.values() for table in held})
        place = {table: at for at, table in enumerate(tables, start=1)}
        self.holds = np.zeros((len(tables) + 1, len(recipes.diagnoses.codes)), dtype=bool)
        for number, held in self.complications.tables.items():
            for table in held:
                self.holds[place[table], number] = True
        self.rows: dict[int, list[Ints]] = {}
        for level, number in LEVELS.items():
            columns: list[Ints] = []
            for table, mask in self.complications.listed.get(level, []):
                numbers = np.array(bits(mask), dtype=np.int64)
                free = next((column for column in columns if (column[numbers] == NONE).all()), None)
                if free is None:
                    columns.append(free := np.full(len(recipes.diagnoses.codes), NONE, dtype=np.int64))
                free[numbers] = place.get(table, 0)
            self.rows[number] = columns

    def bars(self, principal: Ints, code: Ints, level: NDArray[np.int32]) -> Flags:
        """True where the code must keep its level beside the principal diagnosis and does not."""
        kept = level <= 0
        for number, columns in self.rows.items():
            at = level == number
            for column in columns:
                table = column[code]
                kept |= at & (table != NONE) & ~self.holds[np.maximum(table, 0), principal]
        return ~kept

    def plainest(self, principal: int, level: int, refused: int) -> int:
        """The first code that keeps the level beside the principal diagnosis and is not refused."""
        name = next(name for name, number in LEVELS.items() if number == level)
        tables = self.complications.tables.get(principal, frozenset())
        return bits(self.complications.mask(name, tables) & ~refused)[0]


def _mdc_of_recipes(recipes: Recipes) -> list[str]:
    scheme = recipes.scheme
    mdcs = [scheme.mdc_of.get(scheme.adrg_of.get(drg, ""), "") for drg in recipes.drgs]
    return [mdcs[item.drg] for item in recipes.items]


def _further_diagnoses(recipes: Recipes, pools: Pools, mdcs: list[str]) -> NDArray[np.int32]:
    table = recipes.diagnoses
    system: dict[str, int] = {}
    for mdc, rule in recipes.scheme.mdc_rule.items():
        asked = [item for item in (rule.items if isinstance(rule, All) else (rule,)) if isinstance(item, In)]
        system[mdc] = next((item.mask for item in asked if item.variable == "ZYZD"), 0)
    return np.array(
        [
            _further_pool(pools, "dx", system.get(mdc, 0) & ~item.refused[0], table.weight)
            for mdc, item in zip(mdcs, recipes.items, strict=True)
        ],
        dtype=np.int32,
    )


def _further_procedures(recipes: Recipes, pools: Pools, mdcs: list[str]) -> NDArray[np.int32]:
    table = recipes.procedures
    frequent = sum(1 << at for at in table.numbers_of(case_mix()["procedures"]["frequent"]))
    pools_of: dict[str, set[int]] = {}
    for mdc, item in zip(mdcs, recipes.items, strict=True):
        pools_of.setdefault(mdc, set()).add(item.procedure)
    system: dict[str, int] = {}
    for mdc, used in pools_of.items():
        numbers = {int(at) for pool in used for at in recipes.px_pools.items_of(pool) if at >= 0}
        flags = np.zeros(len(table.codes), dtype=np.uint8)
        flags[list(numbers)] = 1
        system[mdc] = int.from_bytes(np.packbits(flags, bitorder="little").tobytes(), "little")
    return np.array(
        [
            _further_pool(pools, "px", (system[mdc] | frequent) & ~item.refused[1], table.weight)
            for mdc, item in zip(mdcs, recipes.items, strict=True)
        ],
        dtype=np.int32,
    )


def _further_pool(pools: Pools, kind: str, mask: int, weight: Ints) -> int:
    """The pool of the codes of a mask that may be reported; NONE when there is none."""
    known = pools.known((kind, mask))
    if known is not None:
        return known
    items = np.array(bits(mask), dtype=np.int64)
    if not weight[items].any():
        return NONE
    return pools.add((kind, mask), items, weight[items])


def _without_repeats(table: Ints, first_free: int) -> Ints:
    for later in range(first_free, table.shape[1]):
        repeated = (table[:, :later] == table[:, later : later + 1]).any(axis=1)
        table[repeated, later] = NONE
    return table


def closed_up(table: Ints, keep_first: Flags | None = None) -> Ints:
    """Each row moved to the left over its holes; the first place stays empty where `keep_first` says so."""
    filled = table != NONE
    if keep_first is not None:
        filled[:, 0] |= keep_first
    count = filled.sum(axis=1)
    width = max(1, int(count.max(initial=0)))
    closed = np.full((len(table), width), NONE, dtype=np.int64)
    closed[np.arange(width) < count[:, None]] = table[filled]
    return closed
