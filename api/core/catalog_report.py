"""The report on a catalog as a workbook: how it was built, what it explains beside DRG, every group, groups to look at,
and what was put aside and why. The same catalog gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from api.core.catalog import KINDS, BuiltCatalog
from api.core.catalog_auxiliary import AuxiliaryEstimate
from api.core.catalog_cases import GroupedHistory
from api.core.catalog_plan import PLAIN_MEAN, REFERENCE_MEAN, TRIMMING_RULE, ratio_text
from api.core.sheets import Cell, Row, Sheets, open_sheets
from budget.auxiliary_factors import GATE_ZH, GateReason, LevelFactor
from budget.explained_variance import ExplainedVariance
from grouper.catalog.history import NO_YEAR
from grouper.dip.result import dip_reason_text
from grouper.result import STATUS_ZH
from reference_tables.catalog_rules import catalog_rules
from reference_tables.problems import LEVEL_ZH, Level, catalogue

KIND_ZH = {"core": "核心病种", "mixed": "综合病种"}
LEVEL_OF_MIXED_ZH = {"subcategory": "亚目", "category": "类目", "chapter": "章"}
GROUP_HEADER = (
    "种类",
    "层级",
    "编码",
    "名称",
    "入组病例数",
    "统计病例数",
    "裁剪后病例数",
    "占比",
    "次均费用（元）",
    "变异系数",
    "分值",
)
GROUP_WIDTHS = (10, 10, 34, 50, 11, 11, 12, 10, 15, 10, 12)
FACTOR_HEADER = (
    "病种编码", "维度", "病种例数", "分型数", "最小分型例数", "变异系数下降", "判定",
    "分型", "分型例数", "次均费用（元）", "校正系数",
)  # fmt: skip
FACTOR_WIDTHS = (34, 14, 10, 8, 12, 12, 20, 14, 10, 15, 10)
NOT_TO_BE_HAD = "无法计算（费用全部相同）"
_RIV_HEADER = ("分组方案", "组数", "病例数", "RIV（全部病例）", "裁剪后病例数", "RIV（裁剪后）")


def write_report(catalog: BuiltCatalog, path: Path, *, cases: bool = True, served: bool = False) -> None:
    """Write the report; the file appears only when it is complete. `cases` False: no single case is named in it;
    `served`: for those who mend over HTTP. OSError when it cannot be written."""
    with open_sheets(path) as sheets:
        _Report(sheets, catalog).write(cases=cases, served=served)


def group_rows(catalog: BuiltCatalog) -> Iterator[tuple[Cell, ...]]:
    """One row a group in GROUP_HEADER and its cases of each year: core groups, then mixed ones, in their order."""
    for kind in KINDS:
        table = catalog.pack.tables[kind]
        cases = catalog.cases_of(kind)
        level = "layer" if kind == "core" else "level"
        rows = table.unique("code", maintain_order=True).select("code", "name", level)
        names = {code: layer.name for code, layer in catalog.pack.layers.items()} | LEVEL_OF_MIXED_ZH
        for code, name, place in rows.iter_rows():
            costs = catalog.scores.costs.get(code)
            head: tuple[Cell, ...] = (KIND_ZH[kind], names[place], code, name, cases[code])
            if costs is None:
                yield (*head, 0, 0, *[None] * (len(GROUP_HEADER) - 7), *[0] * len(catalog.years))
                continue
            by_year = {year.year: year.cases for year in costs.years}
            yield (
                *head, costs.cases, costs.kept, Fraction(catalog.scores.share(code)), costs.mean_fen / 100, costs.cv,
                Fraction(catalog.scores.scores[code]), *(by_year.get(year, 0) for year in catalog.years),
            )  # fmt: skip


def attention(catalog: BuiltCatalog, row: Sequence[Cell]) -> str:
    """Why a group of `group_rows` is worth a look, "" = it is not: few cases, or costs that vary much."""
    cases, cv = row[GROUP_HEADER.index("统计病例数")], row[GROUP_HEADER.index("变异系数")]
    least, high = catalog.plan.min_cases, Fraction(catalog_rules().cv_high)
    reasons = []
    if isinstance(cases, int) and cases < least:
        reasons.append(f"统计病例少于 {least} 例")
    if isinstance(cv, Fraction) and cv > high:
        reasons.append(f"变异系数大于 {catalog_rules().cv_high}")
    return "；".join(reasons)


def riv_rows(catalog: BuiltCatalog) -> Iterator[tuple[str, ExplainedVariance, ExplainedVariance]]:
    """What the catalog and the DRG scheme explain: name, over all cases, over the cases kept by the trimming."""
    found = catalog.explained
    drg = catalog.drg_scheme.pack
    yield f"DIP 目录 {catalog.pack.id}", found.dip, found.dip_trimmed
    yield f"DRG {drg.id} {drg.version}", found.drg, found.drg_trimmed


_PLACES_OF = {"次均费用（元）": 2, "占比": 6}


class _Report:
    def __init__(self, sheets: Sheets, catalog: BuiltCatalog) -> None:
        self.sheets, self.catalog = sheets, catalog
        self.groups = list(group_rows(catalog))

    def write(self, *, cases: bool, served: bool) -> None:
        years = tuple(f"{year} 年病例数" for year in self.catalog.years)
        self._summary(self.sheets.sheet("摘要"))
        self._table("病种", (*GROUP_HEADER, *years), (*GROUP_WIDTHS, *[12] * len(years)), self.groups)
        noted = [(attention(self.catalog, row), row) for row in self.groups]
        self._table(
            "需关注病种",
            ("原因", *GROUP_HEADER, *years),
            (30, *GROUP_WIDTHS, *[12] * len(years)),
            [(reason, *row) for reason, row in noted if reason],
        )
        if self.catalog.auxiliary is not None:
            self._table("辅助目录", FACTOR_HEADER, FACTOR_WIDTHS, list(self._factors(self.catalog.auxiliary)))
        write_aside(self.sheets, self.catalog.history, cases=cases, served=served)

    def _factors(self, found: AuxiliaryEstimate) -> Iterator[tuple[Cell, ...]]:
        """What became of every dimension in every core group: its factors, or why it has none."""
        codes = self.catalog.history.groups
        factors: dict[tuple[int, str], list[LevelFactor]] = {}
        for factor in found.estimate.factors:
            factors.setdefault((factor.group, factor.dimension), []).append(factor)
        for gate in found.estimate.gates:
            head: tuple[Cell, ...] = (codes[gate.group], gate.dimension, gate.cases, gate.levels, gate.smallest)
            verdict = (Fraction(gate.cv_fall_text), GATE_ZH[gate.reason])
            if gate.reason is not GateReason.NONE:
                yield (*head, *verdict)
            for factor in factors.get((gate.group, gate.dimension), ()):
                yield (*head, *verdict, factor.level, factor.cases, factor.mean_fen / 100, Fraction(factor.factor))

    def _summary(self, sheet: Any) -> None:
        catalog = self.catalog
        sheet.set_column(0, 0, 30, self.sheets.text)
        sheet.set_column(1, 5, 18)
        line = self.sheets.sections(sheet, self._sections())
        title = "费用变异解释程度（RIV），同一批病例；未入组的病例算一组"
        sheet.write_string(line, 0, title, self.sheets.bold)
        line += 1
        self.sheets.labels(sheet, line, _RIV_HEADER)
        first = line + 1
        for name, every, trimmed in riv_rows(catalog):
            line += 1
            shares = [NOT_TO_BE_HAD if found.riv is None else found.riv for found in (every, trimmed)]
            self.sheets.row(sheet, line, (name, every.groups, every.cases, shares[0], trimmed.cases, shares[1]))
        chart = self.sheets.book.add_chart({"type": "column"})
        for at in (3, 5):
            chart.add_series(
                {
                    "name": ["摘要", first - 1, at],
                    "categories": ["摘要", first, 0, line, 0],
                    "values": ["摘要", first, at, line, at],
                    "data_labels": {"value": True, "num_format": "0.0000"},
                }
            )
        chart.set_title({"name": "费用变异解释程度（RIV）"})
        chart.set_y_axis({"min": 0, "max": 1})
        sheet.insert_chart(line + 2, 0, chart, {"x_scale": 1.3})

    def _sections(self) -> Iterator[tuple[str, list[tuple[Cell, ...]]]]:
        catalog, history, drg = self.catalog, self.catalog.history, self.catalog.history.drg_status
        yield "目录", self._identity()
        rows = history.cases.height
        cases: list[tuple[Cell, ...]] = [("全部病例", rows)]
        cases += [(STATUS_ZH[status], history.status[status]) for status in STATUS_ZH if history.status[status]]
        cases += [(f"  {dip_reason_text(code)}", count) for code, count in sorted(history.reasons.items())]
        cases += [("重复的病例（只计一次，不计入统计）", catalog.look.repeats.frame.height)]
        cases += [("计入统计", catalog.scores.whole.cases)]
        if catalog.grown is not None:
            cases += [("不能参与形成核心病种（归入综合病种或未入组）", catalog.grown.unfit)]
            cases += [(f"  {reason}", count) for reason, count in history.unfit_by_reason().items()]
            cases += [(f"    {code}", count) for code, count in history.unfit_codes()]
        for year in sorted(year for year in catalog.look.found if year != NO_YEAR):
            cases.append((f"{year} 年", catalog.look.found[year], "其中费用可用", catalog.look.usable[year]))
        yield "病例", cases
        kinds: list[tuple[Cell, ...]] = []
        for kind in KINDS:
            found = catalog.cases_of(kind)
            share = Fraction(found.total(), rows)
            kinds.append((KIND_ZH[kind], len(found), "病例", found.total(), "占全部病例", share))
        groups, scored, without = catalog.scored()
        kinds.append(("有分值的病种", scored, "病种", groups))
        kinds.append(("没有分值的病种", groups - scored, "病例", without))
        yield "病种", kinds
        compared = f"同一批病例按 DRG（{catalog.drg_scheme.pack.id}）"
        yield compared, [(STATUS_ZH[status], drg[status]) for status in STATUS_ZH if drg[status]]

    def _identity(self) -> list[tuple[Cell, ...]]:
        catalog, plan, rules = self.catalog, self.catalog.plan, catalog_rules()
        rows: list[tuple[Cell, ...]] = [
            ("编号", catalog.pack.id),
            ("名称", catalog.pack.name),
            ("地区", catalog.identity.region),
            ("校验值", catalog.pack.sha256),
            ("年度", "、".join(map(str, catalog.years))),
            ("年度权重", ratio_text(plan.year_weights)),
            ("分值方法", rules.methods[plan.method].label),
            ("裁剪", plan.trimming),
        ]
        if catalog.grown is not None:
            rows += [("核心病种最少病例数", plan.min_cases), ("组合方式", rules.combinations[plan.combination].label)]
        return [
            *rows,
            ("裁剪规则", TRIMMING_RULE),
            (f"{REFERENCE_MEAN}（元）", catalog.scores.whole.mean_fen / 100),
            (f"{PLAIN_MEAN}（元）", catalog.scores.plain_fen / 100),
            ("分值基准（元）", catalog.scores.reference_fen / 100),
            ("基准对应分值", catalog.scores.scale),
        ]

    def _table(self, name: str, header: Sequence[str], widths: Sequence[int], rows: Sequence[Row]) -> None:
        self.sheets.table(name, header, widths, rows, [_PLACES_OF.get(label, 4) for label in header])


def write_aside(sheets: Sheets, history: GroupedHistory, *, cases: bool = True, served: bool = False) -> None:
    """A sheet with the problems of a history: each rule with an example and a remedy, `served` over HTTP or by command,
    then case by case; without `cases` the rules and how many there are alone."""
    sheet = sheets.sheet("问题与未计入统计")
    sheets.header(sheet, ("规则", "级别", "问题数", "问题举例", "处理建议"), (8, 8, 12, 60, 50))
    line = 0
    for (code, level), count in sorted(history.problems.items()):
        example = str(history.listed.filter(history.listed["code"] == code)["message"][0]) if cases else ""
        line += 1
        fix = catalogue()[code].mended(served=served)
        sheets.row(sheet, line, (code, LEVEL_ZH[Level(level)], count, example, fix))
    if not cases:
        return
    line += 2
    note = f"病例（每条规则最多列 {catalog_rules().listed} 例；{'problems.csv' if served else '--problems'} 给出全部）"
    sheet.write_string(line, 0, note, sheets.bold)
    line += 1
    sheets.labels(sheet, line, ("规则", "文件", "行号", "病例号", "字段", "值"))
    for row in history.listed.select("code", "file", "row", "case_id", "field", "value").iter_rows():
        line += 1
        sheets.row(sheet, line, row)
