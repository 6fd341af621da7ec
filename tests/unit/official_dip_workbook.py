"""Writes the sample rows of the national DIP list in the layout of the official workbook, with its oddities.

For tests only: it knows the layout from its description, not from the reader. Rows that only worked cases tell of are
added in their sheets.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from tests.oracle.dip_sample_pack import (
    ENDOSCOPIC,
    ENDOSCOPY,
    EXCLUDED_BY_WORKED_CASES,
    WORKED_ROWS,
    sample_rows,
)
from tests.unit.official_workbook import Row, Sheet, save

LAYER = {
    "pre": "XQ", "newborn": "XQ", "merged": "BX", "burn": "FZ", "tumour": "FZ", "tuberculosis": "FZ", "base": "JC",
}  # fmt: skip
NAMES = {
    "pre": "一、先期分组",
    "merged": "二、并项规则下的核心病种",
    "burn": "三、诊断辅助细分-烧伤类病种",
    "tumour": "三、诊断辅助细分-肿瘤类病种",
    "tuberculosis": "三、诊断辅助细分-结核类病种",
    "resistant_dx": "附表—结核耐药诊断",
    "base": "四、基础规则下的核心病种",
    "excluded_dx": "五、不纳入分组的主要诊断",
    "excluded_px": "五、不纳入分组的主要手术操作",
    "primary_care": "六、基层病种",
}
ANNEX = ("A15.000x010", "A16.200x010", "A19.000x010")
RESISTANT_BY_ANNEX = "主要诊断在附表—结核耐药诊断内，或其他诊断包含U84.300"
RESISTANT_BY_OTHER = "其他诊断包含U84.300"
CONDITIONAL = f"{ENDOSCOPY}作为主要诊断，可作为主要手术操作"
PUBLISHED = {
    "pre": 19, "merged": 1725, "burn": 25, "tumour": 42, "tuberculosis": 46, "resistant_dx": 48, "base": 3268,
    "excluded_dx": 4742, "excluded_px": 4111, "primary_care": 127,
}  # fmt: skip


def all_rows() -> list[dict[str, str]]:
    """The sample, and the rows of worked cases in the sample's columns."""
    rows = sample_rows()
    blank = dict.fromkeys(rows[0], "")
    for code, principal, px, related in WORKED_ROWS:
        layer, number = code.split("-")
        sheet = "merged" if layer == "BX" else "base"
        rows.append(
            blank | {"sheet": sheet, "number": number, "principal_dx": principal, "px": px, "related_px": related}
        )
    words = {"conservative": "按保守治疗入组", "not_principal": "不可作为主要手术操作"}
    rows += [
        blank | {"sheet": "excluded_px", "px": code, "remark": words[rule]} for code, rule in EXCLUDED_BY_WORKED_CASES
    ]
    rows += [blank | {"sheet": "excluded_px", "px": code, "remark": CONDITIONAL} for code in ENDOSCOPIC]
    return rows


def of_sheet(name: str) -> list[dict[str, str]]:
    """The rows of one sheet (or of the newborn block) by number."""
    rows = [row for row in all_rows() if row["sheet"] == name]
    return sorted(rows, key=lambda row: int(row["number"] or 0))


def _name(cell: str, word: str) -> str | None:
    """A made-up name for a cell of codes; none where the cell is empty."""
    return f"{word}{cell.partition('|')[0]}" if cell else None


def sheets() -> dict[str, Sheet]:
    """The ten sheets, every cell as text."""
    return {
        name: Sheet(NAMES[name], rows)
        for name, rows in {
            "pre": _pre(),
            "merged": _merged(),
            "burn": _burn(),
            "tumour": _tumour(),
            "tuberculosis": _tuberculosis(),
            "resistant_dx": _annex(),
            "base": _base(),
            "excluded_dx": _excluded_dx(),
            "excluded_px": _excluded_px(),
            "primary_care": _primary_care(),
        }.items()
    }


def _pre() -> list[Row]:
    header = (
        "分类",
        "序号",
        "分组名称",
        "主要诊断编码",
        "主要诊断名称",
        "主要手术\n操作编码",
        "主要手术操作名称",
        "说明/备注",
    )
    rows: list[Row] = [("先期分组",), ("（共19组）",), header]
    rows += [
        ("先期分组", f"XQ-{at}", f"先期{at}", None, "所有诊断", px, "手术", remark or None)
        for at, px, remark in ((row["number"], row["px"], row["remark"]) for row in of_sheet("pre"))
    ]
    rows.append(("分类", "序号", "分组名称", "主要诊断编码", "主要诊断名称", "天龄", "出生\n体重", "说明"))
    asked = ("age_days", "birth_weight_g", "remark")
    return rows + [
        ("先期分组", f"XQ-{row['number']}", f"先期{row['number']}", row["principal_dx"], "低体重", *map(row.get, asked))
        for row in of_sheet("newborn")
    ]


def _merged() -> list[Row]:
    rows: list[Row] = [
        ("并项",),
        ("分类", "序号", "主要诊断编码", "名称", "主要手术操作编码", "名称", "相关手术操作编码", "名称"),
    ]
    return rows + [
        (None, f"BX-{row['number']}", *_coded(row, "principal_dx", "px", "related_px")) for row in of_sheet("merged")
    ]


def _coded(row: dict[str, str], *columns: str) -> list[str | None]:
    """Code and made-up name of several cells."""
    cells: list[str | None] = []
    for column in columns:
        cells += [row[column] or None, _name(row[column], "诊断" if column.endswith("dx") else "手术")]
    return cells


