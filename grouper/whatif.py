"""What if: one case as it is, and with one code moved or left out, grouped side by side.

Every variant changes exactly one thing; the order is the case's own. There is no ranking and no money in
it: a code may only be changed when the medical record supports it, and every output says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from decimal import Decimal
from enum import StrEnum
from typing import Any, ClassVar

import polars as pl

from grouper.dip.compile import CompiledDip
from grouper.dip.result import CORE
from grouper.engine import group_cases
from grouper.scheme_tables import code_names
from grouper.schemes import Scheme
from grouper.trace_model import CodeKind, SchemeFacts, scheme_facts, to_plain
from reference_tables.codes import fold

RECORD_NOTE = "以上为试算，不是编码建议：编码只能依据病历更改，不得为改变入组结果而调整。"
_CHANGED = ("diagnoses", "procedures")


class Change(StrEnum):
    """The one thing a variant changes. PRINCIPAL_*: another code stands as principal and the old principal
    becomes the first of the others; DROP_*: a code is left out, and a principal's place stays empty."""

    AS_IS = "AS_IS"
    PRINCIPAL_DX = "PRINCIPAL_DX"
    PRINCIPAL_PX = "PRINCIPAL_PX"
    DROP_DX = "DROP_DX"
    DROP_PX = "DROP_PX"


@dataclass(frozen=True)
class _Change:
    """The case with one change: which code (`place` in its list, 0 = principal), and how it is grouped then; further
    fields mean what the result columns of the same name mean. `changed`: which of COMPARED differ from the case as
    it is."""

    COMPARED: ClassVar[tuple[str, ...]] = ("status",)

    change: Change
    place: int
    code: str
    code_name: str
    status: str
    reason: str
    name: str
    changed: tuple[str, ...]


@dataclass(frozen=True)
class DrgVariant(_Change):
    """A variant grouped by DRG."""

    COMPARED: ClassVar[tuple[str, ...]] = ("status", "mdc", "adrg", "drg")

    mdc: str
    adrg: str
    drg: str
    severity: str

    @property
    def group(self) -> str:
        """Code of the group, "" = none."""
        return self.drg


@dataclass(frozen=True)
class DipVariant(_Change):
    """A variant grouped by DIP."""

    COMPARED: ClassVar[tuple[str, ...]] = ("status", "kind", "dip", "base_score")

    kind: str
    layer: str
    layer_name: str
    dip: str
    base_score: Decimal | None
    auxiliary: str
    factor: Decimal | None
    score: Decimal | None
    primary_care: bool

    @property
    def group(self) -> str:
        """Code of the group, "" = none."""
        return self.dip


Variant = DrgVariant | DipVariant


@dataclass(frozen=True, slots=True)
class WhatIf:
    """The case as it is and all its variants, in the order of the case's codes."""

    scheme: SchemeFacts
    row: int | None
    case_id: str | None
    as_is: Variant
    variants: tuple[Variant, ...]
    note: str = RECORD_NOTE

    def to_dict(self) -> dict[str, Any]:
        """The comparison as dicts, lists, strings, numbers and None."""
        plain: dict[str, Any] = to_plain(self)
        return plain


@dataclass(frozen=True, slots=True)
class _Draft:
    change: Change
    place: int
    code: str
    diagnoses: list[str]
    procedures: list[str]


def what_if(case: pl.DataFrame, scheme: Scheme) -> WhatIf:
    """Group a canonical case frame of exactly one row as it is and with every single change.

    Every other diagnosis as principal, every other procedure as principal, every diagnosis and every
    procedure left out. Raises ValueError when the frame does not hold exactly one case.
    """
    if case.height != 1:
        raise ValueError(f"one case is compared at a time, got {case.height}")
    diagnoses, procedures = _codes(case, "diagnoses"), _codes(case, "procedures")
    drafts = [_Draft(Change.AS_IS, 0, "", diagnoses, procedures), *_drafts(diagnoses, procedures)]
    kept = case.drop(_CHANGED, strict=False)
    frame = kept[[0] * len(drafts)].with_columns(
        pl.Series("diagnoses", [draft.diagnoses for draft in drafts], dtype=pl.List(pl.String)),
        pl.Series("procedures", [draft.procedures for draft in drafts], dtype=pl.List(pl.String)),
    )
    results = group_cases(frame, scheme, used_codes=False).to_dicts()
    if isinstance(scheme, CompiledDip):
        names = {code: layer.name for code, layer in scheme.pack.layers.items()}
        results = [{**one, "layer_name": names.get(one["layer"], "") if one["kind"] == CORE else ""} for one in results]
    kind = DipVariant if isinstance(scheme, CompiledDip) else DrgVariant
    as_is, *variants = [_variant(kind, draft, found, results[0]) for draft, found in zip(drafts, results, strict=True)]
    return WhatIf(
        scheme=scheme_facts(scheme.pack),
        row=results[0]["row"],
        case_id=results[0]["case_id"],
        as_is=as_is,
        variants=tuple(variants),
    )


def _codes(case: pl.DataFrame, column: str) -> list[str]:
    found = case[column].to_list()[0] if column in case.columns else None
    return [code or "" for code in found or ()]


def _drafts(diagnoses: list[str], procedures: list[str]) -> Iterator[_Draft]:
    for place, code, codes in _as_principal(diagnoses):
        yield _Draft(Change.PRINCIPAL_DX, place, code, codes, procedures)
    for place, code, codes in _as_principal(procedures):
        yield _Draft(Change.PRINCIPAL_PX, place, code, diagnoses, codes)
    for place, code, codes in _without(diagnoses):
        yield _Draft(Change.DROP_DX, place, code, codes, procedures)
    for place, code, codes in _without(procedures):
        yield _Draft(Change.DROP_PX, place, code, diagnoses, codes)


def _as_principal(codes: list[str]) -> Iterator[tuple[int, str, list[str]]]:
    for place, code in enumerate(codes):
        if place and code:
            rest = [other for at, other in enumerate(codes) if at != place and other]
            yield place, code, [code, *rest]


def _without(codes: list[str]) -> Iterator[tuple[int, str, list[str]]]:
    for place, code in enumerate(codes):
        if code:
            first = codes[0] if place else ""
            others = [other for at, other in enumerate(codes) if at and at != place]
            yield place, code, [first, *others] if first or others else []


def _variant(
    kind: type[DrgVariant] | type[DipVariant], draft: _Draft, found: dict[str, Any], as_is: dict[str, Any]
) -> Variant:
    codes: CodeKind = "px" if draft.change in (Change.PRINCIPAL_PX, Change.DROP_PX) else "dx"
    return kind(
        change=draft.change,
        place=draft.place,
        code=draft.code,
        code_name=code_names()[codes].get(fold(draft.code), ("", ""))[1],
        changed=tuple(name for name in kind.COMPARED if found[name] != as_is[name]),
        **{field.name: found[field.name] for field in fields(kind) if field.name in found},
    )
