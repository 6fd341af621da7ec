"""Chinese phrases for the parts of a DIP trace: one condition of a row, one row, one procedure cleaned, one group."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Protocol

from grouper.dip.conditions import small_x
from grouper.dip.reader import ProcedureStep
from grouper.dip.result import KINDS
from grouper.dip.trace_model import (
    CleanedProcedure,
    ConditionResult,
    ConditionStep,
    DipTrace,
    LevelFact,
    MixedWalk,
    NatureFrom,
    NoCore,
    Precedence,
    RowStep,
    TriedRow,
)
from grouper.result import STATUS_ZH, GroupStatus
from reference_tables.dip_cells import procedure_alternatives, spelled

LEVEL_ZH: Mapping[str, str] = {"subcategory": "亚目", "category": "类目", "chapter": "章"}
_ITEMS_SHOWN = 6
_PROCEDURE: Mapping[ProcedureStep, str] = {
    ProcedureStep.EFFECTIVE: "作为主要手术操作入组",
    ProcedureStep.NOT_PRINCIPAL: "不可作为主要手术操作，看下一个",
    ProcedureStep.CONSERVATIVE: "按保守治疗入组，本例没有有效主要手术操作",
    ProcedureStep.PASSED_OVER: "按保守治疗看待，看下一个",
    ProcedureStep.NOT_REACHED: "不作主要手术操作，可作相关手术操作",
}
_PRECEDENCE: Mapping[str, str] = {
    Precedence.NARROWER_DIAGNOSIS: "主要诊断范围更窄",
    Precedence.MORE_PROCEDURES: "要求的手术操作编码更多",
    Precedence.LOWER_NUMBER: "序号更小",
    Precedence.EARLIER_ROW: "在目录中列在前面",
}
_NO_CORE: Mapping[str, str] = {
    NoCore.DIAGNOSIS_NOT_LISTED: "没有一行列有该主要诊断",
    NoCore.PROCEDURE_NOT_LISTED: "主要手术操作不在列有该诊断的任何一行",
    NoCore.NO_CONSERVATIVE_ROW: "本例没有有效主要手术操作，而列有该诊断的各行都要求手术操作",
    NoCore.CONDITIONS_NOT_MET: "列有该诊断和手术操作的各行还有别的条件不符",
}
_NATURE_FROM: Mapping[NatureFrom, str] = {
    NatureFrom.NO_PROCEDURE: "没有有效主要手术操作",
    NatureFrom.SCHEME: "按方案的手术操作性质表",
    NatureFrom.DEFAULT: "方案和编码目录都没有该手术操作的性质，按方案的约定",
}


class Scored(Protocol):
    """Anything that carries an answer of grouping by DIP."""

    @property
    def status(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def layer(self) -> str: ...
    @property
    def dip(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def base_score(self) -> Decimal | None: ...
    @property
    def factor(self) -> Decimal | None: ...
    @property
    def score(self) -> Decimal | None: ...


def group_text(answer: Scored, layer_name: str = "") -> str:
    """A group with its name, status and kind: BX-20 …  正常入组  （核心病种，并项）."""
    layer = layer_name or LEVEL_ZH.get(answer.layer, answer.layer)
    kind = "，".join(part for part in (KINDS.get(answer.kind, ""), layer) if part)
    status = STATUS_ZH[GroupStatus(answer.status)]
    return "  ".join(part for part in (answer.dip, answer.name, status, f"（{kind}）" if kind else "") if part)


def score_text(answer: Scored) -> str:
    """The score and what it is made of; "" when the scheme has none for the group."""
    if answer.base_score is None or answer.factor is None or answer.score is None:
        return ""
    if answer.factor == 1:
        return f"分值 {number(answer.score)}"
    return f"分值 {number(answer.score)}（基准分值 {number(answer.base_score)} × 校正系数 {number(answer.factor)}）"


def number(value: Decimal) -> str:
    """A decimal without zeros at its end."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def cell_text(cell: str) -> str:
    """The parts of a cell, a long list cut short."""
    parts = cell.split("|")
    if len(parts) <= _ITEMS_SHOWN:
        return "、".join(parts)
    return f"{'、'.join(parts[:_ITEMS_SHOWN])} 等 {len(parts)} 项"


