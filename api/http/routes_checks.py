"""What is written before it is used: policies checked and begun from a template, schemes verified, shown, compared."""

from __future__ import annotations

import tomllib
from enum import StrEnum
from pathlib import Path as FilePath
from tempfile import TemporaryDirectory
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from api.http.answers import Answer
from api.http.bodies import take_upload
from api.http.deps import Allowed, ServiceHere
from api.http.errors import Refused, not_found
from api.http.views import commands_of
from api.service.aside import looking
from api.service.audit import Actor
from api.service.basis import basis_of
from api.service.context import Service
from api.service.document_checks import largest
from api.service.office_work import unfit
from api.service.roles import Role
from api.service.scheme_files import opened_pack, zip_pack
from api.service.told import MOST_TOLD, told
from api.service.values import plain
from reference_tables.dip_diff import diff_dip_packs
from reference_tables.dip_show import show_dip_code
from reference_tables.pack_diff import diff_packs
from reference_tables.pack_show import check_pack, show_code
from reference_tables.pack_writer import write_pack
from reference_tables.packs import DipPack, DrgPack, Pack, built_in_packs, find_pack
from reference_tables.policy import parse_policy
from reference_tables.policy_template import TEMPLATE_METHODS, policy_template
from reference_tables.problems import Problem

router = APIRouter(prefix="/v1", tags=["reference"])
_Reads = Annotated[Actor, Depends(Allowed("查阅", *Role))]
_Checks = Annotated[Actor, Depends(Allowed("校验政策", Role.POLICY, Role.OFFICE, Role.ADMIN))]
_Scheme = Annotated[
    str, Path(max_length=120, description="内置分组方案；current 为正在使用的", examples=["chs-drg-1.1"])
]
_MOST_BYTES = 4 << 20
_CURRENT = "current"


class Method(StrEnum):
    """Methods of payment that there is a template for."""

    DRG_RATE, DRG_POINT, DIP = TEMPLATE_METHODS


class Checked(Answer):
    """政策校验的结果：能运行哪些命令、还缺哪些参数。"""

    id: str
    name: str
    method: str
    sha256: str
    commands: dict[str, Any] = Field(
        examples=[{"pay": {"can_run": True, "missing": [], "partial": [], "on_demand": []}}]
    )
    problems: list[dict[str, Any]]


class SchemeChecked(Answer):
    """分组方案校验的结果。"""

    id: str
    usable: bool
    problems: list[dict[str, Any]]


@router.post(
    "/policies/check", summary="校验一个政策文件",
    openapi_extra={"requestBody": {"required": True, "content": {
        "application/toml": {"schema": {"type": "string", "format": "binary"}},
    }}},
)  # fmt: skip
async def check_policy(request: Request, service: ServiceHere, _who: _Checks) -> Checked:
    """TOML；不可用时一次指出全部问题（422）。什么也不保存。"""
    with looking(service) as aside:
        upload = await take_upload(request, aside, _MOST_BYTES)
        data = aside.files.path(upload.stored.sha256).read_bytes()

    def work() -> Checked:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise Refused(Problem("SV09", {"reason": "不是 UTF-8 编码"})) from None
        if _names_folder(text):
            raise Refused(unfit("weights", "只能写内置编号，不能写文件"))
        found = parse_policy(text, "policy.toml")
        return Checked(
            id=found.id, name=found.name, method=found.method, sha256=found.sha256, commands=commands_of(found),
            problems=[told(problem) for problem in found.problems],
        )  # fmt: skip

    return await run_in_threadpool(work)


@router.get(
    "/policy-templates/{method}", summary="空白的政策模板", response_class=Response,
    responses={200: {"content": {"application/toml": {"schema": {"type": "string"}}}}},
)  # fmt: skip
def template(_who: _Reads, method: Method) -> Response:
    """每个参数的含义、写法、单位、范围和何时必填（TOML）。"""
    return Response(policy_template(method.value), media_type="application/toml")


