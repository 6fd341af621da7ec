"""Packs, codes and differences as Chinese text on standard output."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape

from api.cli.console import DATA_LEVEL_ZH, out
from reference_tables.dip_pack import DipPack, Pack
from reference_tables.drg_pack import DrgPack
from reference_tables.manifest import Manifest
from reference_tables.pack_diff import PackDiff
from reference_tables.pack_show import CodeView, GroupView, SetView, View
from reference_tables.problems import Problem
from reference_tables.weights import WeightTable

FEW = 20
_KIND_ZH = {"diagnosis": "诊断", "procedure": "手术操作", "set": "集合", "exclusion": "排除表"}
_WEIGHT_ZH = {"birth": "出生体重", "admission": "入院体重"}
_TABLE_ZH = {"mdc": "MDC", "adrg": "ADRG", "drg": "DRG", "meta": "参数", "not_principal": "不得作主要诊断"}


class Lines:
    """Labelled lines: labels padded to one width, texts never cut or broken, so a pipe gets them whole."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str]] = []

    def add(self, label: str, text: str) -> None:
        """One more line."""
        self.rows.append((label, text))

    def print(self, console: Console) -> None:
        """All lines."""
        width = max((cell_len(label) for label, _ in self.rows), default=0)
        for label, text in self.rows:
            console.print(f"  {label}{' ' * (width - cell_len(label))}  {escape(text)}".rstrip())


def _decimal(millionths: int) -> str:
    """A number in millionths, exactly, without trailing zeros."""
    return f"{millionths // 10**6:,}.{millionths % 10**6:06d}".rstrip("0").rstrip(".")


def some(items: Sequence[str], every: bool) -> str:
    """The first FEW items, or all, and how many are left out."""
    shown = items if every else items[:FEW]
    rest = len(items) - len(shown)
    return "、".join(shown) + (f" …… 另有 {rest:,} 个" if rest else "")


def print_list(manifests: Iterable[Manifest], weights: Iterable[WeightTable]) -> None:
    """Built-in packs and weight tables."""
    console = out()
    for manifest in manifests:
        since = f"{manifest.effective_from} 起" if manifest.effective_from else ""
        level = DATA_LEVEL_ZH[manifest.data_level]
        parts = "  ".join(part for part in (manifest.name, manifest.region, since, level) if part)
        console.print(f"[bold]{escape(manifest.id)}[/]  {escape(parts)}")
    listed = "、".join(f"{table.region} {table.year}（{table.frame.height:,} 行）" for table in weights)
    console.print(f"权重表：{listed}")


def print_verdict(pack: Pack | None, problems: Sequence[Problem]) -> None:
    """What a verified or imported pack is, in a few lines."""
    console = out()
    if pack is None:
        console.print(f"[red]方案不可用[/]，共 {len(problems)} 个问题")
        return
    level = DATA_LEVEL_ZH[pack.data_level]
    console.print(f"[bold]{escape(pack.id)}[/] {escape(pack.version)} {escape(pack.name)}（{level}）")
    lines = Lines()
    if isinstance(pack, DipPack):
        _add_dip_sizes(lines, pack)
    else:
        _add_drg_sizes(lines, pack)
    lines.add("校验值", pack.sha256)
    lines.print(console)
    if pack.manifest is not None:
        console.print(escape(pack.manifest.statement))
        if pack.manifest.amendments:
            console.print(f"修订 {len(pack.manifest.amendments)} 项：")
        for item in pack.manifest.amendments:
            console.print(f"  {escape(item.what)}（{escape(item.source)}）")
    console.print(f"[yellow]警告 {len(problems)} 个[/]" if problems else "[green]没有问题[/]")


def _add_drg_sizes(lines: Lines, pack: DrgPack) -> None:
    groups = f"MDC {pack.mdc.height}  ADRG {pack.adrg.height}  DRG {pack.drg.height}"
    lines.add("分组", groups)
    lines.add("集合", f"{pack.sets['set'].n_unique():,} 个，成员 {pack.sets.height:,} 行")
    lines.add("合并症并发症", f"{pack.cc.height:,} 行")
    lines.add("排除表", f"{pack.exclusion['exclusion'].n_unique():,} 张，{pack.exclusion.height:,} 行")
    lines.add("新生儿体重", _WEIGHT_ZH[pack.newborn_weight])