def procedure_text(item: CleanedProcedure, name: str) -> str:
    """What became of a procedure in the search for the effective principal one."""
    if item.step is ProcedureStep.OTHER_PRINCIPAL:
        outcome = f"主要诊断为 {cell_text(item.asked)} 时才可作为主要手术操作，看下一个"
    else:
        outcome = _PROCEDURE[item.step]
        if item.asked and item.step is ProcedureStep.EFFECTIVE:
            outcome = f"主要诊断属于 {cell_text(item.asked)}，{outcome}"
    return f"{f'{item.code} {name}'.rstrip()}：{outcome}"


def row_title(row: TriedRow) -> str:
    """Code and name of a core group."""
    return f"{row.code} {row.name}".rstrip()


def no_core_text(trace: DipTrace) -> str:
    """Why no core group took the case."""
    return _NO_CORE[trace.no_core]


def beaten_text(row: TriedRow, first: TriedRow) -> str:
    """Why a row that fits comes after the first one."""
    counts = {
        Precedence.NARROWER_DIAGNOSIS: (first.item_length, row.item_length),
        Precedence.MORE_PROCEDURES: (first.procedure_codes, row.procedure_codes),
        Precedence.LOWER_NUMBER: (first.number, row.number),
    }.get(Precedence(row.beaten_by))
    compared = f"（{counts[0]} 对 {counts[1]}）" if counts else ""
    return f"也符合，但 {first.code} {_PRECEDENCE[row.beaten_by]}{compared}"


def nature_text(mixed: MixedWalk) -> str:
    """Nature of the treatment and what it rests on."""
    source = _NATURE_FROM.get(mixed.nature_from, f"编码目录类别 {mixed.category.replace('|', '、')}")
    return f"治疗性质 {mixed.nature} {mixed.label}（{source}）"


def level_text(level: LevelFact) -> str:
    """An auxiliary level with its correction factor."""
    title = f"{level.dimension} {level.level} {level.name}".rstrip()
    if level.factor is None:
        return f"{title}：该病种没有校正系数"
    whose = "本病种" if level.own else "各病种通用"
    return f"{title}：校正系数 {number(level.factor)}（{whose}）{'，取最高者即此' if level.applied else ''}"


