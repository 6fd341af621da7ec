"""What a DIP pack says about one code: a core group (核心病种), a mixed group (综合病种), a diagnosis, a procedure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from reference_tables.codes import CodeBook, load_code_books
from reference_tables.dip_cells import (
    Alternative,
    CellError,
    DiagnosisItem,
    as_published,
    diagnosis_items,
    procedure_alternatives,
    spelled,
)
from reference_tables.dip_examples import shared_codes
from reference_tables.dip_pack import DipPack, dip_schema
from reference_tables.dip_rows import CoreRow, Range

_LEVELS = {"subcategory": "亚目", "category": "类目", "chapter": "章"}
_RULES = {
    "conservative": "按保守治疗入组",
    "not_principal": "不可作为主要手术操作",
    "with_principal": "仅在主要诊断为下列之一时可作主要手术操作",
}
_SCORE_COLUMNS = ("score", "cases", "share", "cv", "mean_cost_fen")


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing a core group asks for, in words."""

    label: str
    text: str


@dataclass(frozen=True, slots=True)
class Score:
    """The score of a group and the statistics it comes from, as the pack states them ("" = not stated)."""

    score: str
    cases: str
    share: str
    cv: str
    mean_cost_fen: str


@dataclass(frozen=True, slots=True)
class Factor:
    """A correction factor of the auxiliary catalog for one group."""

    dimension: str
    level: str
    factor: str


@dataclass(frozen=True, slots=True)
class CoreView:
    """A core group: its layer, its number and place (from 1) among the `rows` of the layer, what it asks for."""

    kind: str
    code: str
    name: str
    layer: str
    layer_name: str
    precedence: str
    number: int
    place: int
    rows: int
    conditions: tuple[Condition, ...]
    score: Score | None
    factors: tuple[Factor, ...]


@dataclass(frozen=True, slots=True)
class MixedView:
    """A mixed group: the diagnoses of its `scope` with procedures of one nature."""

    kind: str
    code: str
    name: str
    level: str
    scope: str
    nature: int
    nature_name: str
    score: Score | None


@dataclass(frozen=True, slots=True)
class GroupUse:
    """A group that asks for a code: `role` says as what."""

    code: str
    name: str
    role: str


@dataclass(frozen=True, slots=True)
class DiagnosisView:
    """A diagnosis, or a beginning of diagnoses (category, subcategory, range), of which the code book has `under`
    (0 for a whole code). `known` to the code book, `gray` = not to be reported, `excluded` = never a principal
    diagnosis; `groups` it may open, `mixed` from the narrowest level on; `flags` it meets; `primary_care`: it may
    bear the mark 基层病种."""

    kind: str
    code: str
    name: str
    under: int
    known: bool
    gray: bool
    excluded: bool
    groups: tuple[GroupUse, ...]
    mixed: tuple[GroupUse, ...]
    flags: tuple[str, ...]
    primary_care: bool


@dataclass(frozen=True, slots=True)
class ProcedureView:
    """A procedure: `category` in the code book, `nature` as principal procedure with where that comes from, `rule` of
    exclusion in words ("" = none) with its diagnoses, and the groups that ask for it."""

    kind: str
    code: str
    name: str
    known: bool
    category: str
    nature: int
    nature_name: str
    nature_from: str
    rule: str
    with_principal: tuple[str, ...]
    groups: tuple[GroupUse, ...]
    primary_care: bool


DipView = CoreView | MixedView | DiagnosisView | ProcedureView


def show_dip_code(pack: DipPack, code: str) -> list[DipView]:
    """Everything `code` can mean in `pack`; empty when neither pack nor code books know it.

    Group codes are taken as written or in upper case, diagnoses and procedures as `dip_cells.spelled`.
    """
    code = code.strip()
    views: list[DipView] = []
    for each in dict.fromkeys((code, code.upper())):
        views += [_core(pack, row) for row in pack.rows if row.code == each]
        views += [
            _mixed(pack, row) for row in pack.tables["mixed"].filter(pl.col("code") == each).iter_rows(named=True)
        ]
    diagnosis, procedure = _diagnosis(pack, code), _procedure(pack, code)
    return [*views, *(view for view in (diagnosis, procedure) if view is not None)]


