"""Each hospital's own statement of a monthly settlement: for print, as a workbook, and for programs.

statements/H1.html .xlsx .json    nothing in it is another hospital's
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from api.core.book import write_whole
from api.core.file_names import statement_name
from api.core.settle import Settled
from api.core.settle_report import STATEMENT_ZH, detail_table, kind_table, statement_table, workbook
from api.web.settlement_page import Sheet, settlement_page
from budget.money import yuan_text

_FEN = "_fen"
_KEY = "hospital_id"
_SYNTHETIC = "synthetic"


def write_hospital_statements(
    settled: Settled, folder: Path, progress: Callable[[int], None] | None = None
) -> list[Path]:  # fmt: skip
    """Write the statements of all hospitals into a folder; `progress` hears how many are done. Raises OSError when it
    cannot be written."""
    made = []
    for done, hospital in enumerate(settled.statement[_KEY].unique(maintain_order=True), 1):
        own = of_hospital(settled, hospital)
        name = statement_name(hospital)
        contents = {
            "html": _page(own).encode(), "xlsx": workbook(own),
            "json": orjson.dumps(statement_json(own), option=orjson.OPT_INDENT_2) + b"\n",
        }  # fmt: skip
        for ending, data in contents.items():
            write_whole(folder / f"{name}.{ending}", data)
            made.append(folder / f"{name}.{ending}")
        if progress is not None:
            progress(done)
    return made


def of_hospital(settled: Settled, hospital: str) -> Settled:
    """The settlement with one hospital's rows alone."""
    own = pl.col(_KEY) == hospital
    return replace(
        settled, statement=settled.statement.filter(own), kinds=settled.kinds.filter(own),
        details=settled.details.filter(own), postings=settled.postings.filter(own),
    )  # fmt: skip


def statement_rows(settled: Settled) -> list[dict[str, Any]]:
    """A row for each hospital and pool; amounts in yuan."""
    return [{"hospital": row[_KEY], **_yuan(row)} for row in settled.statement.iter_rows(named=True)]


def statement_json(own: Settled) -> dict[str, Any]:
    """One hospital's statement as plain values; amounts in yuan as text."""
    first = own.statement.row(0, named=True)
    return {
        "hospital": first[_KEY], "name": first["hospital_name"] or first[_KEY], "month": first["month"],
        "run_id": own.run.run_id if own.run is not None else "",
        "pools": [_yuan(row) for row in own.statement.drop("hospital_name", "month").iter_rows(named=True)],
        "kinds": [_yuan(row) for row in own.kinds.iter_rows(named=True)],
        "corrections": [_yuan(row) for row in own.details.iter_rows(named=True)],
    }  # fmt: skip


def _yuan(row: Mapping[str, Any]) -> dict[str, Any]:
    """Amounts in fen as yuan, under their name without the unit; other figures as they are or as text."""
    return {name.removesuffix(_FEN): _plain(name, value) for name, value in row.items() if name != _KEY}


def _plain(name: str, value: Any) -> Any:
    if name.endswith(_FEN) and value is not None:
        return yuan_text(value)
    return value if value is None or isinstance(value, int | str) else str(value)


def _page(own: Settled) -> str:
    first = own.statement.row(0, named=True)
    name = first["hospital_name"] or first[_KEY]
    statement = statement_table(own.statement).drop(STATEMENT_ZH["hospital_name"], STATEMENT_ZH["month"])
    pools = statement[STATEMENT_ZH["pool"]].to_list()
    amounts = statement.drop(STATEMENT_ZH[_KEY], STATEMENT_ZH["pool"])
    upright = tuple((label, *map(_text, amounts[label])) for label in amounts.columns)
    figures = frozenset(range(1, len(pools) + 1))
    sheets = [Sheet("本月结算（元）", ("项目", *pools), upright, figures)]
    others = {"病例类型（元）": kind_table(own.kinds), "以前月份病例的更正（元）": detail_table(own.details)}
    for title, table in others.items():
        shown = table.drop(STATEMENT_ZH[_KEY])
        rows = tuple(tuple(map(_text, row)) for row in shown.iter_rows())
        numbers = frozenset(at for at, dtype in enumerate(shown.dtypes) if dtype != pl.String)
        sheets.append(Sheet(title, tuple(shown.columns), rows, numbers))
    proof: Any = own.proof
    policy, pack = proof["policy"], proof["pack"]
    foot = [("运行", str(proof["run_id"])), ("政策校验值", policy["sha256"]), ("分组方案校验值", pack["sha256"])]
    title = f"{name} {first['month']} 月度医保结算单"
    head = f"{name}（{first[_KEY]}）　支付政策：{policy['id']}　单位：元"
    synthetic = _SYNTHETIC in {policy.get("data_level"), pack.get("data_level")}
    return settlement_page(title, head, sheets, foot, synthetic=synthetic)


def _text(value: Any) -> str:
    return "" if value is None else str(value)