def _add_dip_sizes(lines: Lines, pack: DipPack) -> None:
    sizes = {name: frame.height for name, frame in pack.tables.items()}
    core = pack.tables["core"].get_column("layer").to_list()
    layers = "、".join(f"{layer.code} {core.count(layer.code):,}" for layer in pack.layers.values())
    lines.add("核心病种", f"{sizes['core']:,} 个" + (f"（{layers}）" if layers else ""))
    lines.add("综合病种", f"{sizes['mixed']:,} 个")
    lines.add("不纳入分组", f"主要诊断 {sizes['excluded_dx']:,} 个，主要手术操作 {sizes['excluded_px']:,} 个")
    lines.add("基层病种", f"{sizes['primary_care']:,} 行")
    lines.add("分值", f"{sizes['score']:,} 个组" if sizes["score"] else "没有，只分组不计分")
    if sizes["aux_level"]:
        dimensions = "、".join(pack.tables["aux_level"].get_column("dimension").unique(maintain_order=True))
        lines.add("辅助目录", f"{dimensions}；修正系数 {sizes['aux_factor']:,} 行")


def print_views(views: Iterable[View], *, every: bool) -> None:
    """One block for each thing a code can mean."""
    console = out()
    for view in views:
        if isinstance(view, GroupView):
            _print_group(console, view, every)
        elif isinstance(view, CodeView):
            _print_code(console, view, every)
        else:
            _print_set(console, view, every)


def _print_group(console: Console, view: GroupView, every: bool) -> None:
    path = " › ".join(f"{item.code} {item.name}" for item in view.parents)
    console.print(f"[bold]{view.kind} {escape(view.code)}[/] {escape(view.name)}")
    lines = Lines()
    if path:
        lines.add("上级", path)
    lines.add("规则", view.rule if view.rule != "1" else "1（总是成立）")
    if view.fields:
        lines.add("字段", "、".join(f"{item.code} {item.name}" for item in view.fields))
    lines.add("次序", f"同级 {view.siblings} 个中第 {view.place} 个判")
    for item in view.sets:
        lines.add("集合", f"{item.name}（{item.size:,} 个编码）")
    for child in view.children:
        lines.add("下级", f"{child.code} {child.name}")
    for weight in view.weights if every else view.weights[:FEW]:
        place = f"{weight.region} {weight.year} {weight.tier} {weight.insurance}"
        lines.add("权重", f"{place}  RW {_decimal(weight.rw_e6)}  标准 {_decimal(weight.standard_e6)} 元")
    rest = 0 if every else len(view.weights) - FEW
    if rest > 0:
        lines.add("权重", f"…… 另有 {rest} 行，加 --all 列出")
    lines.print(console)
    if view.weights:
        console.print("权重取自各地公布的表，各地编码以当地方案为准。")


def _print_code(console: Console, view: CodeView, every: bool) -> None:
    marks = [] if view.known else ["[red]不在医保版 2.0 编码表[/]"]
    marks += ["[yellow]灰码[/]"] if view.gray else []
    marks += ["[yellow]方案规定不得作主要诊断[/]"] if view.not_principal else []
    title = [f"[bold]{_KIND_ZH[view.kind]} {escape(view.code)}[/]", escape(view.name), *marks]
    console.print(" ".join(part for part in title if part))
    lines = Lines()
    if view.category:
        lines.add("类别", view.category)
    for level in view.levels:
        where = f"排除表 {level.exclusion}（{level.principals:,} 个主要诊断）" if level.exclusion else "无排除表"
        lines.add("合并症并发症", f"{level.level}，{where}")
    if view.excludes:
        lines.add("作主要诊断", f"排除 {'、'.join(view.excludes)} 所属的合并症并发症")
    for item in view.sets:
        groups = some(item.groups, every) or "没有规则用到"
        lines.add("集合", f"{item.name}（{item.size:,} 个编码） → {groups}")
    if view.clinical:
        lines.add("国临版来源", some(view.clinical, every))
    if view.as_clinical and view.as_clinical != view.code:
        lines.add("作国临版编码", f"对照为 {view.as_clinical}")
    lines.print(console)


