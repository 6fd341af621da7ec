"""What the office works by: policies, weights, year files, registers and lists, each change a new version.

A job works by the documents as they stood when it was asked for: it names their versions in its arguments, and its run
names them with their checksums. A document that is taken away gets a last version that says so: whatever is asked for
later finds none of that name, what was made with its versions still does.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from api.core.file_names import file_name
from api.service.audit import Actor, record
from api.service.values import now
from api.store.files import FileStore, Stored
from api.store.tables import document

KINDS = {
    "policy": "支付政策", "weights": "权重（分值）表", "year_file": "年度文件",
    "hospitals": "医疗机构名册", "separate": "单列支付", "decisions": "特例单议评议结果", "prepaid": "年内已付",
    "reform": "改革文件", "cases": "病例文件", "spend": "各年支出清单",
    "scheme": "分组方案",
    "policy_aside": "备用政策", "weights_aside": "备用权重表",
}  # fmt: skip
"""What a document may be, with its Chinese name."""
KIND_NOTES = {
    "policy": "最后放入的为现行", "weights": "最后放入的为现行", "cases": "历史、测算", "spend": "申请预付金的机构的",
    "scheme": "官方工作簿，或方案文件夹的 zip", "policy_aside": "年内较早的、模拟切换的，不作现行",
    "weights_aside": "模拟切换的，不作现行",
}  # fmt: skip
"""More of a kind, where its name does not say enough."""
IN_FORCE = ("policy", "weights", "hospitals", "separate", "scheme")
"""Kinds of which the one that was put last decides groups and payments, whatever its name."""
ASIDE = {"policy": "policy_aside", "weights": "weights_aside"}
"""Kinds that are found by name alone, besides those in force."""
_LAST = frozenset({*IN_FORCE, "decisions"})


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

    @property
    def place(self) -> dict[str, str | int]:
        """Which version it is, with its checksum."""
        return {"kind": self.kind, "name": self.name, "version": self.version, "sha256": self.sha256}

    @property
    def removed(self) -> bool:
        """Does the version say that the document was taken away? Its checksum is that of the version before."""
        return not self.media_type


@dataclass(frozen=True)
class Stand:
    """Documents as they stood at one moment: the latest version of each, in the order in which they were put."""

    items: tuple[DocumentInfo, ...] = ()

    def latest(self, kind: str, name: str | None = None) -> DocumentInfo | None:
        """A document; without a name, the one of its kind that was put last."""
        found = [item for item in self.items if item.kind == kind and name in (None, item.name)]
        return found[-1] if found else None

    def named(self, kind: str, name: str) -> DocumentInfo | None:
        """A policy or table of weights by its name, one kept aside before one that is or was in force."""
        return self.latest(ASIDE[kind], name) or self.latest(kind, name)

    def all(self, kind: str) -> list[DocumentInfo]:
        """All documents of a kind."""
        return [item for item in self.items if item.kind == kind]

    def with_(self, new: DocumentInfo) -> Stand:
        """As it would be with another version of one document."""
        kept = tuple(item for item in self.items if (item.kind, item.name) != (new.kind, new.name))
        return Stand((*kept, new))

    def without(self, kind: str, name: str) -> Stand:
        """As it would be with one document taken away."""
        return Stand(tuple(item for item in self.items if (item.kind, item.name) != (kind, name)))

    def used(
        self, chosen: Mapping[str, Collection[str] | None], deciding: Collection[DocumentInfo] | None = None
    ) -> list[list[str | int]]:  # fmt: skip
        """What a job's arguments name: kind, name, version of those in force (or the `deciding` ones instead) and of
        those chosen, by kind; None: all of the kind."""
        in_force = (item for kind in IN_FORCE if (item := self.latest(kind)) is not None)
        found = list(in_force if deciding is None else deciding)
        for kind, names in chosen.items():
            found += [item for item in self.all(kind) if (names is None or item.name in names) and item not in found]
        return [[item.kind, item.name, item.version] for item in found]


def put_document(
    connection: sa.Connection, actor: Actor, kind: str, name: str, stored: Stored, media_type: str, reason: str
) -> DocumentInfo:
    """A new version; the latest one itself when it has the same content and is still the one in force."""
    last = _last(connection, kind, name)
    if last is not None and last.sha256 == stored.sha256 and not last.removed:
        in_force = last if kind not in _LAST else latest(connection, kind)
        if in_force == last:
            return last
    return _added(connection, actor, kind, name, last, stored.sha256, media_type, reason)


def remove_document(connection: sa.Connection, actor: Actor, found: DocumentInfo, reason: str) -> DocumentInfo:
    """The last version of a document, which says that it was taken away; `found` is its version before."""
    return _added(connection, actor, found.kind, found.name, found, found.sha256, "", reason)


def _added(
    connection: sa.Connection, actor: Actor, kind: str, name: str, last: DocumentInfo | None, sha256: str,
    media_type: str, reason: str,
) -> DocumentInfo:  # fmt: skip
    made = DocumentInfo(
        kind, name, 1 if last is None else last.version + 1, sha256, media_type, now(), actor.id, reason
    )  # fmt: skip
    connection.execute(document.insert().values({key: getattr(made, key) for key in DocumentInfo.__dataclass_fields__}))
    details = {"version": made.version, "sha256": sha256, "reason": reason}
    record(connection, actor, "document.remove" if made.removed else "document.put", f"{kind}/{name}", details)
    return made


def _last(connection: sa.Connection, kind: str, name: str) -> DocumentInfo | None:
    """The last version, be it that the document was taken away."""
    query = sa.select(document).where(document.c.kind == kind, document.c.name == name)
    row = connection.execute(query.order_by(document.c.version.desc())).first()
    return None if row is None else DocumentInfo(*row)


def latest(connection: sa.Connection, kind: str, name: str | None = None) -> DocumentInfo | None:
    """The latest version of a document; without a name, the one of its kind that was put last. None where it was taken
    away."""
    if name is not None:
        found = _last(connection, kind, name)
        return None if found is None or found.removed else found
    query = sa.select(document).where(document.c.kind == kind)
    seen = set[str]()
    for row in connection.execute(query.order_by(document.c.created_at.desc(), document.c.version.desc())):
        item = DocumentInfo(*row)
        if item.name not in seen and not item.removed:
            return item
        seen.add(item.name)
    return None


def list_documents(connection: sa.Connection, kind: str | None = None) -> list[DocumentInfo]:
    """All versions, by kind, name and version; also those that say that a document was taken away."""
    query = sa.select(document).order_by(document.c.kind, document.c.name, document.c.version)
    return [
        DocumentInfo(*row)
        for row in connection.execute(query if kind is None else query.where(document.c.kind == kind))
    ]


def standing(connection: sa.Connection) -> Stand:
    """Documents as they stand now."""
    return Stand(tuple(sorted(standing_documents(connection), key=lambda item: (item.created_at, item.name))))


def standing_documents(connection: sa.Connection, kind: str | None = None) -> list[DocumentInfo]:
    """The latest version of every document that there is, by kind and name."""
    found = {(item.kind, item.name): item for item in list_documents(connection, kind)}
    return [item for item in found.values() if not item.removed]


def stand_of(connection: sa.Connection, used: Sequence[Sequence[Any]]) -> Stand:
    """Documents as a job's arguments name them."""
    wanted = {tuple(item) for item in used}
    kinds = {item[0] for item in wanted}
    rows = connection.execute(sa.select(document).where(document.c.kind.in_(kinds)))
    found = [item for row in rows for item in [DocumentInfo(*row)] if (item.kind, item.name, item.version) in wanted]
    return Stand(tuple(sorted(found, key=lambda item: (item.created_at, item.name))))


def laid_out(files: FileStore, found: DocumentInfo, folder: Path, name: str = "") -> Path:
    """A document as a file in a folder, under its own name or another, for a core that reads files."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (name or file_name(found.name))
    path.write_bytes(files.path(found.sha256).read_bytes())
    return path
