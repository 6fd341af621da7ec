"""Finding and loading grouping schemes: built-in packs by id, folders of CSV, official workbooks."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path

from reference_tables.dip_build import build_dip_pack
from reference_tables.dip_pack import DipPack, Pack, dip_schema
from reference_tables.drg_pack import DrgPack, TableKind, pack_schema
from reference_tables.importers.dip_workbook import is_dip_workbook, read_dip_workbook
from reference_tables.importers.drg_workbook import read_workbook
from reference_tables.manifest import DIP, MANIFEST, FileEntry, Manifest, read_manifest, verify_files
from reference_tables.pack_build import PackIdentity, build_pack
from reference_tables.problems import Problem, TablesRefused
from reference_tables.table_checks import Tables
from reference_tables.table_files import TableText, read_table

__all__ = ["DipPack", "DrgPack", "Pack", "built_in_packs", "find_drg_pack", "find_pack", "read_pack"]


def read_pack(path: Path) -> Pack:
    """Load a pack folder and check all of it.

    The folder holds a DIP pack when its manifest says so or, without a manifest, when it has a table of core
    groups, or none of the tables that only a DRG pack has and some that only a DIP pack has. With a manifest the
    files must match it byte for byte; without one the pack is unverified (TB50). Raises TablesRefused with every
    problem found, warnings included, when the pack cannot be used.
    """
    path = Path(path)
    if not path.is_dir():
        raise TablesRefused(str(path), [_not_found(str(path))])
    manifest, problems = read_manifest(path)
    if manifest is None and not problems:
        problems = [Problem("TB50", file=MANIFEST)]
    dip = _looks_dip(path) if manifest is None else manifest.scheme == DIP
    kinds = dip_schema().tables if dip else pack_schema().tables
    read: dict[str, TableText] = {}
    for name, kind in kinds.items():
        if kind.required or (path / kind.file).exists():
            read[name] = read_table(path / kind.file, kind.columns)
    for table in read.values():
        problems += table.problems
    problems += _stray(path, kinds)
    if manifest is not None:
        problems += _verify(manifest, read, kinds)
    frames = {name: table.frame for name, table in read.items() if table.frame is not None}
    identity = _identity(path, manifest)
    if dip:
        return build_dip_pack(frames, identity, manifest, problems)
    tables = Tables(frames, {name: kind.file for name, kind in kinds.items()})
    return build_pack(tables, identity, manifest, problems)


def _looks_dip(path: Path) -> bool:
    of_drg, of_dip = ({kind.file for kind in schema().tables.values()} for schema in (pack_schema, dip_schema))
    there = {entry.name for entry in path.iterdir()}
    return "core.csv" in there or (not there & (of_drg - of_dip) and bool(there & (of_dip - of_drg)))


def _verify(manifest: Manifest, read: Mapping[str, TableText], kinds: Mapping[str, TableKind]) -> list[Problem]:
    found = {kinds[name].file: FileEntry(table.sha256, table.records) for name, table in read.items() if table.sha256}
    columns = {kind.file: ",".join(kind.columns) for kind in kinds.values()}
    reported = {kinds[name].file for name, table in read.items() if not table.sha256}
    foreign = [name for name in manifest.files if name not in columns]
    problems = [
        Problem("TB16", {"key": f"files.{name}", "reason": "不是方案的表"}, file=MANIFEST, value=name)
        for name in foreign
    ]
    return problems + [
        problem
        for problem in verify_files(manifest.files, found, columns)
        if not (problem.code == "TB02" and problem.file in {*reported, *foreign})
    ]


def _stray(path: Path, kinds: Mapping[str, TableKind]) -> list[Problem]:
    files = [kind.file for kind in kinds.values()]
    known = "、".join(files)
    names = sorted(entry.name for entry in path.iterdir() if entry.suffix.lower() == ".csv")
    return [Problem("TB61", {"name": name, "known": known}, file=name) for name in names if name not in files]


def _identity(path: Path, manifest: Manifest | None) -> PackIdentity:
    if manifest is None:
        return PackIdentity(path.resolve().name, "", path.resolve().name, None)
    return PackIdentity(manifest.id, manifest.version, manifest.name, manifest.newborn_weight)


@cache
def built_in_packs() -> Mapping[str, Path]:
    """The packs that come with the program: id -> folder, sorted by id."""
    folder = Path(str(resources.files("reference_tables") / "packs"))
    return {entry.name: entry for entry in sorted(folder.iterdir()) if (entry / MANIFEST).exists()}


@cache
def _built_in(name: str) -> Pack:
    return read_pack(built_in_packs()[name])


def find_pack(name_or_path: str | Path) -> Pack:
    """A pack by the id of a built-in one, by folder, or by official workbook (.xlsx): DIP by its sheets, else DRG.

    Raises TablesRefused: TB01 when there is no such pack, otherwise whatever the pack itself shows.
    """
    text = str(name_or_path)
    if isinstance(name_or_path, str) and text in built_in_packs():
        return _built_in(text)
    path = Path(name_or_path)
    if os.path.isdir(path):  # says no, too, to what is too long for a name
        return read_pack(path)
    if os.path.isfile(path):
        return read_dip_workbook(path) if is_dip_workbook(path) else read_workbook(path)
    raise TablesRefused(text, [_not_found(text)])


def find_drg_pack(name_or_path: str | Path) -> DrgPack:
    """A DRG pack as `find_pack` finds it, where nothing else will do. Raises TablesRefused; DP01 for a DIP pack."""
    pack = find_pack(name_or_path)
    if isinstance(pack, DipPack):
        raise TablesRefused(pack.name or pack.id, [Problem("DP01", {"name": str(name_or_path)})])
    return pack


def _not_found(name: str) -> Problem:
    return Problem("TB01", {"name": name, "known": "、".join(built_in_packs())}, value=name)
