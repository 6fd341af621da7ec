"""Ages, sexes and newborn weights that fit the recipe and the diagnosis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.draws import Draws, Flags, Ints, Pools
from benchmarks.plausible import along, case_mix
from benchmarks.recipes import NONE, Recipes, allowed
from benchmarks.scheme_formulas import NEWBORN_DAYS

UNKNOWN = -1
_GRAMS = 10
_MOTHERS = 400
"""Share of mothers whose record bears the weight of the child."""
_NUMBERS = {"NL": 121, "XSRTL": 365, "XSRTZ": 6001}


@dataclass(frozen=True)
class People:
    """One entry a case: `sex` 1 or 2, `age` completed years, `days` (UNKNOWN from one year on), and the two
    newborn weights in grams (UNKNOWN where nobody weighs)."""

    sex: Ints
    age: Ints
    days: Ints
    birth_weight: Ints
    admission_weight: Ints


class PeopleDrawer:
    """Draws the persons of many cases of one pack at once."""

    def __init__(self, recipes: Recipes) -> None:
        self.recipes = recipes
        scheme = recipes.scheme
        self.pools = Pools()
        letters = [scheme.mdc_of.get(scheme.adrg_of.get(drg, ""), "?")[-1] for drg in recipes.drgs]
        mix = case_mix()
        curve_of = {letter: mix["age_of"].get(letter, mix["age_of"]["default"]) for letter in letters}
        curves = {name: mix["age"][name] for name in curve_of.values()}
        self.age_pool = self._pools("NL", [curves[curve_of[letters[item.drg]]] for item in recipes.items])
        self.days_pool = self._pools("XSRTL", [mix["age_days"]["points"]] * len(recipes.items))
        self.weight_pool = self._pools("XSRTZ", [mix["newborn_weight"]["points"]] * len(recipes.items))
        self.sexes = np.array([self._sexes(item.masks.get("XB")) for item in recipes.items], dtype=bool)
        self.asked = np.array([not item.masks.get("XSRTZ", 1) & 1 for item in recipes.items], dtype=bool)
        self.mother = np.array(
            [letters[item.drg] == "O" and self._any_weight(item.masks.get("XSRTZ")) for item in recipes.items],
            dtype=bool,
        )

    def draw(self, draws: Draws, recipe: Ints, principal: Ints) -> People:
        """One person a case. A newborn has a weight; so has, now and then, a mother: her child's."""
        count = len(recipe)
        age = self.pools.draw(draws, self.age_pool[recipe])
        days = self.pools.draw(draws, self.days_pool[recipe])
        days = np.where(age == 0, days, UNKNOWN)
        weight = self.pools.draw(draws, self.weight_pool[recipe])
        weighed = (days >= 0) & (days <= NEWBORN_DAYS)
        weighed |= self.asked[recipe]
        weighed |= self.mother[recipe] & draws.chance(_MOTHERS, count)
        weight = np.where(weighed, weight, UNKNOWN)
        other = np.where(weighed, weight * (95 + draws.below(11, count)) // 100 // _GRAMS * _GRAMS, UNKNOWN)
        other = np.where(self.mother[recipe], UNKNOWN, other)
        birth, admission = (weight, other) if self.recipes.pack.newborn_weight == "birth" else (other, weight)
        return People(self._sex(draws, recipe, principal), age, days, birth, admission)

    def _sex(self, draws: Draws, recipe: Ints, principal: Ints) -> Ints:
        """The sex of the diagnosis if the rule allows it, else either that it allows."""
        likely = self.recipes.diagnoses.sex[principal]
        drawn = 1 + draws.below(2, len(recipe))
        sex = np.where(likely > 0, likely, drawn)
        permitted: Flags = self.sexes[recipe, sex]
        return np.where(permitted, sex, 3 - sex)

    def _any_weight(self, mask: int | None) -> bool:
        values = np.arange(_GRAMS, _NUMBERS["XSRTZ"], _GRAMS, dtype=np.int64)
        return mask is None or bool(allowed(self.recipes.scheme, "XSRTZ", mask, values).all())

    def _sexes(self, mask: int | None) -> list[bool]:
        sexes = self.recipes.scheme.numbers["XB"]
        return [mask is None or bool(mask & sexes.compare("=", sex)) for sex in (0, 1, 2)]

    def _pools(self, name: str, curves: list[list[list[int]]]) -> NDArray[np.int32]:
        step = _GRAMS if name == "XSRTZ" else 1
        values = np.arange(0, _NUMBERS[name], step, dtype=np.int64)
        pools: list[int] = []
        for item, curve in zip(self.recipes.items, curves, strict=True):
            mask = item.masks.get(name, self.recipes.scheme.algebra.full[name])
            key = (name, mask, str(curve))
            known = self.pools.known(key)
            pools.append(self._add(key, name, mask, values, curve) if known is None else known)
        return np.array(pools, dtype=np.int32)

    def _add(self, key: tuple[str, int, str], name: str, mask: int, values: Ints, curve: list[list[int]]) -> int:
        fitting = values[allowed(self.recipes.scheme, name, mask, values)]
        if not len(fitting):
            lows = [
                self.recipes.scheme.numbers[name].interval(at)[0]
                for at in range(1, mask.bit_length())
                if mask >> at & 1
            ]
            fitting = np.array(lows[:1] or [NONE], dtype=np.int64)
        weights = along(curve, fitting)
        return self.pools.add(key, fitting, weights if weights.any() else np.ones(len(fitting), dtype=np.int64))
