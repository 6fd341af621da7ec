"""Writing a pack as a folder of CSV and a manifest, the same bytes for the same pack."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import fields, replace
from datetime import date
from hashlib import sha256
from pathlib import Path

from reference_tables.dip_pack import DipPack, Pack, dip_schema
from reference_tables.drg_pack import pack_schema
from reference_tables.manifest import MANIFEST, FileEntry, Manifest
from reference_tables.table_files import table_bytes

_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def pack_files(pack: Pack) -> dict[str, bytes]:
    """The table files of a pack by name; optional tables only when they hold something."""
    files: dict[str, bytes] = {}
    schema = dip_schema() if isinstance(pack, DipPack) else pack_schema()
    for kind in schema.tables.values():
        frame = pack.table(kind.name)
        if kind.required or frame.height:
            files[kind.file] = table_bytes(frame, list(kind.columns))
    return files


def file_entries(files: dict[str, bytes], pack: Pack) -> dict[str, FileEntry]:
    """Checksum and row count of each table file, as a manifest declares them."""
    return {
        name: FileEntry(sha256(data).hexdigest(), pack.table(name.removesuffix(".csv")).height)
        for name, data in files.items()
    }


def write_pack(pack: Pack, folder: Path) -> None:
    """Write a pack to `folder` (made if absent): its tables and, when it has one, its manifest.

    Groups go in evaluation order, everything else in the pack's order. Raises FileExistsError when the folder
    already holds anything: a pack is never mixed with another one's files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise FileExistsError(str(folder))
    files = pack_files(pack)
    if pack.manifest is not None:
        manifest = replace(pack.manifest, files=file_entries(files, pack))
        files[MANIFEST] = manifest_text(manifest).encode("utf-8")
    for name, data in files.items():
        (folder / name).write_bytes(data)


def manifest_text(manifest: Manifest) -> str:
    """The manifest as TOML, keys in a fixed order, empty optional values left out."""
    lines: list[str] = []
    for name in ("id", "scheme", "version", "name", "region", "effective_from", "effective_until"):
        lines += _pair(name, getattr(manifest, name))
    for name in ("newborn_weight", "data_level", "statement", "open_questions"):
        lines += _pair(name, getattr(manifest, name))
    if manifest.workbook is not None:
        lines += ["", "[workbook]"]
        for name in ("file", "edition", "sha256", "duplicates", "fallback_rows"):
            lines += _pair(name, getattr(manifest.workbook, name))
        lines += ["", "[workbook.rows]"]
        for sheet, count in manifest.workbook.rows.items():
            lines += _pair(sheet, count)
    for file, entry in manifest.files.items():
        lines += ["", f"[files.{_key(file)}]", f"sha256 = {_value(entry.sha256)}", f"rows = {entry.rows}"]
    lines += _array_of_tables("sources", manifest.sources) + _array_of_tables("amendments", manifest.amendments)
    return "\n".join(lines) + "\n"


def _array_of_tables(name: str, items: Iterable[object]) -> list[str]:
    lines: list[str] = []
    for item in items:
        lines += ["", f"[[{name}]]"]
        for field in fields(item):  # type: ignore[arg-type]
            lines += _pair(field.name, getattr(item, field.name))
    return lines


def _pair(key: str, value: object) -> list[str]:
    return [] if value in (None, "", ()) else [f"{_key(key)} = {_value(value)}"]


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _value(key)


def _value(value: object) -> str:
    if isinstance(value, tuple):
        one_line = "[" + ", ".join(_value(item) for item in value) + "]"
        if len(one_line) < 90:
            return one_line
        return "[\n" + "".join(f"  {_value(item)},\n" for item in value) + "]"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, int):
        return str(value)
    return '"' + "".join(_escaped(character) for character in str(value)) + '"'


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    return character if character >= " " and character != "\x7f" else f"\\u{ord(character):04x}"
