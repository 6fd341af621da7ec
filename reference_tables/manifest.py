"""The manifest of a pack: what it is, since when it applies, where it comes from, and what its files must be.

`manifest.toml` stands beside the tables. A folder whose bytes differ from its manifest is refused; a folder
without one loads as unverified.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal

from reference_tables.problems import Problem
from reference_tables.toml_faults import toml_fault

MANIFEST = "manifest.toml"
DIP = "DIP"
NEWBORN_WEIGHTS = ("birth", "admission")
DATA_LEVELS = ("official", "reference", "local", "synthetic")
NewbornWeight = Literal["birth", "admission"]
DataLevel = Literal["official", "reference", "local", "synthetic"]


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file of the pack: `sha256` of its bytes (hex) and its data `rows` (header not counted)."""

    sha256: str
    rows: int


@dataclass(frozen=True, slots=True)
class Source:
    """A document the content comes from. `date` as published, to the precision known ("2021-05")."""

    title: str
    publisher: str
    number: str = ""
    date: str = ""
    carrier: str = ""
    licence: str = ""


@dataclass(frozen=True, slots=True)
class Amendment:
    """A departure from the source: what was changed, why, which codes, on whose word, dated as that word."""

    what: str
    why: str
    codes: tuple[str, ...]
    source: str
    date: str = ""


@dataclass(frozen=True, slots=True)
class Workbook:
    """The official workbook a pack was read from: file name (no folder), edition, sha256 of the file, data
    rows per sheet as found, exact duplicates dropped, fall-back rows (all zeros) left out."""

    file: str
    edition: str
    sha256: str
    duplicates: int
    fallback_rows: int
    rows: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Manifest:
    """Identity, validity and provenance of a pack.

    `scheme` is DIP for a DIP pack, anything else (CHS-DRG) for a DRG pack. `data_level`: official as published,
    reference from an implementation that is not official, local as a region computed it, synthetic made up.
    `effective_from` is the first day it applies (None = not known), `effective_until` the first day it no
    longer does (None = open). `newborn_weight` says which weight XSRTZ means: at birth or at admission.
    `statement` tells users how far the content can be trusted.
    """

    id: str
    scheme: str
    version: str
    name: str
    region: str
    effective_from: date | None
    effective_until: date | None
    newborn_weight: NewbornWeight
    data_level: DataLevel
    statement: str
    files: Mapping[str, FileEntry]
    sources: tuple[Source, ...]
    amendments: tuple[Amendment, ...] = ()
    open_questions: tuple[str, ...] = ()
    workbook: Workbook | None = None


class _Fields:
    """Reads one TOML table key by key, noting what is missing, of the wrong type, or left over."""

    def __init__(self, data: Mapping[str, Any], prefix: str, text: str, problems: list[Problem]) -> None:
        self.data = dict(data)
        self.prefix = prefix
        self.text = text
        self.problems = problems

    def complain(self, key: str, reason: str) -> None:
        match = re.search(rf"^\s*\[*\s*\"?{re.escape(key)}\b", self.text, re.MULTILINE)
        row = self.text.count("\n", 0, match.start()) + 1 if match else 0
        args = {"key": self.prefix + key, "reason": reason}
        self.problems.append(Problem("TB16", args, file=MANIFEST, row=row, field=self.prefix + key))

    def take(self, key: str, kind: type, default: Any = None, *, required: bool = True) -> Any:
        if key not in self.data:
            if required:
                self.complain(key, "缺少此项")
            return default if kind is date or not required else kind()
        value = self.data.pop(key)
        wrong_bool = isinstance(value, bool) and kind is not bool
        if not isinstance(value, kind) or wrong_bool or (kind is date and isinstance(value, datetime)):
            self.complain(key, f"应为 {kind.__name__}，实际是 {value!r}")
            return default if kind is date else kind()
        if isinstance(value, str) and required and not value.strip():
            self.complain(key, "不能为空")
        return value

    def choice(self, key: str, allowed: tuple[str, ...]) -> str:
        value = str(self.take(key, str))
        if value and value not in allowed:
            self.complain(key, f"“{value}”不可用，可用值：{'、'.join(allowed)}")
        return value

    def texts(self, key: str, *, required: bool) -> tuple[str, ...]:
        values = self.take(key, list, [], required=required)
        if not all(isinstance(value, str) for value in values):
            self.complain(key, "应为字符串列表")
            return ()
        return tuple(values)

    def tables(self, key: str, *, required: bool) -> list[_Fields]:
        values = self.take(key, list, [], required=required)
        if not all(isinstance(value, dict) for value in values):
            self.complain(key, f"应写成 [[{key}]]")
            return []
        return [_Fields(value, f"{key}[{at + 1}].", self.text, self.problems) for at, value in enumerate(values)]

    def finish(self) -> None:
        for key in self.data:
            self.complain(key, "不认识的项")


