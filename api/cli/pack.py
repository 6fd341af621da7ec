"""`drgdip pack`: list, verify, show, diff and import grouping schemes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from api.cli import dip_text, pack_text
from api.cli.console import Exit, fail, print_json, print_problems
from reference_tables.dip_diff import diff_dip_packs
from reference_tables.dip_show import show_dip_code
from reference_tables.importers.dip_workbook import is_dip_workbook, read_dip_workbook
from reference_tables.importers.drg_workbook import read_workbook
from reference_tables.manifest import read_manifest
from reference_tables.pack_diff import diff_packs
from reference_tables.pack_show import check_pack, show_code
from reference_tables.pack_writer import write_pack
from reference_tables.packs import DipPack, DrgPack, Pack, built_in_packs
from reference_tables.problems import Problem, TablesRefused
from reference_tables.weights import weight_tables

app = typer.Typer(
    help="分组方案：列出、校验、查看、比较、导入。",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

DEFAULT = "chs-drg-1.1"
PackArgument = Annotated[
    str, typer.Argument(help="内置方案编号、方案文件夹或官方工作簿（.xlsx）", metavar="NAME|DIR|XLSX")
]
JsonOption = Annotated[bool, typer.Option("--json", help="以 JSON 输出")]


def _load(name: str) -> Pack:
    pack, problems = check_pack(name)
    if pack is None:
        print_problems(problems)
        fail(f"分组方案 {name} 不可用", Exit.TABLES)
    return pack


@app.command("list")
def list_(json: JsonOption = False) -> None:
    """列出内置的分组方案与权重表。"""
    manifests = [manifest for manifest, _ in map(read_manifest, built_in_packs().values()) if manifest]
    if json:
        tables = [{"region": table.region, "year": table.year, "rows": table.frame.height} for table in weight_tables()]
        print_json({"packs": manifests, "weights": tables})
    else:
        pack_text.print_list(manifests, weight_tables())


@app.command()
def verify(pack: PackArgument = DEFAULT, json: JsonOption = False) -> None:
    """校验方案：文件、校验和、规则、集合、编码，一次报出全部问题。

    退出码：0 无问题，1 有警告，3 方案不可用。
    """
    found, problems = check_pack(pack)
    refused = found is None
    if json:
        rows = [problem.as_row() for problem in problems]
        print_json({"pack": pack, "usable": not refused, "problems": rows})
    else:
        print_problems(problems)
        pack_text.print_verdict(found, problems)
    raise typer.Exit(Exit.TABLES if refused else Exit.PROBLEMS if problems else Exit.OK)


@app.command()
def show(
    code: Annotated[str, typer.Argument(help="组、诊断、手术操作的编码；DRG 方案还有集合与排除表", metavar="CODE")],
    pack: Annotated[str, typer.Option("--pack", help="分组方案", metavar="NAME|DIR|XLSX")] = DEFAULT,
    every: Annotated[bool, typer.Option("--all", help="不省略，列出全部成员")] = False,
    json: JsonOption = False,
) -> None:
    """查看一个编码。

    DRG：组的规则、上下级、集合、权重，编码的名称、灰码、所在集合、合并症并发症与对照。
    DIP：组的条件与分值，编码可入的组、是否不纳入分组、手术操作的类型。
    """
    found = _load(pack)
    if isinstance(found, DipPack):
        dip_views = show_dip_code(found, code)
        if not json:
            dip_text.print_dip_views(dip_views, every=every)
        _finish_show(dip_views, json, f"方案 {pack} 与编码表中都没有“{code}”")
    else:
        views = show_code(found, code)
        if not json:
            pack_text.print_views(views, every=every)
        _finish_show(views, json, f"方案 {pack} 与编码表中都没有“{code}”")


def _finish_show(views: Sequence[object], json: bool, nothing: str) -> None:
    if json:
        print_json(views)
    if not views:
        fail(nothing, Exit.PROBLEMS)


@app.command()
def diff(
    old: PackArgument,
    new: PackArgument,
    every: Annotated[bool, typer.Option("--all", help="不省略，列出全部差异")] = False,
    json: JsonOption = False,
) -> None:
    """比较两个方案，分清影响分组的差异与只改文字的差异。

    退出码：0 没有差异，1 有差异。
    """
    before, after = _load(old), _load(new)
    if isinstance(before, DrgPack) and isinstance(after, DrgPack):
        found = diff_packs(before, after)
        if json:
            print_json({"changes_grouping": found.changes_grouping, **vars(found)})
        else:
            pack_text.print_diff(found, every=every)
        empty = found.empty
    elif isinstance(before, DipPack) and isinstance(after, DipPack):
        dip = diff_dip_packs(before, after)
        if json:
            changes = {"changes_grouping": dip.changes_grouping, "changes_scores": dip.changes_scores}
            print_json({**changes, **vars(dip)})
        else:
            dip_text.print_dip_diff(dip, every=every)
        empty = dip.empty
    else:
        dip_name, drg_name = (old, new) if isinstance(before, DipPack) else (new, old)
        print_problems([Problem("DP19", {"dip": dip_name, "drg": drg_name})])
        raise typer.Exit(Exit.USAGE)
    raise typer.Exit(Exit.OK if empty else Exit.PROBLEMS)


@app.command("import")
def import_(
    workbook: Annotated[
        Path, typer.Argument(help="官方工作簿：DRG 分组方案配置信息，或 DIP 分组方案", metavar="FILE.xlsx")
    ],
    folder: Annotated[Path, typer.Argument(help="写入的文件夹，须为空或不存在", metavar="DIR")],
    mixed: Annotated[
        Path | None,
        typer.Option("--mixed", help="DIP：综合病种字典，代替按编码表推出的综合病种", metavar="FILE.xlsx|.csv"),
    ] = None,
    json: JsonOption = False,
) -> None:
    """把官方工作簿转成方案文件夹（CSV 与说明文件），同一工作簿得到逐字节相同的结果。"""
    for path in (workbook, mixed):
        if path is not None and not path.is_file():
            fail(f"没有文件 {path}", Exit.USAGE)
    dip = is_dip_workbook(workbook)
    if mixed is not None and not dip:
        fail("--mixed 只用于 DIP 分组方案工作簿", Exit.USAGE)
    try:
        pack: Pack = read_dip_workbook(workbook, mixed) if dip else read_workbook(workbook)
        write_pack(pack, folder)
    except TablesRefused as error:
        print_problems(error.problems)
        raise typer.Exit(Exit.TABLES) from None
    except FileExistsError:
        fail(f"{folder} 不是空文件夹，不写入", Exit.USAGE)
    except OSError as error:
        fail(f"不能写入 {folder}：{error.strerror or error}", Exit.ENVIRONMENT)
    if json:
        rows = [problem.as_row() for problem in pack.problems]
        about = {"id": pack.id, "sha256": pack.sha256, "folder": folder.name}
        print_json({**about, "manifest": pack.manifest, "problems": rows})
    else:
        print_problems(pack.problems)
        pack_text.print_verdict(pack, pack.problems)
        typer.echo(f"方案写到 {folder}")
