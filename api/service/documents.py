"""What the office works by: policies, weights, year files, registers and lists, each change a new version."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from api.service.audit import Actor, record
from api.service.values import now
from api.store.files import FileStore, Stored
from api.store.tables import document

KINDS = {
    "policy": "支付政策", "weights": "权重（分值）表", "year_file": "年度文件", "hospitals": "医疗机构名册",
    "separate": "单列支付", "decisions": "特例单议评议结果", "prepaid": "年内已付", "reform": "改革文件",
    "withdrawals": "撤回名单", "cases": "病例文件（历史、测算）", "spend": "申请预付金的机构各年支出",
    "scheme": "分组方案（官方工作簿，或方案文件夹的 zip）",
}  # fmt: skip
"""What a document may be, with its Chinese name; its content is checked by whoever uses it."""


@dataclass(frozen=True, slots=True)
class DocumentInfo:
    """One version of a document."""

    kind: str
    name: str
    version: int
    sha256: str
    media_type: str
    created_at: str
    created_by: str
    reason: str


def put_document(
    connection: sa.Connection, actor: Actor, kind: str, name: str, stored: Stored, media_type: str, reason: str
) -> DocumentInfo:
    """A new version; the latest one itself when it has the same content."""
    last = latest(connection, kind, name)
    if last is not None and last.sha256 == stored.sha256:
        return last
    made = DocumentInfo(
        kind, name, 1 if last is None else last.version + 1, stored.sha256, media_type, now(), actor.id, reason
    )
    connection.execute(document.insert().values({key: getattr(made, key) for key in DocumentInfo.__dataclass_fields__}))
    details = {"version": made.version, "sha256": made.sha256, "reason": reason}
    record(connection, actor, "document.put", f"{kind}/{name}", details)
    return made


def latest(connection: sa.Connection, kind: str, name: str | None = None) -> DocumentInfo | None:
    """The latest version of a document; without a name, the one of its kind that was put last."""
    query = sa.select(document).where(document.c.kind == kind)
    query = query.order_by(document.c.version.desc()) if name else query.order_by(document.c.created_at.desc())
    row = connection.execute(query.where(document.c.name == name) if name else query).first()
    return None if row is None else DocumentInfo(*row)


def list_documents(connection: sa.Connection, kind: str | None = None) -> list[DocumentInfo]:
    """All versions, by kind, name and version."""
    query = sa.select(document).order_by(document.c.kind, document.c.name, document.c.version)
    return [
        DocumentInfo(*row)
        for row in connection.execute(query if kind is None else query.where(document.c.kind == kind))
    ]


def laid_out(files: FileStore, found: DocumentInfo, folder: Path, name: str = "") -> Path:
    """A document as a file in a folder, under its own name or another, for a core that reads files."""
    path = folder / (name or found.name)
    path.write_bytes(files.path(found.sha256).read_bytes())
    return path