def _core(pack: DipPack, row: CoreRow) -> CoreView:
    siblings = [each.code for each in pack.rows if each.layer.code == row.layer.code]
    factors = pack.tables["aux_factor"].filter(pl.col("code") == row.code)
    return CoreView(
        kind="core",
        code=row.code,
        name=row.name,
        layer=row.layer.code,
        layer_name=row.layer.name,
        precedence="specific" if row.layer.specific else "number",
        number=row.number,
        place=siblings.index(row.code) + 1,
        rows=len(siblings),
        conditions=tuple(conditions_in_words(row)),
        score=_score(pack, row.code),
        factors=tuple(Factor(*cells) for cells in factors.select("dimension", "level", "factor").iter_rows()),
    )


def conditions_in_words(row: CoreRow) -> Iterator[Condition]:
    """What a core group asks for, in the order of its columns; what it does not ask for is left out."""
    yield Condition("主要诊断", "任意" if row.principal is None else _listed(row.principal))
    if row.other:
        yield Condition("其他诊断之一", _listed(row.other))
    if row.anywhere:
        yield Condition("任一诊断", _listed(row.anywhere))
    if row.flag:
        yield Condition("条件", f"{row.flag}{'成立' if row.flag_wanted else '不成立'}")
    if row.age_days is not None:
        yield Condition("日龄", _range(row.age_days, "天"))
    if row.birth_weight_g is not None:
        yield Condition("出生体重", _range(row.birth_weight_g, "克"))
    words = {
        "any": "不限",
        "none": "无（保守治疗）",
        "principal": "主要手术操作为其一：",
        "anywhere": "任一手术操作为其一：",
        "exact": "全部手术操作恰为其一：",
    }
    yield Condition("手术操作", words[row.px_mode] + alternatives_text(row.px))
    if row.related:
        yield Condition("相关手术操作之一", alternatives_text(row.related))


def _listed(items: Iterable[object]) -> str:
    return as_published("、".join(str(item) for item in items))


def alternatives_text(alternatives: Iterable[Alternative]) -> str:
    """Procedure alternatives as text: 47.0100、39.9500x007+96.7201."""
    return as_published("、".join("+".join(codes) for codes in alternatives))


def _range(limits: Range, unit: str) -> str:
    low, high = limits
    if low is None:
        return f"至多 {high} {unit}"
    return f"至少 {low} {unit}" if high is None else f"{low} 至 {high} {unit}"


def _score(pack: DipPack, code: str) -> Score | None:
    found = pack.tables["score"].filter(pl.col("code") == code).select(_SCORE_COLUMNS)
    return Score(*found.row(0)) if found.height else None


def _mixed(pack: DipPack, row: Mapping[str, str]) -> MixedView:
    nature = int(row["nature"])
    return MixedView(
        kind="mixed",
        code=row["code"],
        name=row["name"],
        level=_LEVELS[row["level"]],
        scope=row["scope"],
        nature=nature,
        nature_name=dip_schema().natures[nature],
        score=_score(pack, row["code"]),
    )


def _row_in_book(book: CodeBook, code: str) -> Mapping[str, Any] | None:
    found = book.frame.filter(pl.col("code").str.to_uppercase() == spelled(code))
    return found.row(0, named=True) if found.height else None


