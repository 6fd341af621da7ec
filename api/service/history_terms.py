"""What jobs over a history of several years are asked, checked before the long work: years, their weights, trimming,
the method with what belongs to it, the grouping scheme."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import sqlalchemy as sa

from api.service.basis import Basis, basis_of
from api.service.chosen import CURRENT, source_of
from api.service.context import Service
from api.service.documents import DocumentInfo, Stand, laid_out, standing
from api.service.office_work import unfit
from api.service.scheme_files import opened_pack
from api.service.submissions import NotTaken
from budget.money import FEN, exact
from budget.trimming import read_trimming
from grouper.schemes import Scheme, open_scheme
from reference_tables.catalog_rules import catalog_rules
from reference_tables.packs import Pack, find_pack
from reference_tables.problems import TablesRefused

BENCHMARK, STANDARD_QUOTA = "benchmark", "standard-quota"
SCHEME = "scheme"


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


def check_scheme(service: Service, connection: sa.Connection, name: str) -> str:
    """The name of a scheme as jobs take it: of a document, of a built-in one, CURRENT for the one in force, which may
    be given by its id; "" where none is given. Raises TablesRefused (SV03)."""
    if name in {"", CURRENT}:
        return name
    try:
        source_of(standing(connection), SCHEME, name)
    except TablesRefused:
        if name != basis_of(service, connection).scheme.pack.id:
            raise
        return CURRENT
    return name


def pack_of(service: Service, connection: sa.Connection, name: str) -> Pack:
    """The pack of a scheme (`check_scheme`), before a job is asked for. Raises TablesRefused (SV03)."""
    if name in {"", CURRENT}:
        return basis_of(service, connection).scheme.pack
    found = source_of(standing(connection), SCHEME, name)
    return find_pack(found) if isinstance(found, str) else _opened(service, found).pack


def scheme_of(service: Service, stand: Stand, basis: Basis, name: str) -> Scheme:
    """The scheme of a name (`check_scheme`); "" is the basis's own. Raises TablesRefused."""
    if name in {"", CURRENT}:
        return basis.scheme
    found = source_of(stand, SCHEME, name)
    return open_scheme(found) if isinstance(found, str) else _opened(service, found)


def _opened(service: Service, found: DocumentInfo) -> Scheme:
    with TemporaryDirectory(dir=service.work) as folder:
        laid = laid_out(service.files, found, Path(folder))
        return open_scheme(str(opened_pack(laid, service.settings.max_unpacked_bytes)))
