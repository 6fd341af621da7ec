"""Defaults, limits and words for growing a region's DIP catalog: `catalog_rules.toml`, read once."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import Any


@dataclass(frozen=True, slots=True)
class Method:
    """A method of scoring: points that its reference cost stands for, and its Chinese name."""

    scale: int
    label: str


@dataclass(frozen=True, slots=True)
class Combination:
    """What a core group with procedures asks for: the `px_mode` of its row, and its Chinese name."""

    px_mode: str
    label: str


@dataclass(frozen=True, slots=True)
class CatalogRules:
    """`year_weights` oldest first; `trimming` in the words of the trimming rules; `largest_cost_fen`: a cost above
    it is no cost; `quota_fen`: least and largest fixed amount;
    `year_share`: what a default year holds at least of the cases of the fullest one; `cv_high` and
    `listed` for the report; `unfit_share` and `unfit_codes` for cases that form no core group; `layer` and the
    words that make codes and names."""

    year_weights: tuple[int, ...]
    min_cases: int
    combination: str
    method: str
    trimming: str
    largest_cost_fen: int
    year_share: Decimal
    quota_fen: tuple[int, int]
    cv_high: Decimal
    listed: int
    unfit_share: Decimal
    unfit_codes: int
    combinations: Mapping[str, Combination]
    methods: Mapping[str, Method]
    layer: str
    layer_name: str
    conservative: str
    chapter_prefix: str
    category_word: str


@cache
def catalog_rules() -> CatalogRules:
    """What `catalog_rules.toml` says."""
    text = (resources.files("reference_tables") / "catalog_rules.toml").read_text(encoding="utf-8")
    data: dict[str, Any] = tomllib.loads(text)
    defaults, layer = data["defaults"], data["layer"]
    return CatalogRules(
        year_weights=tuple(defaults["year_weights"]),
        min_cases=defaults["min_cases"],
        combination=defaults["combination"],
        method=defaults["method"],
        trimming=defaults["trimming"],
        largest_cost_fen=data["history"]["largest_cost_yuan"] * 100,
        year_share=Decimal(data["history"]["year_share"]),
        quota_fen=(data["quota"]["least_yuan"] * 100, data["quota"]["most_yuan"] * 100),
        cv_high=Decimal(data["report"]["cv_high"]),
        listed=data["report"]["listed"],
        unfit_share=Decimal(data["report"]["unfit_share"]),
        unfit_codes=data["report"]["unfit_codes"],
        combinations={name: Combination(**body) for name, body in data["combination"].items()},
        methods={name: Method(**body) for name, body in data["method"].items()},
        layer=layer["code"],
        layer_name=layer["name"],
        conservative=layer["conservative"],
        chapter_prefix=layer["chapter_prefix"],
        category_word=layer["category_word"],
    )