def _diagnosis(pack: DipPack, code: str) -> DiagnosisView | None:
    try:
        (item,) = diagnosis_items(code)
    except (CellError, ValueError):
        return None
    row = _row_in_book(load_code_books().diagnosis, code)
    groups = tuple(_groups_of_diagnosis(pack, item))
    mixed = tuple(_mixed_of(pack, item))
    flags = tuple(
        dict.fromkeys(flag for flag, _, cell in pack.table("flag").iter_rows() if _meets(item, diagnosis_items(cell)))
    )
    excluded = spelled(code) in {spelled(each) for each in pack.tables["excluded_dx"]["code"]}
    under = 0 if row else sum(item.matches(spelled(each)) for each in load_code_books().diagnosis.frame["code"])
    if row is None and not (under or groups or mixed or flags or excluded):
        return None
    return DiagnosisView(
        kind="diagnosis",
        code=row["code"] if row else code,
        name=row["name"] if row else "",
        under=under,
        known=row is not None,
        gray=bool(row and row["gray"]),
        excluded=excluded,
        groups=groups,
        mixed=mixed,
        flags=flags,
        primary_care=any(_meets(item, diagnosis_items(cell)) for cell in pack.tables["primary_care"]["principal_dx"]),
    )


def _meets(item: DiagnosisItem, items: Iterable[DiagnosisItem]) -> bool:
    return any(shared_codes(item, each) for each in items)


def _groups_of_diagnosis(pack: DipPack, item: DiagnosisItem) -> Iterator[GroupUse]:
    roles: tuple[tuple[str, Callable[[CoreRow], Iterable[DiagnosisItem]]], ...] = (
        ("主要诊断", lambda row: row.principal or ()),
        ("其他诊断", lambda row: row.other),
        ("任一诊断", lambda row: row.anywhere),
    )
    for row in pack.rows:
        yield from (GroupUse(row.code, row.name, role) for role, items in roles if _meets(item, items(row)))


def _mixed_of(pack: DipPack, item: DiagnosisItem) -> Iterator[GroupUse]:
    frame = pack.tables["mixed"]
    for level, word in _LEVELS.items():
        for code, name, scope, nature in (
            frame.filter(pl.col("level") == level).select("code", "name", "scope", "nature").iter_rows()
        ):
            if _meets(item, diagnosis_items(scope)):
                yield GroupUse(code, name, f"{word} {scope}，{dip_schema().natures[int(nature)]}")


def _procedure(pack: DipPack, code: str) -> ProcedureView | None:
    wanted = spelled(code)
    row = _row_in_book(load_code_books().procedure, code)
    groups = tuple(_groups_of_procedure(pack, wanted))
    same = pl.col("code").str.to_uppercase() == wanted
    excluded = pack.tables["excluded_px"].filter(same).select("rule", "principal_dx").rows()
    own = pack.tables["nature"].filter(same)["nature"].to_list()
    if row is None and not (groups or excluded or own):
        return None
    category = row["category"] if row else ""
    nature, source = _nature(pack, own, category)
    rule, principal = excluded[0] if excluded else ("", "")
    return ProcedureView(
        kind="procedure",
        code=row["code"] if row else code,
        name=row["name"] if row else "",
        known=row is not None,
        category=category,
        nature=nature,
        nature_name=dip_schema().natures[nature],
        nature_from=source,
        rule=_RULES.get(rule, ""),
        with_principal=tuple(as_published(str(item)) for item in diagnosis_items(principal)),
        groups=groups,
        primary_care=any(
            wanted in codes for cell in pack.tables["primary_care"]["px"] for codes in procedure_alternatives(cell)
        ),
    )


def _nature(pack: DipPack, own: list[str], category: str) -> tuple[int, str]:
    """Nature of a procedure as principal one, and what says so."""
    if own:
        return int(own[0]), "nature.csv"
    if category in dip_schema().nature_of_category:
        return dip_schema().nature_of_category[category], "编码表类别"
    return int(pack.setting("unknown_nature")), "编码表未分类，按参数 unknown_nature"


def _groups_of_procedure(pack: DipPack, code: str) -> Iterator[GroupUse]:
    roles = {"principal": "主要手术操作", "anywhere": "任一手术操作", "exact": "全部手术操作"}
    for row in pack.rows:
        if any(code in codes for codes in row.px):
            yield GroupUse(row.code, row.name, roles[row.px_mode])
        if any(code in codes for codes in row.related):
            yield GroupUse(row.code, row.name, "相关手术操作")
