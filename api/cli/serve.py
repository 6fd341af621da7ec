"""`drgdip serve`, `worker`, `token` and `audit`: the service, its workers, who may use it, and what was done."""

from __future__ import annotations

import errno
import logging
import signal
import socket
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from api.cli.console import Exit, err, fail, out, print_json, print_problems
from api.cli.group import JsonOption
from api.service.roles import Role
from reference_tables.problems import TablesRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import sqlalchemy as sa

    from api.http.metrics import Metrics
    from api.http.rates import Rates
    from api.service.context import Service
    from api.service.settings import Settings

# What a service is made of is imported where it is used: the other commands need not wait for it.
DataOption = Annotated[
    Path | None, typer.Option("--data", help="数据文件夹；默认 DRGDIP_DATA 或 drgdip-data", metavar="DIR")
]
tokens = typer.Typer(no_args_is_help=True, help="访问令牌：生成、列出、撤销。")
audits = typer.Typer(no_args_is_help=True, help="审计链：校验。")
_BACKLOG = 2048
_LAST_ANSWERS = 10
"""Seconds that requests under way have to end once the service is being stopped."""


def settings_here(**given: Any) -> Settings:
    """The settings, options first; or a message for each that will not do and exit code 4."""
    from api.service.settings import settings_of

    try:
        return settings_of(**{name: value for name, value in given.items() if value is not None})
    except TablesRefused as error:
        print_problems(error.problems)
        fail("设置不能用", Exit.ENVIRONMENT)


def opened(settings: Settings, *, new: bool = False) -> Service:
    """The service of the settings, which may be a `new` one or has to be there; or a message and exit code 4."""
    from api.service.context import open_service
    from api.store.database import Unavailable

    try:
        with asking_database(settings):
            return open_service(settings, new=new)
    except TablesRefused as error:
        print_problems(error.problems)
        fail("服务不可用", Exit.ENVIRONMENT)
    except (OSError, Unavailable) as error:
        what = f"不能打开数据文件夹或数据库（{error}）"
        fail(f"{what}；文件夹须可写；数据库文件损坏的，从备份恢复到新的文件夹（drgdip restore）", Exit.ENVIRONMENT)


@contextmanager
def asking_database(settings: Settings) -> Iterator[None]:
    """Leaves with code 4 where the database of the settings' URL cannot be used, and names it without its password."""
    from sqlalchemy.exc import ArgumentError

    from api.store.database import Unavailable, place_of

    try:
        yield
    except (ArgumentError, ModuleNotFoundError):  # what they say may hold the password
        fail("DRGDIP_DATABASE_URL 写法不对：postgresql+psycopg://用户:密码@主机/库", Exit.ENVIRONMENT)
    except Unavailable as error:
        if not settings.database_url:
            raise
        what = f"不能使用数据库 {place_of(settings.url)}（{error}）"
        fail(f"{what}；检查它是否在运行，DRGDIP_DATABASE_URL 的主机、库、用户和密码是否正确", Exit.ENVIRONMENT)