def _print_set(console: Console, view: SetView, every: bool) -> None:
    console.print(f"[bold]{_KIND_ZH[view.kind]} {escape(view.name)}[/] {len(view.members):,} 个编码")
    lines = Lines()
    lines.add("成员", some(view.members, every))
    label = "用到的分组" if view.kind == "set" else "所属合并症并发症"
    lines.add(label, some(view.used_by, every) or "无")
    lines.print(console)


def _gained_and_lost(added: Sequence[str], removed: Sequence[str]) -> str:
    parts = [(sign, codes) for sign, codes in (("增", added), ("减", removed)) if codes]
    return "；".join(f"{sign} {len(codes):,} 个（{some(codes, False)}）" for sign, codes in parts)


def _diff_lines(diff: PackDiff) -> Iterable[tuple[str, list[str]]]:
    """Title and lines of each kind of difference, those that change answers first."""
    yield "新增的组", [f"{_TABLE_ZH[row.table]} {row.code} {row.name}：{row.rule or '1'}" for row in diff.groups_added]
    yield "减少的组", [f"{_TABLE_ZH[row.table]} {row.code} {row.name}" for row in diff.groups_removed]
    yield "换了上级", [f"{row.code}：{row.old} → {row.new}" for row in diff.moved]
    yield (
        "判定次序改变",
        [f"{row.parent or 'MDC'}：{' '.join(row.old)} → {' '.join(row.new)}" for row in diff.reordered],
    )
    yield "规则改变", [f"{row.code}：{row.old} → {row.new}" for row in diff.rules_changed]
    yield "新增的集合", diff.sets_added
    yield "减少的集合", diff.sets_removed
    yield (
        "集合成员改变",
        [f"{row.name}：{_gained_and_lost(row.added, row.removed)}" for row in diff.members_changed],
    )
    yield "新增的合并症并发症", [f"{code} {level}" for code, level in diff.complications_added]
    yield "减少的合并症并发症", [f"{code} {level}" for code, level in diff.complications_removed]
    yield "合并症并发症级别改变", [f"{row.code}：{row.old} → {row.new}" for row in diff.levels_changed]
    yield (
        "排除表改变",
        [
            f"{row.old_table or '无'} → {row.new_table or '无'}，涉及 {len(row.complications):,} 个合并症并发症："
            f"{_gained_and_lost(row.added, row.removed)}"
            for row in diff.exclusions_changed
        ],
    )
    yield "参数改变", [f"{_TABLE_ZH[row.table]} {row.code}：{row.old} → {row.new}" for row in diff.settings_changed]
    yield "只改名称（不影响分组）", [f"{row.code}：{row.old} → {row.new}" for row in diff.renamed]
    yield "只改规则写法（不影响分组）", [f"{row.code}：{row.old} → {row.new}" for row in diff.rules_reworded]
    yield "集合改名（不影响分组）", [f"{row.old} → {row.new}" for row in diff.sets_renamed]


def print_diff(diff: PackDiff, *, every: bool) -> None:
    """Every kind of difference with its count; `every` = no omission."""
    console = out()
    print_differences(console, f"{diff.old} → {diff.new}", _diff_lines(diff), every=every)
    if diff.empty:
        console.print("[green]没有差异[/]")
    elif not diff.changes_grouping:
        console.print("[green]差异不影响分组[/]")


def print_differences(console: Console, title: str, kinds: Iterable[tuple[str, Sequence[str]]], *, every: bool) -> None:
    """Each kind of difference that occurs: its name, how often, and its lines."""
    console.print(f"[bold]{escape(title)}[/]")
    for name, lines in kinds:
        if not lines:
            continue
        console.print(f"[bold]{name}[/] {len(lines):,}")
        shown = lines if every else lines[:FEW]
        for line in shown:
            console.print(f"  {escape(line)}")
        if len(lines) > len(shown):
            console.print(f"  …… 另有 {len(lines) - len(shown):,} 项，加 --all 列出")
