"""Recipes of cases: a pack's boxes with weighted lists of codes to draw from.

A recipe belongs to one DRG (or to no answer at all). Whatever is drawn from it is answered by that DRG: its
lists leave out the codes that a rule before it would take.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from benchmarks.boxes import Box, BoxSearch, ListLiteral
from benchmarks.case_codebook import CodeTable, code_table
from benchmarks.draws import Ints, Pools
from benchmarks.fill import Complications, fill_box
from benchmarks.formula import Formula, Level
from benchmarks.group_mix import UNANSWERED, group_weights
from benchmarks.plausible import along, case_mix
from benchmarks.scheme_formulas import SchemeFormulas, bits, scheme_formulas
from reference_tables.packs import DrgPack

NONE = -1
MOST_BOXES = 3000
"""Boxes of one DRG that are used; the national scheme has fewer."""
MASKED = ("NL", "XSRTL", "XSRTZ", "XB", "ZYTS", "ICUXS", "LYFS", "KS")
LEVELS = {"MCC": 1, "CC": 2}
_FINE = 1 << 20


@dataclass(frozen=True)
class Recipe:
    """One box ready to draw from. Lists are numbers of pools; `masks` are those of the box; `levels`: the
    level that the wanted diagnosis at that place must keep beside the principal one, 0 = none; `refused`:
    masks of the listed codes that must not be added (diagnoses, procedures)."""

    drg: int
    weight: int
    principal: int
    procedure: int
    wanted_dx: tuple[int, ...]
    levels: tuple[int, ...]
    wanted_px: tuple[int, ...]
    refused: tuple[int, int]
    masks: dict[str, int]


@dataclass(eq=False)
class Recipes:
    """All recipes of a pack. `drgs`: DRG codes that can be made, UNANSWERED last; `weights`: how often."""

    pack: DrgPack
    scheme: SchemeFormulas
    complications: Complications
    diagnoses: CodeTable
    procedures: CodeTable
    dx_pools: Pools = field(default_factory=Pools)
    px_pools: Pools = field(default_factory=Pools)
    drgs: list[str] = field(default_factory=list)
    weights: list[int] = field(default_factory=list)
    items: list[Recipe] = field(default_factory=list)

    def column(self, name: str) -> NDArray[np.int32]:
        """One attribute of every recipe; tuples side by side, NONE where one is shorter."""
        values = [getattr(item, name) for item in self.items]
        if not isinstance(values[0], tuple):
            return np.array(values, dtype=np.int32)
        width = max(1, *(len(value) for value in values))
        return np.array([(*value, *(NONE,) * (width - len(value))) for value in values], dtype=np.int32)


@dataclass(frozen=True)
class _Same:
    """A pack, told apart by its content only."""

    sha256: str
    pack: DrgPack = field(compare=False)


@lru_cache(maxsize=16)
def _kept(same: _Same) -> Recipes:
    return _build(same.pack)


def recipes_of(pack: DrgPack) -> Recipes:
    """All recipes of a pack; built once for the same content."""
    return _kept(_Same(pack.sha256, pack))


def _build(pack: DrgPack) -> Recipes:
    scheme = scheme_formulas(pack)
    found = Recipes(
        pack, scheme, Complications.of(pack, scheme.diagnoses),
        code_table("diagnosis", scheme.diagnoses), code_table("procedure", scheme.procedures),
    )  # fmt: skip
    maker = _Maker(found)
    for drg, formula in [*scheme.drg.items(), (UNANSWERED, scheme.unanswered)]:
        recipes = maker.of_formula(formula, len(found.drgs))
        if recipes:
            found.drgs.append(drg)
            found.items.extend(recipes)
    found.weights = group_weights(pack, found.drgs)
    return found


class _Maker:
    """Turns boxes into recipes; what depends on a mask alone is worked out once."""

    def __init__(self, found: Recipes) -> None:
        self.found = found
        self.scheme = found.scheme
        self.search = BoxSearch(found.scheme.algebra)
        self.numbers = lru_cache(maxsize=None)(_numbers)
        self.people = lru_cache(maxsize=None)(partial(_people, found.scheme))
        self.barred: dict[tuple[str, int], int] = {}
        self.dx_weight, self.px_weight = (int(table.weight.sum()) for table in (found.diagnoses, found.procedures))
        self.without = int(case_mix()["procedures"]["without_factor"])

    def of_formula(self, formula: Formula, drg: int) -> list[Recipe]:
        asked = self.scheme.algebra.all_of([formula, self.scheme.lifelike])
        ways = list(islice(self.search.boxes(asked), MOST_BOXES))
        recipes = [recipe for box in ways if (recipe := self.recipe(box, drg)) is not None]
        if not recipes:
            recipes = [recipe for box in ways if (recipe := self.exactly(box, drg)) is not None][:1]
        return recipes

    def recipe(self, box: Box, drg: int) -> Recipe | None:
        """A recipe that refuses whole complication lists and so suits every principal diagnosis of the box."""
        refused = {"QTZD": 0, "QTSS": 0}
        for literal in box.refused:
            slot, mask = self.asked(literal)
            refused[slot] |= mask
        wanted: dict[str, list[int]] = {"QTZD": [], "QTSS": []}
        levels: list[int] = []
        kept = {"QTZD": 0, "QTSS": 0}
        for literal in box.wanted:
            slot, mask = self.asked(literal)
            count = 1 if isinstance(literal, Level) else literal.count
            apart = not isinstance(literal, Level) and literal.beside
            parts = _apart(mask & ~refused[slot], count + apart)
            if not parts:
                return None
            wanted[slot].extend(self.codes(slot, part) for part in parts[:count])
            if slot == "QTZD":
                levels.extend([LEVELS[literal.level] if isinstance(literal, Level) else 0] * count)
            if apart:
                kept[slot] |= mask & ~parts[-1]
            if isinstance(literal, Level):
                kept["QTZD"] |= self.without_level(literal.level, refused["QTZD"])
        principal, procedure = self.principals(box, kept["QTZD"]), self.procedures(box, kept["QTSS"])
        if principal is None or procedure is None:
            return None
        masks = (refused["QTZD"], refused["QTSS"])
        return self.put(box, drg, (principal, procedure), (wanted["QTZD"], wanted["QTSS"]), levels, masks)

    def exactly(self, box: Box, drg: int) -> Recipe | None:
        """A recipe of one single set of codes, for a box that only certain principal diagnoses can fill."""
        example = fill_box(self.scheme, self.found.complications, box)
        if example is None or example.diagnoses == ("",):
            return None
        principal, *others = [1 << at for at in self.found.diagnoses.numbers_of(example.diagnoses)]
        procedure, *more = [1 << at for at in self.found.procedures.numbers_of(example.procedures)] or [0]
        wanted = [self.codes("QTZD", mask) for mask in others], [self.codes("QTSS", mask) for mask in more]
        full = self.scheme.algebra.full
        exact = {**box.inside, "ZYSS": procedure or self.scheme.procedures.unlisted}
        only = Box(exact, box.wanted, box.refused)
        first = self.codes("QTZD", principal)
        px = self.procedures(only, 0)
        assert px is not None
        return self.put(box, drg, (first, px), wanted, [0] * len(others), (full["ZYZD"], full["ZYSS"]))

    def asked(self, literal: ListLiteral) -> tuple[str, int]:
        if isinstance(literal, Level):
            return "QTZD", self.found.complications.everything(literal.level)
        return literal.slot, literal.mask

    def codes(self, slot: str, mask: int) -> int:
        """The pool of the codes of a mask."""
        diagnoses = slot == "QTZD"
        pools = self.found.dx_pools if diagnoses else self.found.px_pools
        table = self.found.diagnoses if diagnoses else self.found.procedures
        known = pools.known(mask)
        if known is None:
            items = self.numbers(mask)
            known = pools.add(mask, items, table.weights_of(items))
        return known

    def without_level(self, level: str, refused: int) -> int:
        """Principal diagnoses whose exclusion tables leave no code at the level but refused ones."""
        key = (level, refused)
        if key not in self.barred:
            complications = self.found.complications
            self.barred[key] = 0
            for tables, principals in complications.alike().items():
                if not complications.mask(level, tables) & ~refused:
                    self.barred[key] |= principals
        return self.barred[key]

    def principals(self, box: Box, kept: int) -> int | None:
        """The pool of principal diagnoses less those kept for the others; None when nothing is left."""
        unlisted = self.scheme.diagnoses.unlisted
        mask = box.inside.get("ZYZD", self.scheme.algebra.full["ZYZD"])
        if mask & ~unlisted:
            left = mask & ~unlisted & ~kept
            return self.codes("QTZD", left) if left else None
        ordinary = self.found.diagnoses.ordinary
        return self.found.dx_pools.add("ordinary", ordinary, self.found.diagnoses.weights_of(ordinary))

    def procedures(self, box: Box, kept: int) -> int | None:
        """The pool of principal procedures less those kept for the others, NONE among them if the box allows
        a case without one; None when nothing is left."""
        mask = box.inside.get("ZYSS", self.scheme.algebra.full["ZYSS"])
        listed = mask & ~self.scheme.procedures.unlisted & ~kept
        more = any(not isinstance(literal, Level) and literal.slot == "QTSS" for literal in box.wanted)
        without = mask & self.scheme.procedures.unlisted != 0 and not (more and listed)
        if not without:
            return self.codes("QTSS", listed) if listed else None
        key = ("without", listed)
        known = self.found.px_pools.known(key)
        if known is not None:
            return known
        items = self.numbers(listed)
        weights = self.found.procedures.weight[items]
        share = max(1, int(weights.sum()) * self.without)
        return self.found.px_pools.add(key, np.append(items, NONE), np.append(weights, share))

    def put(
        self,
        box: Box,
        drg: int,
        principals: tuple[int, int],
        wanted: tuple[list[int], list[int]],
        levels: list[int],
        refused: tuple[int, int],
    ) -> Recipe:
        """A recipe from pools: `principals` of diagnoses and procedures, `wanted` of the others."""
        principal, procedure = principals
        share = _FINE * self.found.dx_pools.total(principal) // self.dx_weight + 1
        share *= _FINE * self.found.px_pools.total(procedure) // (self.px_weight * self.without) + 1
        return Recipe(
            drg=drg,
            weight=max(1, share * self.people(box.inside.get("NL", self.scheme.algebra.full["NL"])) // _FINE),
            principal=principal,
            procedure=procedure,
            wanted_dx=tuple(wanted[0]),
            levels=tuple(levels),
            wanted_px=tuple(wanted[1]),
            refused=refused,
            masks={name: box.inside[name] for name in MASKED if name in box.inside},
        )


def _numbers(mask: int) -> Ints:
    return np.array(bits(mask), dtype=np.int64)


def _apart(mask: int, parts: int) -> list[int]:
    """`parts` masks without a code in common, together the mask; none when it has too few codes."""
    if mask.bit_count() < parts:
        return []
    if parts == 1:
        return [mask]
    numbers = bits(mask)
    return [sum(1 << at for at in numbers[first::parts]) for first in range(parts)]


def _people(scheme: SchemeFormulas, mask: int) -> int:
    """How many people are of the ages of the mask."""
    points = case_mix()["age"]["general"]
    ages = np.arange(points[-1][0] + 1, dtype=np.int64)
    return int(along(points, ages[allowed(scheme, "NL", mask, ages)]).sum()) + 1


def allowed(scheme: SchemeFormulas, name: str, mask: int, values: Ints) -> NDArray[np.bool_]:
    """Which of the values (in the variable's steps) lie in an interval of the mask."""
    starts = np.array(scheme.numbers[name].starts, dtype=np.int64)
    place = np.searchsorted(starts, values, side="right")
    flags = np.array([mask >> at & 1 for at in range(len(starts) + 1)], dtype=bool)
    return flags[place]
