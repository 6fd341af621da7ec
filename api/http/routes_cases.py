"""One case, or up to some thousands, grouped and priced at once: for hospitals' own systems."""

from __future__ import annotations

import io
from enum import StrEnum
from typing import Annotated, Any

import orjson
import polars as pl
from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from api.http.bodies import allow_bytes
from api.http.deps import Allowed, ServiceHere
from api.http.errors import Refused, media_refused
from api.http.plain_route import PlainRoute
from api.http.strict import JSON, media_of, read_json
from api.service.arrow_streams import TooManyRows, stated_bytes
from api.service.audit import Actor
from api.service.basis import Basis, RecentBasis, basis_of
from api.service.binary_tables import frame_is_large, parquet_problem
from api.service.cases import BadCases, case_frame, checked_frame, compared, explained, grouped_many, grouped_one
from api.service.roles import Role
from reference_tables.problems import Problem

router = APIRouter(prefix="/v1/group", tags=["cases"])
_Asks = Annotated[Actor, Depends(Allowed("分组", Role.HOSPITAL, Role.OFFICE, Role.ADMIN))]
_PARQUET, _ARROW = "application/vnd.apache.parquet", "application/vnd.apache.arrow.stream"
_LINES = "application/x-ndjson"
_TAKEN = (JSON, _LINES, _PARQUET, _ARROW)
_EXAMPLE = {
    "sex": 1, "age_years": 63, "los_days": 9, "discharge_way": "1", "diagnoses": ["I63.900", "E11.900"],
    "procedures": [], "total_cost_fen": 1285000, "fund_pay_fen": 880000, "self_pay_fen": 350000, "own_pay_fen": 55000,
    "hospital_level": "3", "insurance_type": "310", "discharge_time": "2026-03-05T10:00:00",
}  # fmt: skip
_BODY = {"requestBody": {"required": True, "content": {"application/json": {
    "schema": {"type": "object"}, "example": _EXAMPLE,
}}}}  # fmt: skip
_MANY = {"requestBody": {"required": True, "content": {
    "application/json": {"schema": {"type": "object"}, "examples": {
        "rows": {"summary": "逐例", "value": {"cases": [_EXAMPLE]}},
        "columns": {"summary": "按列", "value": {"columns": {"sex": [1], "diagnoses": [["I63.900"]]}}},
    }},
    "application/x-ndjson": {"schema": {"type": "string"}},
    "application/vnd.apache.parquet": {"schema": {"type": "string", "format": "binary"}},
    "application/vnd.apache.arrow.stream": {"schema": {"type": "string", "format": "binary"}},
}}}  # fmt: skip
_MOST_UNPACKED = 1 << 28


class Shape(StrEnum):
    """How results of many cases come back."""

    ROWS = "rows"
    COLUMNS = "columns"
    PARQUET = "parquet"
    ARROW = "arrow"


async def group(
    request: Request,
    who: _Asks,
    trace: Annotated[bool, Query(description="逐条规则说明依据")] = False,
    whatif: Annotated[bool, Query(description="换主要诊断、去掉编码会怎样")] = False,
    pay: Annotated[bool, Query(description="预计支付（元）；须有费用、险种、医疗机构级别、出院时间")] = False,
) -> Response:
    """字段为标准列名，见 /v1/columns；年龄为岁、天，体重为克，金额为分。"""
    if media_of(request) != JSON:
        raise media_refused(request, JSON)
    case = read_json(await request.body())
    if not isinstance(case, dict):
        raise Refused(Problem("SV09", {"reason": "应为一个病例的 JSON 对象；多个病例用 POST /v1/group/batch"}))
    recent: RecentBasis = request.app.state.basis
    basis = recent.known()
    if basis is None:
        basis = await run_in_threadpool(recent.looked_up)
    try:
        answer = grouped_one(case, basis, who.hospital_id)
        if trace or whatif or pay:
            answer |= await run_in_threadpool(_more, case, basis, who.hospital_id, trace=trace, whatif=whatif, pay=pay)
    except BadCases as error:
        raise Refused(*error.problems) from None
    return Response(orjson.dumps(answer, default=str), media_type="application/json")


router.add_api_route(
    "",
    group,
    methods=["POST"],
    summary="一个病例的分组、依据和预计支付",
    openapi_extra=_BODY,
    route_class_override=PlainRoute,
)


