"""`drgdip backup` and `drgdip restore`: the whole service in one file, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from api.cli.console import Exit, fail, out, print_problems
from api.cli.serve import DataOption, asking_database, opened, settings_here
from reference_tables.problems import TablesRefused


def backup(
    target: Annotated[Path, typer.Argument(help="备份文件", metavar="FILE.tar")],
    data: DataOption = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="备份文件已存在时取代它")] = False,
) -> None:
    """备份整个服务：数据库、文件、账册。服务运行时也可以做，内容是同一时刻的；有文件缺失或损坏、审计链不符的逐个列出，不做备份。"""
    from api.core.book import BookRefused
    from api.service.audit import COMMAND, EndLost
    from api.service.backup import back_up
    from api.store.database import Unavailable

    if target.exists() and not overwrite:
        fail(f"{target} 已存在；换一个文件名，或用 --overwrite 取代它", Exit.USAGE)
    service = opened(settings_here(data=data))
    try:
        made = back_up(service, COMMAND, target)
    except (BookRefused, TablesRefused) as error:
        print_problems(error.problems)
        fail(f"有缺失或损坏，没有备份，共 {len(error.problems)} 个问题", Exit.TABLES)
    except EndLost as error:
        print_problems([error.problem])
        fail("审计链不符，没有备份", Exit.TABLES)
    except (OSError, Unavailable) as error:
        fail(f"没有备份（{error}）", Exit.ENVIRONMENT)
    finally:
        service.close()
    rows = sum(made.rows.values())
    years = "、".join(made.books) or "无"
    out().print(f"已备份 {rows:,} 行、{made.members:,} 个文件，共 {made.size:,} 字节；账册 {years}")
    out().print(
        f"已核对：每个文件的校验值，账册的封印及其与数据库一致，数据库所列文件齐全，审计链完整（{made.entries:,} 条）"
    )


def restore(
    source: Annotated[Path, typer.Argument(help="备份文件", metavar="FILE.tar", exists=True, dir_okay=False)],
    data: DataOption = None,
) -> None:
    """恢复到空的数据文件夹和空的数据库（SQLite 或 PostgreSQL，可与备份时不同）。"""
    from api.core.book import BookRefused
    from api.service.audit import COMMAND
    from api.service.restore import restore as put_back
    from api.store.database import Unavailable

    settings = settings_here(data=data)
    try:
        with asking_database(settings):
            made = put_back(settings, COMMAND, source)
    except (BookRefused, TablesRefused) as error:
        print_problems(error.problems)
        fail("没有恢复", Exit.TABLES)
    except (OSError, Unavailable) as error:
        fail(f"没有恢复（{error}）", Exit.ENVIRONMENT)
    rows, years = sum(made.rows.values()), "、".join(made.books) or "无"
    out().print(f"已恢复 {rows:,} 行、{made.members:,} 个文件；账册 {years}，审计链完整（{made.entries:,} 条）")