@router.post("/schemes/check", summary="只校验一个分组方案的文件，不放入")
async def check_scheme_file(request: Request, service: ServiceHere, _who: _Checks) -> SchemeChecked:
    """官方工作簿（.xlsx），或方案文件夹的 zip：一次报出全部问题，能用的也一样。什么也不保存。"""
    with looking(service) as aside, TemporaryDirectory(dir=service.work) as folder:
        upload = await take_upload(request, aside, largest("scheme"))
        place = FilePath(folder) / "scheme.zip"
        place.hardlink_to(aside.files.path(upload.stored.sha256))

        def work() -> SchemeChecked:
            found, problems = check_pack(opened_pack(place, service.settings.max_unpacked_bytes))
            name = "" if found is None else found.id
            return SchemeChecked(
                id=name, usable=found is not None, problems=[told(problem) for problem in problems[:MOST_TOLD]]
            )

        return await run_in_threadpool(work)


@router.get("/schemes/{name}/check", summary="校验一个分组方案")
def check_scheme(service: ServiceHere, _who: _Reads, name: _Scheme) -> SchemeChecked:
    """文件、校验和、规则、集合、编码，一次报出全部问题。"""
    if name == _CURRENT:
        pack = _pack(service, name)
        return SchemeChecked(id=pack.id, usable=True, problems=[told(problem) for problem in pack.problems])
    if name not in built_in_packs():
        raise not_found("分组方案", name)
    found, problems = check_pack(name)
    return SchemeChecked(id=name, usable=found is not None, problems=[told(problem) for problem in problems])


@router.get(
    "/schemes/{name}/pack", summary="下载一个分组方案的文件夹（zip）", response_class=Response,
    responses={200: {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}},
)  # fmt: skip
def scheme_pack(service: ServiceHere, _who: _Reads, name: _Scheme) -> Response:
    """官方工作簿作为文件（scheme）放入后，由此得到转换成的 CSV 文件夹；zip 可再放入。"""
    pack = _pack(service, name)
    with TemporaryDirectory(dir=service.work) as folder:
        place = FilePath(folder) / "pack"
        write_pack(pack, place)
        zip_pack(place, FilePath(folder) / "pack.zip")
        data = (FilePath(folder) / "pack.zip").read_bytes()
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(pack.id)}.zip"}
    return Response(data, media_type="application/zip", headers=headers)


@router.get("/schemes/{name}/codes/{code}", summary="查看分组方案中的一个编码")
def scheme_code(
    service: ServiceHere, _who: _Reads, name: _Scheme,
    code: Annotated[str, Path(max_length=60, description="组、诊断、手术操作、集合的编码", examples=["GZ13"])],
) -> list[dict[str, Any]]:  # fmt: skip
    """组的规则、上下级、权重或分值，编码所在的组和集合。"""
    pack = _pack(service, name)
    views = show_dip_code(pack, code) if isinstance(pack, DipPack) else show_code(pack, code)
    if not views:
        raise not_found("编码", code)
    found: list[dict[str, Any]] = plain(views)
    return found


@router.get("/schemes/{name}/diff/{other}", summary="比较两个分组方案")
def scheme_diff(service: ServiceHere, _who: _Reads, name: _Scheme, other: _Scheme) -> dict[str, Any]:
    """由前一个到后一个：影响分组的差异与只改文字的差异。DRG 与 DIP 不能相比。"""
    before, after = _pack(service, name), _pack(service, other)
    found: dict[str, Any]
    if isinstance(before, DrgPack) and isinstance(after, DrgPack):
        drg = diff_packs(before, after)
        found = plain({"changes_grouping": drg.changes_grouping, **vars(drg)})
    elif isinstance(before, DipPack) and isinstance(after, DipPack):
        dip = diff_dip_packs(before, after)
        changes = {"changes_grouping": dip.changes_grouping, "changes_scores": dip.changes_scores}
        found = plain({**changes, **vars(dip)})
    else:
        dip_name, drg_name = (name, other) if isinstance(before, DipPack) else (other, name)
        raise Refused(Problem("DP19", {"dip": dip_name, "drg": drg_name}))
    return found


def _names_folder(text: str) -> bool:
    """Does a policy name a weight file elsewhere? It must not even be looked for."""
    try:
        weights = str(tomllib.loads(text).get("weights", ""))
    except tomllib.TOMLDecodeError:  # told with all other faults
        return False
    return any(sign in weights for sign in "/\\")


def _pack(service: Service, name: str) -> Pack:
    """A built-in scheme, or the one in force; a name is never taken for a path. Raises TablesRefused."""
    if name == _CURRENT:
        with service.database.read() as connection:
            return basis_of(service, connection).scheme.pack
    if name not in built_in_packs():
        raise not_found("分组方案", name)
    return find_pack(name)
