"""Year files edited row by row: assessment scores, violations, adjustments. Every edit is a new version of the document
with its reason; comments of a hand-written file stay in the version before."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import sqlalchemy as sa

from api.core.resolved_reform import literal
from api.service.absent import absent
from api.service.audit import Actor
from api.service.basis import basis_of
from api.service.context import Service
from api.service.documents import DocumentInfo, Stand, laid_out, put_document, standing
from api.service.known import known_hospitals
from api.service.office_work import DECISIONS, YEAR_FILE, opened_year_file, there, unfit, year_file_name
from api.service.submissions import NotTaken
from api.service.year_told import figures_told
from reference_tables.policy_values import FloatText
from reference_tables.problems import Problem, TablesRefused
from reference_tables.year_file import YearFile
from reference_tables.year_schema import year_schema

MEDIA = "application/toml"
Tables = dict[str, Any]


def year_tables(service: Service, stand: Stand, year: int) -> tuple[DocumentInfo, Tables]:
    """A year's document and what it holds, numbers as they were written. Raises NotTaken (SV03), TablesRefused."""
    found = there(stand, YEAR_FILE, year_file_name(year))
    _checked(service, stand, found.name, service.files.path(found.sha256).read_bytes())
    text = service.files.path(found.sha256).read_text(encoding="utf-8-sig")
    return found, tomllib.loads(text, parse_float=FloatText)


def plain(tables: Tables) -> Tables:
    """The same as plain values: decimals as text."""
    return {
        key: [{name: _plain(cell) for name, cell in row.items()} for row in value]
        if isinstance(value, list) else _plain(value)
        for key, value in tables.items()
    }  # fmt: skip


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int) else str(value)


def replace_rows(
    service: Service, connection: sa.Connection, actor: Actor, year: int, table: str,
    rows: Sequence[Mapping[str, Any]], version: int, reason: str,
) -> DocumentInfo:  # fmt: skip
    """A new version with other rows in one table; `version`: the one that was looked at.

    Raises NotTaken (SV03, SV04, SV74 when there is a later version), TablesRefused with every fault of the result.
    """
    found, tables = year_tables(service, standing(connection), year)
    if table not in year_schema().tables:
        raise NotTaken(absent("年度文件的表", table, f"可用：{'、'.join(year_schema().tables)}"))
    _same(found, version)
    return _put(service, connection, actor, found, {**tables, table: [dict(row) for row in rows]}, reason)


def set_scores(
    service: Service, connection: sa.Connection, actor: Actor, year: int, scores: Mapping[str, str], reason: str
) -> DocumentInfo:
    """Assessment scores of some hospitals; those that the file does not list yet are added. Raises as replace_rows,
    SV47 for every hospital that nothing is known of."""
    stand = standing(connection)
    found, tables = year_tables(service, stand, year)
    listed = [str(row["id"]) for row in tables.get("hospital", [])]
    known = known_hospitals(service, connection, stand, year, listed)
    strange = [Problem("SV47", {"value": name}, field="scores", value=name) for name in sorted({*scores} - known)]
    if strange and known:
        raise TablesRefused(found.name, strange)
    rows = [dict(row) for row in tables.get("hospital", [])]
    of = {row["id"]: row for row in rows}
    for hospital, score in sorted(scores.items()):
        if hospital not in of:
            of[hospital] = {"id": hospital}
            rows.append(of[hospital])
        of[hospital]["score"] = score
    return _put(service, connection, actor, found, {**tables, "hospital": rows}, reason)


def add_violation(
    service: Service, connection: sa.Connection, actor: Actor, year: int, row: Mapping[str, str], reason: str
) -> DocumentInfo:
    """A violation that was found: hospital, insurance, amount (yuan), reason. Raises as replace_rows."""
    found, tables = year_tables(service, standing(connection), year)
    rows = [*tables.get("violation", []), dict(row)]
    return _put(service, connection, actor, found, {**tables, "violation": rows}, reason)


def drop_violation(
    service: Service, connection: sa.Connection, actor: Actor, year: int, at: int, version: int, reason: str
) -> DocumentInfo:
    """The violation at a place (from 0) taken back. Raises as replace_rows."""
    found, tables = year_tables(service, standing(connection), year)
    _same(found, version)
    rows = list(tables.get("violation", []))
    if at >= len(rows):
        raise NotTaken(absent("违规扣款，序号", str(at), f"现有 {len(rows)} 条，序号从 0 起，见 GET /v1/years/{year}"))
    del rows[at]
    return _put(service, connection, actor, found, {**tables, "violation": rows}, reason)


def _same(found: DocumentInfo, version: int) -> None:
    if found.version != version:
        args: dict[str, str | int] = {"value": found.name, "now": found.version, "given": version}
        raise NotTaken(Problem("SV74", args, file=found.name, field="version", value=str(version)))


def _put(
    service: Service, connection: sa.Connection, actor: Actor, found: DocumentInfo, tables: Tables, reason: str
) -> DocumentInfo:
    if not reason.strip():
        raise NotTaken(unfit("reason", "须写明修改的理由"))
    data = _text(tables).encode()
    stand = standing(connection)
    opened = _checked(service, stand, found.name, data)
    figures_told(basis_of(service, connection, stand), opened)
    return put_document(connection, actor, YEAR_FILE, found.name, service.files.put(data), MEDIA, reason)


def _checked(service: Service, stand: Stand, name: str, data: bytes) -> YearFile:
    """Read the file as the jobs will. Raises TablesRefused."""
    with TemporaryDirectory(dir=service.work) as folder:
        for item in stand.all(DECISIONS):
            laid_out(service.files, item, Path(folder))
        path = Path(folder) / name
        path.write_bytes(data)
        return opened_year_file(path)


def _text(tables: Tables) -> str:
    """The file as TOML: its head, then a block for each row of each table."""
    schema = year_schema()
    head = [f"{key} = {literal(_plain(tables[key]))}" for key in schema.head if key in tables]
    lines = [*head]
    for table in schema.tables:
        for row in tables.get(table, []):
            lines += ["", f"[[{table}]]", *(f"{key} = {literal(_plain(value))}" for key, value in row.items())]
    return "\n".join(lines) + "\n"
