"""What `drgdip catalog build` tells: a Chinese summary on standard error, or the same as JSON on standard output."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from api.cli.console import DATA_LEVEL_ZH, SHOWN, err, print_json
from api.core.catalog import KINDS, BuiltCatalog
from api.core.catalog_plan import PLAIN_MEAN, REFERENCE_MEAN, ratio_text
from api.core.catalog_report import KIND_ZH, NOT_TO_BE_HAD, attention, group_rows, riv_rows
from budget.money import decimal_text, round_half_up, yuan_text
from grouper.catalog.history import NO_YEAR
from grouper.result import STATUS_ZH
from reference_tables.catalog_rules import catalog_rules
from reference_tables.problems import LEVEL_ZH, Level, catalogue


def show(catalog: BuiltCatalog, folder: Path, report: Path, *, as_json: bool) -> None:
    """Tell what was built and where it stands."""
    if as_json:
        print_json(_values(catalog, folder, report))
    else:
        _print(catalog, folder, report)


def _percent(part: int, whole: int) -> str:
    return decimal_text(Fraction(100 * part, max(whole, 1)), 2) + "%"


def _print(catalog: BuiltCatalog, folder: Path, report: Path) -> None:
    console = err()
    pack, history = catalog.pack, catalog.history
    level = DATA_LEVEL_ZH.get(pack.data_level, pack.data_level)
    console.print(f"目录 [bold]{escape(pack.id)}[/] {escape(pack.version)}（{level}）  校验值 {pack.sha256[:12]}")
    rows = history.cases.height
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_row("病例", f"{rows:,}", "", f"计入统计 {catalog.scores.whole.cases:,}")
    for status, text in STATUS_ZH.items():
        if history.status[status]:
            count = history.status[status]
            table.add_row(text, f"{count:,}", _percent(count, rows), status.value)
    for kind in KINDS:
        cases = catalog.cases_of(kind)
        table.add_row(KIND_ZH[kind], f"{len(cases):,} 个", _percent(cases.total(), rows), f"病例 {cases.total():,}")
    console.print(table)
    if history.unfit:
        counted = int(history.cases["counts"].sum())
        reasons = "，".join(f"{reason} {count:,}" for reason, count in history.unfit_by_reason().items())
        share = _percent(history.unfit.total(), counted)
        console.print(f"计入统计而不能参与形成核心病种的病例 {history.unfit.total():,}（{share}）：{reasons}")
        if codes := "、".join(f"{code} {count:,}" for code, count in history.unfit_codes()):
            console.print(f"  最多的编码：{escape(codes)}")
        if history.much_unfit():
            limit = f"{(100 * catalog_rules().unfit_share).normalize():f}%"
            console.print(f"  [yellow]超过 {limit}，请先核对编码版本（--edition）与编码质量，再使用这一目录[/]")
    weights = ratio_text(catalog.plan.year_weights)
    mean = yuan_text(round_half_up(catalog.scores.whole.mean_fen))
    method = catalog_rules().methods[catalog.plan.method].label
    years = "、".join(map(str, catalog.years))
    others = [(year, cases) for year, cases in sorted(catalog.look.found.items()) if year not in catalog.years]
    if others:
        told = "、".join(f"{'无出院时间' if year == NO_YEAR else f'{year} 年'} {cases:,} 例" for year, cases in others)
        console.print(f"不在统计年度的病例：{told}（不计入统计，见问题清单）")
    console.print(f"年度 {years}  权重 {weights}  裁剪 {catalog.plan.trimming}  {method}")
    console.print(f"{REFERENCE_MEAN} {mean} 元；{PLAIN_MEAN} {yuan_text(round_half_up(catalog.scores.plain_fen))} 元")
    groups, scored, without = catalog.scored()
    console.print(f"病种 {groups:,} 个，其中 {scored:,} 个有分值；{without:,} 个病例所在的病种没有分值")
    if catalog.plan.scheme and pack.manifest is not None:
        console.print(f"[yellow]{escape(pack.manifest.statement.partition('重做（')[0])}[/]")
    console.print("[bold]费用变异解释程度（RIV），同一批病例[/]")
    for name, every, trimmed in riv_rows(catalog):
        console.print(
            f"  {escape(name)}：{every.groups:,} 组，"
            f"全部病例 {every.text or NOT_TO_BE_HAD}，裁剪后 {trimmed.text or NOT_TO_BE_HAD}"
        )
    noted = sum(bool(attention(catalog, row)) for row in group_rows(catalog))
    console.print(f"病例少或变异大的病种 {noted:,} 个，见报告")
    if catalog.auxiliary is not None:
        console.print(f"辅助目录校正系数 {catalog.auxiliary.table.height:,} 个")
    kinds = catalogue()
    problems = history.foremost(SHOWN)
    if problems:
        console.print("[bold]主要问题[/]")
    for (code, problem_level), count in problems:
        example = history.listed.filter(history.listed["code"] == code)["message"][0]
        shown = f"如：{example}" if kinds[code].arguments else example
        console.print(f"  {count:>9,}  {LEVEL_ZH[Level(problem_level)]} {code}  {escape(shown)}")
    console.print(f"目录写到 {escape(str(folder))}，报告写到 {escape(str(report))}")


def _values(catalog: BuiltCatalog, folder: Path, report: Path) -> dict[str, Any]:
    pack, history, scores = catalog.pack, catalog.history, catalog.scores
    kinds = {kind: catalog.cases_of(kind) for kind in KINDS}
    return {
        "pack": {
            "id": pack.id, "version": pack.version, "sha256": pack.sha256, "data_level": pack.data_level,
            "folder": folder.name, "report": report.name,
        },
        "years": catalog.years,
        "cases": history.cases.height,
        "counted": scores.whole.cases,
        "status": dict(sorted(history.status.items())),
        "reasons": dict(sorted(history.reasons.items())),
        "unfit": {"cases": history.unfit.total(), "reasons": history.unfit_by_reason(),
                  "codes": dict(history.unfit_codes())},
        "groups": {kind: {"groups": len(cases), "cases": cases.total()} for kind, cases in kinds.items()},
        "mean_cost_fen": round_half_up(scores.whole.mean_fen),
        "plain_mean_cost_fen": round_half_up(scores.plain_fen),
        "scored": dict(zip(("groups", "with_score", "cases_without"), catalog.scored(), strict=True)),
        "riv": [
            {"scheme": name, "groups": every.groups, "cases": every.cases, "riv": every.text or None,
             "cases_trimmed": trimmed.cases, "riv_trimmed": trimmed.text or None}
            for name, every, trimmed in riv_rows(catalog)
        ],
        "factors": 0 if catalog.auxiliary is None else catalog.auxiliary.table.height,
        "problems": [
            {"code": code, "level": level, "count": count} for (code, level), count in sorted(history.problems.items())
        ],
    }  # fmt: skip
