"""`drgdip report`: the year on one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from api.cli.console import Exit, fail, print_problems
from api.core.book import BookRefused, write_whole
from api.core.report_files import NotCleared, part_of


def report(
    output: Annotated[Path, typer.Option("--output", "-o", help="网页文件 .html", metavar="PAGE.html")],
    book: Annotated[
        list[Path] | None, typer.Option("--book", help="年度账册的文件夹，可多次：每次一种支付方式", metavar="DIR")
    ] = None,
    cleared: Annotated[
        list[Path] | None,
        typer.Option("--cleared", help="年终清算结果的文件夹，可多次，与 --book 依次对应", metavar="DIR"),
    ] = None,
    title: Annotated[str, typer.Option("--title", help="页面标题")] = "住院医保支付与清算",
) -> None:
    """把一年的支付与清算画成一个网页：可离线打开、可打印；几种支付方式并排比较。"""
    books, clearings = list(book or ()), list(cleared or ())
    if not books and not clearings:
        fail("请用 --book 给出年度账册，或用 --cleared 给出清算结果", Exit.USAGE)
    if books and clearings and len(books) != len(clearings):
        fail(f"--book 有 {len(books)} 个，--cleared 有 {len(clearings)} 个，应依次对应", Exit.USAGE)
    if output.suffix.lower() not in {".html", ".htm"}:
        fail(f"输出文件须以 .html 结尾：{output}", Exit.USAGE)
    absent = [str(path) for path in (*books, *clearings) if not path.is_dir()]
    if absent:
        fail("找不到文件夹：" + "、".join(absent), Exit.USAGE)
    # Charts take their time to import; no other command needs them.
    from api.web.report_page import report_page

    count = max(len(books), len(clearings))
    try:
        parts = [part_of(books[at] if books else None, clearings[at] if clearings else None) for at in range(count)]
        write_whole(output, report_page(title, parts).encode("utf-8"))
    except BookRefused as error:
        print_problems(error.problems)
        fail("账册不可用", Exit.PROBLEMS)
    except NotCleared as error:
        fail(str(error), Exit.PROBLEMS)
    except OSError as error:
        fail(f"不能写入 {output}（{error.strerror or error}）", Exit.ENVIRONMENT)
    counts = [part.totals["cases"] or part.totals["cleared_cases"] for part in parts]
    told = (f"{part.label} {count:,} 例" for part, count in zip(parts, counts, strict=True))
    typer.echo(f"网页写到 {output}：{'、'.join(told)}")
