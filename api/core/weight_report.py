"""The report on weights as a workbook: how they were made, every group, the unstable ones, the published table beside
them with a chart, and what was put aside and why."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from api.core.catalog_report import write_aside
from api.core.peer_averages import PeerAverages
from api.core.sheets import Cell, Sheets, open_sheets
from api.core.weight_comparison import Comparison
from api.core.weights import STABILITY_ZH, STABLE, Weights, about
from budget.money import round_half_up
from grouper.result import STATUS_ZH

HEADER = ("编码", "名称", "权重（分值）", "统计病例数", "裁剪后病例数", "占比", "次均费用（元）", "变异系数", "稳定性")
_WIDTHS = (14, 50, 12, 12, 12, 12, 16, 12, 22)
_PLACES = (4, 4, 4, 4, 4, 6, 2, 4, 4)
PEER_HEADER = ("编码", "名称", "机构级别", "病例数", "裁剪后病例数", "次均费用（元）")
_PEER_WIDTHS = (14, 50, 12, 12, 12, 16)
_PEER_PLACES = (4, 4, 4, 4, 4, 2)
COMPARED_HEADER = ("编码", "名称", "统计病例数", "本次测算", "对照表", "差", "比值")
_COMPARED_WIDTHS = (14, 50, 12, 12, 12, 12, 12)
_TOP = 20
_GROUPS, _COMPARED = "病组权重", "对照"


def write_weight_report(
    weights: Weights, comparison: Comparison | None, path: Path, *, cases: bool = True, served: bool = False
) -> None:
    """Write the workbook, whole or not at all. `cases` False: no single case is named in it; `served`: for those who
    mend over HTTP. OSError when it cannot be written."""
    with open_sheets(path) as sheets:
        summary = sheets.sheet("摘要")
        years = tuple(f"{year} 年病例数" for year in weights.years)
        rows = list(group_rows(weights))
        header, widths = (*HEADER, *years), (*_WIDTHS, *[12] * len(years))
        places = (*_PLACES, *[4] * len(years))
        sheets.table(_GROUPS, header, widths, rows, places)
        stable = STABILITY_ZH[STABLE]
        at = HEADER.index("稳定性")
        sheets.table("不稳定病组", header, widths, [row for row in rows if row[at] != stable], places)
        if weights.peers is not None:
            peers = list(peer_rows(weights, weights.peers))
            sheets.table(f"{weights.peers.year} 年同级别费用", PEER_HEADER, _PEER_WIDTHS, peers, _PEER_PLACES)
        if comparison is not None:
            compared = [_compared_row(weights, comparison, place) for place in range(len(comparison.groups))]
            sheets.table(_COMPARED, COMPARED_HEADER, _COMPARED_WIDTHS, compared, [4] * len(COMPARED_HEADER))
            only = [(code, weights.names[code], "仅本次测算") for code in comparison.only_ours]
            only += [(code, "", "仅对照表") for code in comparison.only_theirs]
            sheets.table("仅一方有的病组", ("编码", "名称", "所在"), (14, 50, 14), only, [4] * 3)
        _summary(sheets, summary, weights, comparison)
        write_aside(sheets, weights.history, cases=cases, served=served)


def group_rows(weights: Weights) -> Iterator[tuple[Cell, ...]]:
    """One row per group in HEADER and its cases of each year."""
    scores = weights.scores
    for code, costs in scores.costs.items():
        by_year = {year.year: year.cases for year in costs.years}
        yield (
            code, weights.names[code], Fraction(scores.scores[code]), costs.cases, costs.kept,
            Fraction(scores.share(code)), Fraction(round_half_up(costs.mean_fen), 100), costs.cv,
            STABILITY_ZH[weights.stability[code]], *(by_year.get(year, 0) for year in weights.years),
        )  # fmt: skip


def peer_rows(weights: Weights, peers: PeerAverages) -> Iterator[tuple[Cell, ...]]:
    """One row per group and tier in PEER_HEADER."""
    for code, by_tier in peers.of.items():
        for tier, found in by_tier.items():
            mean = Fraction(round_half_up(found.mean_fen), 100)
            yield code, weights.names[code], tier, found.cases, found.kept, mean


def _compared_row(weights: Weights, comparison: Comparison, at: int) -> tuple[Cell, ...]:
    found = comparison.groups[at]
    name = weights.names[found.code]
    return found.code, name, found.cases, found.ours, found.theirs, found.difference, found.ratio


def _summary(sheets: Sheets, sheet: Any, weights: Weights, comparison: Comparison | None) -> None:
    sheet.set_column(0, 0, 34, sheets.text)
    sheet.set_column(1, 1, 44)
    sheet.set_column(2, 8, 16)
    line = sheets.sections(sheet, _sections(weights, comparison))
    sheet.write_string(line, 0, f"病例最多的 {_TOP} 个病组", sheets.bold)
    line += 1
    compared = {} if comparison is None else {found.code: found for found in comparison.groups}
    sheets.labels(sheet, line, ("编码", "名称", "统计病例数", "权重（分值）", *(("对照表",) if compared else ())))
    first = line + 1
    costs = weights.scores.costs
    for code in sorted(costs, key=lambda code: (-costs[code].cases, code))[:_TOP]:
        line += 1
        row: tuple[Cell, ...] = (code, weights.names[code], costs[code].cases, Fraction(weights.scores.scores[code]))
        sheets.row(sheet, line, (*row, compared[code].theirs if code in compared else None))
    chart = sheets.book.add_chart({"type": "column"})
    for at, label in ((3, "本次测算"), (4, "对照表"))[: 2 if compared else 1]:
        chart.add_series(
            {"name": label, "categories": ["摘要", first, 0, line, 0], "values": ["摘要", first, at, line, at]}
        )
    chart.set_title({"name": f"病例最多的 {_TOP} 个病组的权重（分值）"})
    chart.set_y_axis({"min": 0})
    sheet.insert_chart(line + 2, 0, chart, {"x_scale": 2})
    if compared:
        _scatter(sheets, sheet, len(compared), line + 20)


def _scatter(sheets: Sheets, sheet: Any, groups: int, line: int) -> None:
    """Every common group: the published weight to the right, ours upwards."""
    chart = sheets.book.add_chart({"type": "scatter"})
    ours, theirs = COMPARED_HEADER.index("本次测算"), COMPARED_HEADER.index("对照表")
    chart.add_series(
        {
            "name": "病组",
            "categories": [_COMPARED, 1, theirs, groups, theirs],
            "values": [_COMPARED, 1, ours, groups, ours],
            "marker": {"type": "circle", "size": 4},
        }
    )
    chart.set_title({"name": "本次测算与对照表"})
    chart.set_x_axis({"name": "对照表", "min": 0})
    chart.set_y_axis({"name": "本次测算", "min": 0})
    chart.set_legend({"none": True})
    sheet.insert_chart(line, 0, chart, {"x_scale": 2})


def _sections(weights: Weights, comparison: Comparison | None) -> Iterator[tuple[str, list[tuple[Cell, ...]]]]:
    history = weights.history
    yield "测算", list(about(weights))
    cases: list[tuple[Cell, ...]] = [("全部病例", history.cases.height)]
    cases += [(STATUS_ZH[status], history.status[status]) for status in STATUS_ZH if history.status[status]]
    cases += [("计入统计", weights.scores.whole.cases), ("裁剪后", weights.scores.whole.kept)]
    for year in weights.years:
        cases.append((f"{year} 年", weights.look.found[year], "其中费用可用", weights.look.usable[year]))
    yield "病例", cases
    found = weights.by_stability()
    yield (
        "病组",
        [
            (STABILITY_ZH[kind], groups, "病例", count, "占统计病例", Fraction(count, weights.scores.whole.cases))
            for kind, (groups, count) in found.items()
        ],
    )
    yield (
        "费用变异解释程度（RIV），未入组的病例算一组",
        [
            ("全部病例", weights.explained.riv, "病例", weights.explained.cases),
            ("裁剪后", weights.explained_trimmed.riv, "病例", weights.explained_trimmed.cases),
        ],
    )
    if comparison is not None:
        rank = Fraction(comparison.rank_correlation) if comparison.rank_correlation else None
        yield (
            f"对照：{comparison.title}",
            [
                ("双方都有的病组", len(comparison.groups)),
                ("仅本次测算", len(comparison.only_ours)),
                ("仅对照表", len(comparison.only_theirs)),
                ("总体水平（本次÷对照，按病例数加权）", comparison.level),
                ("秩相关系数（Spearman）", rank),
            ],
        )