def read_manifest(folder: Path) -> tuple[Manifest | None, list[Problem]]:
    """The manifest of a pack folder; (None, []) when there is none, (None, problems TB16) when it is
    unusable."""
    path = folder / MANIFEST
    if not path.exists():
        return None, []
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        return None, [Problem("TB16", {"key": "格式", "reason": "不是 UTF-8 编码"}, file=MANIFEST)]
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        reason, row = toml_fault(error, text)
        return None, [Problem("TB16", {"key": "格式", "reason": reason}, file=MANIFEST, row=row)]
    problems: list[Problem] = []
    manifest = _manifest(_Fields(data, "", text, problems))
    return (None if problems else manifest), problems


def _manifest(fields: _Fields) -> Manifest:
    start = fields.take("effective_from", date, required=False)
    until = fields.take("effective_until", date, required=False)
    if start and until and until <= start:
        fields.complain("effective_until", f"应晚于 {start}")
    workbook = fields.take("workbook", dict, None, required=False)
    manifest = Manifest(
        id=fields.take("id", str),
        scheme=fields.take("scheme", str),
        version=fields.take("version", str),
        name=fields.take("name", str),
        region=fields.take("region", str),
        effective_from=start,
        effective_until=until,
        newborn_weight=fields.choice("newborn_weight", NEWBORN_WEIGHTS),  # type: ignore[arg-type]
        data_level=fields.choice("data_level", DATA_LEVELS),  # type: ignore[arg-type]
        statement=fields.take("statement", str),
        files=_files(fields),
        sources=tuple(_source(item) for item in fields.tables("sources", required=True)),
        amendments=tuple(_amendment(item) for item in fields.tables("amendments", required=False)),
        open_questions=fields.texts("open_questions", required=False),
        workbook=_workbook(_Fields(workbook, "workbook.", fields.text, fields.problems)) if workbook else None,
    )
    fields.finish()
    return manifest


def _files(fields: _Fields) -> dict[str, FileEntry]:
    entries: dict[str, FileEntry] = {}
    for name, body in fields.take("files", dict).items():
        if not isinstance(body, dict):
            fields.complain(name, '应写成 [files."文件名"]')
            continue
        item = _Fields(body, f"files.{name}.", fields.text, fields.problems)
        digest = item.take("sha256", str)
        if digest and re.fullmatch(r"[0-9a-f]{64}", digest) is None:
            item.complain("sha256", "应为 64 位十六进制")
        entries[name] = FileEntry(digest, item.take("rows", int))
        item.finish()
    return entries


def _source(item: _Fields) -> Source:
    source = Source(
        title=item.take("title", str),
        publisher=item.take("publisher", str),
        **{key: item.take(key, str, "", required=False) for key in ("number", "date", "carrier", "licence")},
    )
    item.finish()
    return source


def _amendment(item: _Fields) -> Amendment:
    amendment = Amendment(
        what=item.take("what", str),
        why=item.take("why", str),
        codes=item.texts("codes", required=True),
        source=item.take("source", str),
        date=item.take("date", str, "", required=False),
    )
    item.finish()
    return amendment


def _workbook(item: _Fields) -> Workbook:
    rows = item.take("rows", dict)
    workbook = Workbook(
        file=item.take("file", str),
        edition=item.take("edition", str),
        sha256=item.take("sha256", str),
        duplicates=item.take("duplicates", int),
        fallback_rows=item.take("fallback_rows", int),
        rows={str(name): int(count) for name, count in rows.items()},
    )
    item.finish()
    return workbook


def verify_files(
    declared: Mapping[str, FileEntry], found: Mapping[str, FileEntry], columns: Mapping[str, str]
) -> list[Problem]:
    """Compare files with what a manifest declares of them.

    `found`: file name -> sha256 and rows as they are; `columns`: file name -> its columns, for the message.
    Returns TB02 (listed, not there), TB17 (checksum), TB18 (rows), TB19 (there, not listed).
    """
    problems: list[Problem] = []
    for name, entry in declared.items():
        actual = found.get(name)
        if actual is None:
            problems.append(Problem("TB02", {"name": name, "columns": columns.get(name, "")}, file=name))
            continue
        if actual.sha256 != entry.sha256:
            args = {"name": name, "declared": entry.sha256[:12], "actual": actual.sha256[:12]}
            problems.append(Problem("TB17", args, file=name, value=actual.sha256))
        if actual.rows != entry.rows:
            counts: dict[str, str | int] = {"name": name, "declared": entry.rows, "actual": actual.rows}
            problems.append(Problem("TB18", counts, file=name, value=str(actual.rows)))
    unlisted = [name for name in found if name not in declared]
    problems += [Problem("TB19", {"name": name}, file=name) for name in unlisted]
    return problems
