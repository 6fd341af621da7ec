"""Groups, codes and differences of DIP packs as Chinese text on standard output."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.markup import escape

from api.cli.console import out
from api.cli.pack_text import Lines, print_differences, some
from reference_tables.dip_diff import Change, DipDiff
from reference_tables.dip_show import CoreView, DiagnosisView, DipView, GroupUse, MixedView, ProcedureView, Score

_PRECEDENCE = {"number": "编号小者优先", "specific": "诊断窄者、要求的手术操作多者、编号小者依次优先"}
_TABLES = {
    "layer": "层", "core": "核心病种", "mixed": "综合病种", "flag": "条件", "excluded_dx": "不纳入分组的主要诊断",
    "excluded_px": "不纳入分组的主要手术操作", "primary_care": "基层病种", "nature": "手术操作类型",
    "aux_level": "辅助目录级别", "aux_set": "辅助目录集合", "cci": "查尔森合并症", "aux_factor": "修正系数",
    "meta": "参数", "score": "分值",
}  # fmt: skip
_STATISTICS = {"cases": "例数", "share": "占比", "cv": "变异系数", "mean_cost_fen": "次均费用（分）"}


def print_dip_views(views: Iterable[DipView], *, every: bool) -> None:
    """One block for each thing a code can mean."""
    console = out()
    for view in views:
        if isinstance(view, CoreView):
            _print_core(console, view)
        elif isinstance(view, MixedView):
            _print_mixed(console, view)
        elif isinstance(view, DiagnosisView):
            _print_diagnosis(console, view, every)
        else:
            _print_procedure(console, view, every)


def _print_core(console: Console, view: CoreView) -> None:
    console.print(f"[bold]核心病种 {escape(view.code)}[/] {escape(view.name)}".rstrip())
    lines = Lines()
    lines.add("层", f"{view.layer} {view.layer_name}（{_PRECEDENCE[view.precedence]}）")
    lines.add("编号", f"{view.number}，层内 {view.rows:,} 个中第 {view.place:,} 个")
    for condition in view.conditions:
        lines.add(condition.label, condition.text)
    _add_score(lines, view.score)
    for factor in view.factors:
        lines.add("修正系数", f"{factor.dimension}:{factor.level}  {factor.factor}")
    lines.print(console)


def _print_mixed(console: Console, view: MixedView) -> None:
    console.print(f"[bold]综合病种 {escape(view.code)}[/] {escape(view.name)}".rstrip())
    lines = Lines()
    lines.add("主要诊断", f"{view.level} {view.scope}")
    lines.add("类型", f"{view.nature} {view.nature_name}")
    _add_score(lines, view.score)
    lines.print(console)


def _add_score(lines: Lines, score: Score | None) -> None:
    if score is None:
        return
    lines.add("分值", score.score)
    stated = [f"{label} {text}" for name, label in _STATISTICS.items() if (text := getattr(score, name))]
    if stated:
        lines.add("测算依据", "，".join(stated))


def _print_diagnosis(console: Console, view: DiagnosisView, every: bool) -> None:
    marks = [] if view.known or view.under else ["[red]不在医保版 2.0 编码表[/]"]
    marks += [f"编码表中有 {view.under:,} 个编码"] if view.under else []
    marks += ["[yellow]灰码[/]"] if view.gray else []
    marks += ["[yellow]不纳入分组的主要诊断[/]"] if view.excluded else []
    _print_title(console, "诊断", view.code, view.name, marks)
    lines = Lines()
    _add_groups(lines, "核心病种", view.groups, every)
    for group in view.mixed:
        lines.add("综合病种", f"{group.code} {group.name}（{group.role}）")
    if view.flags:
        lines.add("符合的条件", "、".join(view.flags))
    if view.primary_care:
        lines.add("基层病种", "手术操作相符时标记")
    lines.print(console)


def _print_procedure(console: Console, view: ProcedureView, every: bool) -> None:
    _print_title(console, "手术操作", view.code, view.name, [] if view.known else ["[red]不在医保版 2.0 编码表[/]"])
    lines = Lines()
    if view.category:
        lines.add("类别", view.category)
    lines.add("综合病种类型", f"{view.nature} {view.nature_name}（{view.nature_from}）")
    if view.rule:
        diagnoses = "、".join(view.with_principal)
        lines.add("不纳入分组", f"{view.rule}：{diagnoses}" if diagnoses else view.rule)
    _add_groups(lines, "核心病种", view.groups, every)
    if view.primary_care:
        lines.add("基层病种", "主要诊断相符时标记")
    lines.print(console)


def _print_title(console: Console, kind: str, code: str, name: str, marks: Iterable[str]) -> None:
    parts = [f"[bold]{kind} {escape(code)}[/]", escape(name), *marks]
    console.print(" ".join(part for part in parts if part))


def _add_groups(lines: Lines, label: str, groups: Iterable[GroupUse], every: bool) -> None:
    """Groups by the role the code has in them."""
    by_role: dict[str, list[str]] = {}
    for group in groups:
        by_role.setdefault(group.role, []).append(f"{group.code} {group.name}".rstrip())
    for role, listed in by_role.items():
        lines.add(f"{label}（{role}）", some(listed, every))


def _change(change: Change) -> str:
    label = _STATISTICS.get(change.column, change.column)
    return f"{_TABLES[change.table]} {change.key} {label}：{change.old or '（空）'} → {change.new or '（空）'}"


def _diff_lines(diff: DipDiff) -> Iterable[tuple[str, list[str]]]:
    """Title and lines of each kind of difference, those that change answers first."""
    yield "新增的核心病种", [f"{group.code} {group.name}：{group.text}" for group in diff.groups_added]
    yield "减少的核心病种", [f"{group.code} {group.name}：{group.text}" for group in diff.groups_removed]
    yield "条件改变", [_change(change) for change in diff.conditions_changed]
    yield "层内先后改变", [f"{change.key}：从 {change.old} 起，现为 {change.new}" for change in diff.reordered]
    yield "其他各表新增", [f"{_TABLES[row.table]} {row.key}" for row in diff.rows_added]
    yield "其他各表减少", [f"{_TABLES[row.table]} {row.key}" for row in diff.rows_removed]
    yield "其他各表改变", [_change(change) for change in diff.rows_changed]
    yield "参数改变", [_change(change) for change in diff.settings_changed]
    yield "分值改变", [f"{change.key}：{change.old} → {change.new}" for change in diff.scores_changed]
    yield "测算依据改变（不影响分组与分值）", [_change(change) for change in diff.statistics_changed]
    yield "只改编号，先后不变（不影响分组）", [_change(change) for change in diff.renumbered]
    yield "只改写法（不影响分组）", [_change(change) for change in diff.conditions_reworded]
    yield "只改名称（不影响分组）", [_change(change) for change in diff.renamed]


def print_dip_diff(diff: DipDiff, *, every: bool) -> None:
    """Every kind of difference with its count; `every` = no omission."""
    console = out()
    print_differences(console, f"{diff.old} → {diff.new}", _diff_lines(diff), every=every)
    if diff.empty:
        console.print("[green]没有差异[/]")
    elif not diff.changes_grouping:
        console.print("[green]差异只影响分值[/]" if diff.changes_scores else "[green]差异不影响分组与分值[/]")