class RowPhrases:
    """Phrases about the rows of one trace."""

    def __init__(self, trace: DipTrace) -> None:
        self.present = frozenset(spelled(fact.code) for fact in trace.case.procedures)
        effective = [fact.code for fact in trace.case.procedures if fact.place == trace.effective]
        self.operation = effective[0] if effective else ""
        self.procedures = "、".join(fact.code for fact in trace.case.procedures)
        self.principal = next((fact.code for fact in trace.case.diagnoses if fact.place == 0), "")
        years = next((fact.value for fact in trace.case.numbers if fact.field == "NL"), None)
        self.years = "年龄未知" if years is None else f"年龄 {years} 岁"
        self._said: Mapping[str, Callable[[TriedRow, ConditionResult], str]] = {
            "principal_dx": self._principal,
            "other_dx": self._diagnosis,
            "any_dx": self._diagnosis,
            "flag": self._flag,
            "age_days": self._age,
            "birth_weight_g": self._weight,
            "px": self._px,
            "related_px": self._related,
        }

    def reason(self, row: TriedRow) -> str:
        """What decided about a row: all its conditions when they are met, else those that are not."""
        shown: Iterable[ConditionResult] = row.conditions
        if row.step in (RowStep.FAILED, RowStep.OPEN):
            wanted = ConditionStep.NOT_MET if row.step is RowStep.FAILED else ConditionStep.UNKNOWN
            shown = [item for item in row.conditions if item.step is wanted]
        return "；".join(self._said[item.column](row, item) for item in shown)

    def _principal(self, _row: TriedRow, item: ConditionResult) -> str:
        if item.hits:
            return f"主要诊断 {item.hits[0].code} 属于 {item.hits[0].set}"
        return f"主要诊断 {self.principal} 不属于 {cell_text(item.asked)}"

    def _diagnosis(self, _row: TriedRow, item: ConditionResult) -> str:
        whose = "其他诊断" if item.column == "other_dx" else "诊断"
        if item.hits:
            return "，".join(dict.fromkeys(f"{whose} {hit.code} 属于 {hit.set}" for hit in item.hits))
        return f"{whose}中没有 {cell_text(item.asked)}"

    def _flag(self, _row: TriedRow, item: ConditionResult) -> str:
        name = item.asked.removeprefix("!")
        if item.asked.startswith("!"):
            met = item.step is ConditionStep.MET
            return f"没有“{name}”所列的诊断" if met else f"有“{name}”所列的诊断，本行要求没有"
        codes = "、".join(dict.fromkeys(hit.code for hit in item.hits))
        return f"诊断 {codes} 列在“{name}”" if codes else f"没有“{name}”所列的诊断"

    def _age(self, _row: TriedRow, item: ConditionResult) -> str:
        if item.step is ConditionStep.UNKNOWN:
            return f"天龄未知，本行要求天龄 {item.asked} 天"
        if item.value is None:
            return f"{self.years}，不在天龄 {item.asked} 天内"
        return f"天龄 {item.value} 天，{'在' if item.step is ConditionStep.MET else '不在'} {item.asked} 天内"

    def _weight(self, _row: TriedRow, item: ConditionResult) -> str:
        if item.value is None:
            return f"新生儿体重未知，本行要求 {item.asked} 克"
        return f"新生儿体重 {item.value} 克，{'在' if item.step is ConditionStep.MET else '不在'} {item.asked} 克内"

    def _px(self, row: TriedRow, item: ConditionResult) -> str:
        if item.step is ConditionStep.MET:
            return self._px_met(row, item)
        if row.px_mode == "none":
            return f"有主要手术操作 {self.operation}，本行只收保守治疗"
        if row.px_mode == "anywhere":
            return f"手术操作中没有 {self._missing(item.asked, '')}"
        if not self.operation:
            return "没有有效主要手术操作"
        if row.px_mode == "exact":
            return f"全部手术操作应恰为 {cell_text(item.asked)}，本例为 {self.procedures}"
        missing = self._missing(item.asked, spelled(self.operation))
        if missing:
            return f"主要手术操作 {self.operation} 须与 {missing} 同时存在"
        return f"主要手术操作 {self.operation} 不在 {cell_text(item.asked)}"

    def _px_met(self, row: TriedRow, item: ConditionResult) -> str:
        if row.px_mode in ("any", "none"):
            return "不看手术操作" if row.px_mode == "any" else "没有有效主要手术操作（保守治疗）"
        codes = "、".join(dict.fromkeys(hit.code for hit in item.hits))
        if row.px_mode == "exact":
            return f"全部手术操作恰为 {codes}"
        if row.px_mode == "anywhere":
            return f"手术操作中有 {codes}"
        return f"主要手术操作 {self.operation} 在列" + (f"（{codes} 同时存在）" if "、" in codes else "")

    def _missing(self, cell: str, operation: str) -> str:
        """What the nearest alternative, among those with the principal procedure if one is given, still lacks."""
        alternatives = [codes for codes in procedure_alternatives(cell) if not operation or operation in codes]
        if not operation and all(len(codes) == 1 for codes in alternatives):
            return cell_text(cell)
        lacking = [[code for code in codes if code not in self.present] for codes in alternatives]
        return "、".join(small_x(code) for code in min(lacking, key=len, default=[]))

    def _related(self, _row: TriedRow, item: ConditionResult) -> str:
        if item.hits:
            return f"其他手术操作 {'、'.join(dict.fromkeys(hit.code for hit in item.hits))} 为相关手术操作"
        return f"其他手术操作中没有相关手术操作 {cell_text(item.asked)}"