def _burn() -> list[Row]:
    header = (
        "分类", "序号", "主要诊断编码", "烧伤/腐蚀伤\n程度", "其他诊断编码", "烧伤/腐蚀伤面积", "主要手术操作编码",
        "名称", "相关手术操作编码", "名称",
    )  # fmt: skip
    rows: list[Row] = [("烧伤类",), (None,), header]
    asked = ("principal_dx", "degree", "other_dx", "area")
    return rows + [
        ("烧伤", f"FZ-{row['number']}", *map(row.get, asked), *_coded(row, "px", "related_px"))
        for row in of_sheet("burn")
    ]


def _tumour() -> list[Row]:
    rows: list[Row] = [
        ("肿瘤类",),
        ("分类", "序号", "主要诊断编码", "名称", "其他诊断编码", "名称", "主要手术操作/\n相关手术操作编码", "名称"),
    ]
    return rows + [
        ("肿瘤", f"FZ-{row['number']}", *_coded(row, "principal_dx", "other_dx", "px")) for row in of_sheet("tumour")
    ]


def _tuberculosis() -> list[Row]:
    rows: list[Row] = [
        ("结核类",),
        ("分类", "序号", "主要诊断编码", "名称", "主要手术操作编码", "名称", "是否耐药", "是否耐药说明"),
    ]
    for row in of_sheet("tuberculosis"):
        note = RESISTANT_BY_OTHER if row["principal_dx"] in {"A17", "A18"} else RESISTANT_BY_ANNEX
        cells = _coded(row, "principal_dx", "px")
        rows.append(("结核", f"FZ-{row['number']}", *cells, row["resistant"], note))
    return rows


def _annex() -> list[Row]:
    return [("附表",), ("主要诊断编码", "主要诊断名称"), *((code, "耐药结核") for code in ANNEX)]


def _base() -> list[Row]:
    rows: list[Row] = [
        ("基础",),
        ("分类", "序号", "主要诊断编码", "主要诊断名称", "主要手术操作编码", "主要手术操作名称"),
    ]
    return rows + [(None, f"JC-{row['number']}", *_coded(row, "principal_dx", "px")) for row in of_sheet("base")]


def _excluded_dx() -> list[Row]:
    rows: list[Row] = [("不纳入",), ("以下编码不作主要诊断",), ("主要诊断编码", "主要诊断名称")]
    return rows + [(row["principal_dx"], f"诊断{row['principal_dx']}") for row in of_sheet("excluded_dx")]


def _excluded_px() -> list[Row]:
    rows: list[Row] = [("不纳入",), ("主要手术操作编码", "主要手术操作名称", "说明")]
    return rows + [(row["px"], f"手术{row['px']}", row["remark"]) for row in of_sheet("excluded_px")]


def _primary_care() -> list[Row]:
    rows: list[Row] = [("基层病种",), ("序号", "主要诊断编码", "名称", "主要手术操作编码", "名称")]
    return rows + [(int(row["number"]), *_coded(row, "principal_dx", "px")) for row in of_sheet("primary_care")]


def published() -> dict[str, Sheet]:
    """The ten sheets with as many rows as published: made-up ones fill up what the sample lacks."""
    with (Path("reference_tables") / "codes" / "diagnosis.csv").open(encoding="utf-8", newline="") as file:
        diagnoses = [row["code"] for row in csv.DictReader(file) if "+" not in row["code"]]
    with (Path("reference_tables") / "codes" / "procedure.csv").open(encoding="utf-8", newline="") as file:
        procedures = [row["code"] for row in csv.DictReader(file)]
    contents = sheets()
    used = {int(row["number"]) for row in all_rows() if row["sheet"] in LAYER}
    fillers = {
        "merged": lambda at: (None, f"BX-{at}", diagnoses[at], None, procedures[at], None, None, None),
        "burn": lambda at: (None, f"FZ-{at}", "T29.3", None, "T31.0", None, procedures[at], None, None, None),
        "tuberculosis": lambda at: (
            None, f"FZ-{at}", "A19", None, procedures[at], None, "否", RESISTANT_BY_ANNEX,
        ),
        "base": lambda at: (None, f"JC-{at}", diagnoses[at], None, None, None),
    }  # fmt: skip
    spans = {"merged": (20, 1744), "burn": (1745, 1769), "tuberculosis": (1812, 1857), "base": (1858, 5125)}
    for name, (low, high) in spans.items():
        rows = [fillers[name](number) for number in range(low, high + 1) if number not in used]
        contents[name].rows.extend(rows)
    listed = {row["principal_dx"] for row in of_sheet("excluded_dx")}
    more = [code for code in reversed(diagnoses) if code not in listed][: 4742 - len(listed)]
    contents["excluded_dx"].rows.extend((code, None) for code in more)
    barred = {row["px"] for row in of_sheet("excluded_px")}
    others = [code for code in reversed(procedures) if code not in barred][: 4111 - len(barred)]
    contents["excluded_px"].rows.extend((code, None, "不可作为主要手术操作") for code in others)
    contents["resistant_dx"].rows.extend((f"A16.{at:03}", None) for at in range(45))
    numbers = {row["number"] for row in of_sheet("primary_care")}
    contents["primary_care"].rows.extend(
        (at, diagnoses[at * 7][:3], None, None, None) for at in range(1, 128) if str(at) not in numbers
    )
    return contents


def write(path: Path, contents: Iterable[Sheet] | None = None) -> Path:
    """The workbook of these sheets (the ten of the sample unless others are given)."""
    return save(path, sheets().values() if contents is None else contents)