def _listening(host: str, port: int) -> socket.socket:
    """A socket that listens on the address; leaves with code 4 where nothing can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # TCP by name: on a socket without it, asyncio does not set TCP_NODELAY.
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
        made.listen(_BACKLOG)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        why = "端口已被占用：停下占用它的程序，或用 --port 换一个" if taken else f"检查 --host、--port（{error}）"
        fail(f"不能在 {host}:{port} 上提供服务，{why}", Exit.ENVIRONMENT)
    return made


def serve(
    data: DataOption = None,
    host: Annotated[str | None, typer.Option("--host", help="监听地址；默认 127.0.0.1")] = None,
    port: Annotated[int | None, typer.Option("--port", help="端口；默认 8471", min=0, max=65535)] = None,
    processes: Annotated[
        int | None, typer.Option("--processes", help="服务进程数；共用端口、限额和一组任务线程", min=1, max=256)
    ] = None,
    workers: Annotated[int | None, typer.Option("--workers", help="处理任务的线程数", min=0)] = None,
    policy: Annotated[str | None, typer.Option("--policy", help="支付政策", metavar="NAME|FILE.toml")] = None,
    open_access: Annotated[
        bool | None, typer.Option("--open-access", help="本机试用：不要令牌，只在 127.0.0.1 上")
    ] = None,
) -> None:
    """启动服务：医疗机构上传，经办机构结算和清算；内置 SQLite，或用 DRGDIP_DATABASE_URL 指向 PostgreSQL。"""
    from api.http.metrics import Metrics
    from api.http.rates import Rates
    from api.service.context import check_address, open_service
    from api.service.logs import log_as_json
    from api.service.processes import Keeper

    log_as_json()
    settings = settings_here(
        data=data, host=host, port=port, processes=processes, workers=workers, policy=policy, open_access=open_access
    )
    service = _opened_to_pay(settings)
    try:
        check_address(service)
    except TablesRefused as error:
        print_problems(error.problems)
        fail("没有令牌，不对外提供服务", Exit.USAGE)
    listening = _listening(settings.host, settings.port)
    place = f"http://{settings.host}:{listening.getsockname()[1]}"
    if err().is_terminal:
        err().print(f"drgdip 服务  {place}  数据 {escape(str(settings.data))}  说明见 /docs")
    else:  # every line of a log is JSON
        fields = {"address": place, "data": str(settings.data)}
        logging.getLogger("drgdip.serve").info("listening", extra={"fields": fields})
    if settings.processes == 1:
        _serve(service, listening)
        return
    service.close()  # each process opens it for itself
    rates, metrics = Rates(settings.requests_per_minute, settings.processes), Metrics(settings.processes)
    bare = settings.model_copy(update={"workers": 0})

    def serves(process: int) -> Callable[[], None]:
        return lambda: _serve(open_service(bare), listening, rates, metrics.of(process))

    works = {f"server {process + 1}": serves(process) for process in range(settings.processes)}
    if settings.workers:
        works["worker"] = lambda: _work(open_service(settings), settings.workers)
    Keeper(works).run()


def _serve(
    service: Service, listening: socket.socket, rates: Rates | None = None, metrics: Metrics | None = None
) -> None:
    """Answer requests until a signal to end comes."""
    import uvicorn

    from api.http.app import create_app
    from api.http.protocol import serving
    from api.service.handlers import handlers_of
    from api.service.logs import keep_others_out

    keep_others_out()
    app = create_app(service, handlers_of(service), rates=rates, metrics=metrics)
    server = uvicorn.Server(uvicorn.Config(app, timeout_graceful_shutdown=_LAST_ANSWERS, **serving(service.settings)))

    def end(*_: object) -> None:  # before uvicorn listens to signals; and after, when it raises them once more
        server.should_exit = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    server.run(sockets=[listening])
    service.close()


def worker(data: DataOption = None) -> None:
    """另起一个处理任务的进程；可在多台机器上各起几个（用 PostgreSQL 和共享的数据文件夹）。"""
    from api.service.logs import log_as_json

    log_as_json()
    _work(_opened_to_pay(settings_here(data=data)), 1)


def _opened_to_pay(settings: Settings) -> Service:
    """The service of the settings, or a new one; or a message and exit code 3 where the policy or the scheme that they
    name cannot be used: then none is made."""
    from api.service.basis import check_settings
    from api.service.documents import Stand, standing

    try:
        if not (settings.data / "files").is_dir():
            check_settings(Stand(), settings)
        service = opened(settings, new=True)
        with service.database.read() as connection:
            stand = standing(connection)
        check_settings(stand, settings)
        return service
    except TablesRefused as error:
        print_problems(error.problems)
        fail(f"设置所指的支付政策或分组方案不能用：{error.what}", Exit.TABLES)


@contextmanager
def _writing(service: Service) -> Iterator[sa.Connection]:
    """A transaction that writes; a message and exit code 3 over an audit that does not fit, 4 where nothing can be
    written."""
    from api.service.audit import EndLost
    from api.store.database import Unavailable

    try:
        with service.database.write() as connection:
            yield connection
    except EndLost as error:
        print_problems([error.problem])
        fail("审计链不符，什么也没有写入", Exit.TABLES)
    except Unavailable as error:
        fail(f"数据库不能写入（{error}）", Exit.ENVIRONMENT)


def _work(service: Service, count: int) -> None:
    """Work on jobs, in so many threads, until a signal to end comes."""
    from api.service.handlers import handlers_of
    from api.service.logs import keep_others_out
    from api.service.worker import Worker

    keep_others_out()
    working = [Worker(service.queue, handlers_of(service)) for _ in range(count)]

    def end(*_: object) -> None:
        for each in working:
            each.stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    threads = [threading.Thread(target=each.run, name=f"worker-{at}") for at, each in enumerate(working)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    service.close()


@tokens.command("create")
def create(
    role: Annotated[Role, typer.Option("--role", help="hospital 医疗机构、office 经办、policy 政策、admin 管理")],
    hospital: Annotated[str, typer.Option("--hospital", help="医疗机构编号，只用于 hospital")] = "",
    label: Annotated[str, typer.Option("--label", help="备注，如使用人或系统")] = "",
    days: Annotated[int, typer.Option("--days", help="有效天数", min=1, max=3650)] = 365,
    data: DataOption = None,
) -> None:
    """生成令牌。令牌只显示这一次，库中只存其散列。"""
    from api.service.audit import COMMAND
    from api.service.hospitals import ID_ZH
    from api.service.tokens import NoHospital, check_holder, create_token

    settings = settings_here(data=data)
    try:
        check_holder(role, hospital, days)  # before a new service is made for it
    except NoHospital:
        fail(f"医疗机构编号 {hospital!r} 不能用，{ID_ZH}", Exit.USAGE)
    except ValueError:
        fail("hospital 令牌须用 --hospital 指明医疗机构，其他令牌不能指明", Exit.USAGE)
    new = not (settings.data / "files").is_dir()
    with _writing(opened(settings, new=True)) as connection:
        text = create_token(connection, COMMAND, role, hospital_id=hospital, label=label, days=days)
    typer.echo(text)
    if new:
        err().print(f"{escape(str(settings.data))} 里原来没有服务，已新建")


@tokens.command("list")
def show(data: DataOption = None, json: JsonOption = False) -> None:
    """列出令牌（不含令牌本身）。"""
    from api.service.tokens import list_tokens

    service = opened(settings_here(data=data))
    with service.database.read() as connection:
        found = list_tokens(connection)
    names = ("id", "role", "hospital_id", "label", "created_at", "expires_at", "revoked_at")
    if json:
        print_json([{name: getattr(item, name) for name in names} for item in found])
        return
    table = Table("编号", "角色", "医疗机构", "备注", "生成", "到期", "撤销", box=None)
    for item in found:
        table.add_row(*(escape(str(getattr(item, name) or "")) for name in names))
    out().print(table)


@tokens.command("revoke")
def revoke(name: Annotated[str, typer.Argument(metavar="ID")], data: DataOption = None) -> None:
    """撤销令牌，一秒内生效。"""
    from api.service.audit import COMMAND
    from api.service.tokens import NoSuchToken, revoke_token

    service = opened(settings_here(data=data))
    try:
        with _writing(service) as connection:
            revoke_token(connection, COMMAND, name)
    except NoSuchToken:
        fail(f"没有编号为 {name} 的令牌", Exit.USAGE)


@audits.command("verify")
def check(data: DataOption = None, json: JsonOption = False) -> None:
    """从头校验审计链；有一处不符即退出码 1。"""
    from api.service.audit import BROKEN_ZH, verify

    service = opened(settings_here(data=data))
    with service.database.read() as connection:
        found = verify(connection)
    if json:
        print_json({"entries": found.entries, "broken": found.broken, "why": found.why})
    elif found.broken is None:
        out().print(f"审计链完整，共 {found.entries:,} 条")
    else:
        out().print(f"[red]审计链在第 {found.broken} 条不符：{BROKEN_ZH[found.why]}[/]")
    if found.broken is not None:
        raise typer.Exit(Exit.PROBLEMS)
