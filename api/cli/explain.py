"""`drgdip explain` and `drgdip whatif`: one case of a file, explained or compared with its own variants."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer
from rich.text import Text

from api.cli.console import Exit, err, fail, load_scheme, out, print_json, print_problems
from api.cli.group import SCHEME, Edition, EditionOption, Format, FormatOption, SchemeOption
from grouper.dip.compile import CompiledDip
from grouper.dip.trace import explain_dip_case
from grouper.dip.trace_text import trace_lines as dip_trace_lines
from grouper.engine import grouper_of
from grouper.find_case import find_cases
from grouper.intake import Columns, IntakeError
from grouper.normalize import CLINICAL_MARK, normalize_codes
from grouper.pipeline import columns_asked
from grouper.result import GroupStatus
from grouper.text_lines import Line, LineKind
from grouper.trace import explain_case
from grouper.trace_text import trace_lines
from grouper.whatif import what_if
from grouper.whatif_text import whatif_lines
from reference_tables.problems import LEVEL_ZH, Level

_STYLE = {
    LineKind.TITLE: "bold",
    LineKind.SECTION: "bold cyan",
    LineKind.PLAIN: "",
    LineKind.MET: "green",
    LineKind.FAILED: "red",
    LineKind.PASSED: "yellow",
    LineKind.ANSWER: "bold",
    LineKind.NOTE: "dim",
}
_ROWS_SHOWN = 20

File = Annotated[str, typer.Argument(help="病例文件；- 为标准输入", metavar="FILE")]
CaseOption = Annotated[str | None, typer.Option("--case", help="病例号", metavar="ID")]
RowOption = Annotated[
    int | None, typer.Option("--row", min=1, help="行号（打开文件所见，表头为第1行）；病例号重复时用它指明一例")
]
JsonOption = Annotated[bool, typer.Option("--json", help="以 JSON 输出")]


@dataclass(frozen=True)
class _OneCase:
    """The case meant, in the insurance edition; the problems listed about it; clinical code -> insurance code
    where the conversion changed the spelling."""

    frame: pl.DataFrame
    problems: pl.DataFrame
    converted: tuple[tuple[str, str], ...]

    def to_dict(self) -> dict[str, Any]:
        codes = [{"from": given, "to": taken} for given, taken in self.converted]
        return {"converted": codes, "problems": self.problems.to_dicts()}

    def lines(self) -> list[Line]:
        return [Line(LineKind.NOTE, 0, f"国临版转换 {given} → {taken}") for given, taken in self.converted]


def explain(
    file: File,
    *,
    case: CaseOption = None,
    row: RowOption = None,
    scheme: SchemeOption = SCHEME,
    format_: FormatOption = Format.AUTO,
    edition: EditionOption = Edition.INSURANCE,
    full: Annotated[bool, typer.Option("--full", help="列出试过的每一行规则")] = False,
    json: JsonOption = False,
) -> None:
    """说明一个病例为什么分到这一组：逐条规则，哪些编码符合，哪些不符合。"""
    compiled = load_scheme(scheme)
    found = _one_case(file, case, row, format_, edition, columns_asked(grouper_of(compiled)))
    if isinstance(compiled, CompiledDip):
        by_dip = explain_dip_case(found.frame, compiled)
        content, lines, status = by_dip.to_dict(), dip_trace_lines(by_dip, full=full), by_dip.answer.status
    else:
        trace = explain_case(found.frame, compiled)
        content, lines, status = trace.to_dict(), trace_lines(trace, full=full), trace.answer.status
    _show(file, found, content, lines, as_json=json)
    _leave(found.problems, status)


def whatif(
    file: File,
    *,
    case: CaseOption = None,
    row: RowOption = None,
    scheme: SchemeOption = SCHEME,
    format_: FormatOption = Format.AUTO,
    edition: EditionOption = Edition.INSURANCE,
    json: JsonOption = False,
) -> None:
    """试算一个病例换主要诊断、换主要手术、去掉某个编码后的分组（只供核对，编码以病历为准）。"""
    compiled = load_scheme(scheme)
    found = _one_case(file, case, row, format_, edition, columns_asked(grouper_of(compiled)))
    comparison = what_if(found.frame, compiled)
    _show(file, found, comparison.to_dict(), whatif_lines(comparison), as_json=json)
    _leave(found.problems, comparison.as_is.status)


def _show(file: str, found: _OneCase, content: dict[str, Any], lines: Iterable[Line], *, as_json: bool) -> None:
    if as_json:
        print_json({"file": file, **content, **found.to_dict()})
        return
    _print_problems(found.problems)
    console = out()
    for line in [*lines, *found.lines()]:
        console.print(Text(str(line), style=_STYLE[line.kind]))


def _one_case(
    file: str, case_id: str | None, row: int | None, fmt: Format, edition: Edition, columns: Columns
) -> _OneCase:
    """The one case meant, or leave and say why there is none, or more than one."""
    if case_id is None and row is None:
        fail("请用 --case 指明病例号，或用 --row 指明行号", Exit.USAGE)
    if file != "-" and not Path(file).is_file():
        fail(f"找不到文件：{file}", Exit.USAGE)
    try:
        found = find_cases(file, case_id=case_id, row=row, fmt=fmt.value, columns=columns)
    except IntakeError as error:
        print_problems(error.problems)
        raise typer.Exit(Exit.PROBLEMS) from None
    except OSError as error:
        fail(f"不能读取 {file}：{error.strerror or error}", Exit.ENVIRONMENT)
    wanted = [f"病例号为 {case_id}"] if case_id is not None else []
    wanted += [f"行号为 {row}"] if row is not None else []
    if found.cases.height == 0:
        near = f"；相近的病例号：{'、'.join(found.near)}" if found.near else ""
        fail(f"文件共 {found.read:,} 例，没有{'、'.join(wanted)} 的病例{near}", Exit.USAGE)
    if found.cases.height > 1:
        rows = found.cases["row"].to_list()
        shown = "、".join(map(str, rows[:_ROWS_SHOWN])) + ("…" if len(rows) > _ROWS_SHOWN else "")
        fail(f"{'、'.join(wanted)} 的病例有 {len(rows)} 例，在第 {shown} 行，请加 --row 指明一例", Exit.USAGE)
    cases, refused = normalize_codes(found.cases, edition.value, file=file)
    problems = pl.concat([found.problems, refused])
    return _OneCase(cases, problems, tuple(_converted(found.cases, cases)))


def _converted(given: pl.DataFrame, taken: pl.DataFrame) -> Iterator[tuple[str, str]]:
    for column in ("diagnoses", "procedures"):
        for before, after in zip(given[column].to_list()[0], taken[column].to_list()[0], strict=True):
            if before != after and not after.startswith(CLINICAL_MARK):
                yield before, after


def _print_problems(problems: pl.DataFrame) -> None:
    for level, code, message in problems.select("level", "code", "message").iter_rows():
        style = "red" if level in {Level.ERROR, Level.REJECT} else "yellow"
        err().print(Text(f"[{LEVEL_ZH[Level(level)]} {code}] {message}", style=style))


def _leave(problems: pl.DataFrame, status: str) -> None:
    """Leave with code 1 when the case itself is unfit or its record was refused."""
    levels: set[Any] = set(problems["level"])
    if status == GroupStatus.INVALID or levels & {Level.ERROR, Level.REJECT}:
        raise typer.Exit(Exit.PROBLEMS)