@router.post(
    "/batch", summary="一批病例的分组和预计支付", openapi_extra=_MANY,
    responses={200: {"description": "按 shape 的形式，与病例逐行对应", "content": {
        "application/json": {"example": {"rows": [{"case_id": "1", "status": "GROUPED", "drg": "BR19"}]}},
        _PARQUET: {}, _ARROW: {},
    }}},
)  # fmt: skip
async def group_batch(
    request: Request,
    service: ServiceHere,
    who: _Asks,
    pay: Annotated[bool, Query(description="预计支付（元）")] = False,
    shape: Annotated[Shape, Query(description="结果的形式")] = Shape.ROWS,
) -> Response:
    """JSON（逐例或按列）、NDJSON、Parquet、Arrow IPC；逐行对应，一例不少。"""
    media = media_of(request)
    if media not in _TAKEN:
        raise media_refused(request, *_TAKEN)
    allow_bytes(request, service.settings.max_batch_bytes)
    body = await request.body()

    def work() -> Response:
        try:
            frame = _read(media, body, service.settings.max_cases)
            return _written(grouped_many(frame, _basis(service), pay=pay, hospital=who.hospital_id), shape)
        except BadCases as error:
            raise Refused(*error.problems) from None

    return await run_in_threadpool(work)


def _more(case: dict[str, Any], basis: Basis, hospital: str, *, trace: bool, whatif: bool, pay: bool) -> dict[str, Any]:
    frame = case_frame([case])
    found: dict[str, Any] = {}
    if trace:
        found["trace"] = explained(frame, basis)
    if whatif:
        found["whatif"] = compared(frame, basis)
    if pay:
        wanted = grouped_many(frame, basis, pay=True, hospital=hospital)
        at = wanted.columns.index("tier")
        found["payment"] = wanted[:, at:].row(0, named=True)
    return found


def _basis(service: ServiceHere) -> Basis:
    with service.database.read() as connection:
        return basis_of(service, connection)


def _read(media: str, body: bytes, most: int) -> pl.DataFrame:
    """The cases of a body as a canonical frame."""
    if media in {_PARQUET, _ARROW}:
        try:
            frame = _table(media, body, most)
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError):
            raise Refused(Problem("SV09", {"reason": "不是 Parquet 或 Arrow IPC"})) from None
        _count(frame.height, most)
        return checked_frame(frame)
    cases: Any
    if media == _LINES:
        lines = enumerate(body.splitlines(), 1)
        cases = [read_json(text, line) for line, text in lines if text.strip()]
    else:
        given = read_json(body)
        cases = given.get("cases") if isinstance(given, dict) else given
        if isinstance(given, dict) and cases is None:
            cases = _rows(given.get("columns"))
    if not isinstance(cases, list):
        raise Refused(Problem("SV04", {"field": "cases", "reason": "应为列表"}, field="cases"))
    _count(len(cases), most)
    return case_frame(cases)


def _table(media: str, body: bytes, most: int) -> pl.DataFrame:
    """A binary table; not even unpacked when it has too many rows, or says that its parts are larger than any body."""
    if media == _PARQUET:
        _count(int(pl.scan_parquet(io.BytesIO(body)).select(pl.len()).collect().item()), most)
        problem = parquet_problem(body, _MOST_UNPACKED)
        if problem is not None:
            raise _too_large() if problem.code == "SV34" else Refused(problem)
        return pl.read_parquet(io.BytesIO(body))
    try:
        if stated_bytes(body) > _MOST_UNPACKED:
            raise _too_large()
    except TooManyRows as error:
        _count(error.rows, most)
        raise
    frame = pl.read_ipc_stream(io.BytesIO(body))
    if frame_is_large(frame, _MOST_UNPACKED):
        raise _too_large()
    return frame


def _too_large() -> Refused:
    return Refused(Problem("SV05", {"limit": _MOST_UNPACKED}))


def _rows(columns: Any) -> list[dict[str, Any]] | None:
    """Columns of one length as rows."""
    if not isinstance(columns, dict) or not columns or not all(isinstance(value, list) for value in columns.values()):
        return None
    if len({len(value) for value in columns.values()}) != 1:
        return None
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _count(given: int, most: int) -> None:
    if given > most:
        raise Refused(Problem("SV07", {"limit": most, "given": given}))
    if not given:
        raise Refused(Problem("SV09", {"reason": "没有病例"}))


def _written(frame: pl.DataFrame, shape: Shape) -> Response:
    if shape in {Shape.PARQUET, Shape.ARROW}:
        buffer = io.BytesIO()
        if shape is Shape.PARQUET:
            frame.write_parquet(buffer)
        else:
            frame.write_ipc_stream(buffer)
        return Response(buffer.getvalue(), media_type=_PARQUET if shape is Shape.PARQUET else _ARROW)
    decimals = [name for name, dtype in frame.schema.items() if isinstance(dtype, pl.Decimal)]
    plain = frame.with_columns(pl.col(decimals).cast(pl.String))
    rows = plain.to_dicts() if shape is Shape.ROWS else plain.to_dict(as_series=False)
    return Response(orjson.dumps({shape.value: rows}), media_type="application/json")
