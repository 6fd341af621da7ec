"""What jobs over a history of several years are asked, checked before the long work: years, their weights, trimming,
the method with what belongs to it, the grouping scheme."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import sqlalchemy as sa

from api.service.absent import absent
from api.service.basis import Basis, basis_of
from api.service.context import Service
from api.service.office_work import unfit
from api.service.submissions import NotTaken
from budget.money import FEN, exact
from budget.trimming import read_trimming
from grouper.schemes import Scheme, open_scheme
from reference_tables.catalog_rules import catalog_rules
from reference_tables.packs import Pack, built_in_packs, find_pack
from reference_tables.problems import TablesRefused

BENCHMARK, STANDARD_QUOTA = "benchmark", "standard-quota"
CURRENT = "current"
"""Stands for the scheme in force."""


@dataclass(frozen=True, slots=True)
class HistoryTerms:
    """`years` None = the latest; `year_weights` oldest first; `benchmark`, `quota_fen` of their methods alone."""

    years: tuple[int, ...] | None
    year_weights: tuple[Fraction, ...]
    trimming: str
    min_cases: int
    method: str
    benchmark: str
    quota_fen: int


def terms_of(args: Mapping[str, Any]) -> HistoryTerms:
    """The terms of a request's values. Raises NotTaken (SV04) for the first that will not do."""
    rules = catalog_rules()
    years = tuple(sorted(args["years"])) or None
    given = list(args["year_weights"]) or [str(part) for part in rules.year_weights]
    weights = tuple(positive("year_weights", text) for text in given)
    if years is not None and (len(set(years)) < len(years) or len(years) != len(weights)):
        raise NotTaken(unfit("years", f"各年应不同，且与 year_weights 的 {len(weights)} 个权重一样多"))
    trimming = str(args["trim"]) or rules.trimming
    try:
        read_trimming(trimming)
    except ValueError:
        reason = "应为 percentile:低:高（0 至 100）、iqr:倍数、lognormal:倍数 或 none"
        raise NotTaken(unfit("trim", reason)) from None
    method, benchmark = str(args["method"]), str(args["benchmark"])
    if (method == BENCHMARK) != bool(benchmark):
        raise NotTaken(unfit("benchmark", "method 为 benchmark 时、且仅在这时给出基准病种编码"))
    quota = _quota(method, str(args["quota"]))
    return HistoryTerms(years, weights, trimming, int(args["min_cases"]), method, benchmark, quota)


def positive(field: str, text: str) -> Fraction:
    """A positive decimal number. Raises NotTaken (SV04)."""
    try:
        value = exact(text)
    except ValueError:
        value = Fraction(0)
    if value <= 0:
        raise NotTaken(unfit(field, f"应为正数：{text}"))
    return value


def _quota(method: str, text: str) -> int:
    if (method == STANDARD_QUOTA) != bool(text):
        raise NotTaken(unfit("quota", "method 为 standard-quota 时、且仅在这时给出固定额度（元）"))
    if not text:
        return 0
    fen = positive("quota", text) * FEN
    least, most = catalog_rules().quota_fen
    if fen.denominator != 1 or not least <= fen <= most:
        raise NotTaken(unfit("quota", f"应在 {least // FEN} 至 {most // FEN} 元之间，至多两位小数"))
    return int(fen)


def check_scheme(service: Service, connection: sa.Connection, name: str) -> Pack | None:
    """The scheme of a name: a built-in one, or the one in force by its id or as `current`; None when none is asked for.
    A name is never taken for a path. Raises NotTaken (SV03)."""
    if not name or name in built_in_packs():
        return find_pack(name) if name else None
    pack = basis_of(service, connection).scheme.pack
    if name not in {CURRENT, pack.id}:
        raise NotTaken(absent("分组方案", name))
    return pack


def scheme_of(basis: Basis, name: str) -> Scheme:
    """The basis's own scheme, or a built-in one. Raises TablesRefused (SV03)."""
    if name in {"", CURRENT, basis.scheme.pack.id}:
        return basis.scheme
    if name not in built_in_packs():
        raise TablesRefused(name, [absent("分组方案", name)])
    return open_scheme(name)
