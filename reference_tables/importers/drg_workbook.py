"""The official CHS-DRG configuration workbook (.xlsx) -> DrgPack, without conversion by hand.

Source of the layout: 《按病组（DRG）付费3.0版分组方案配置信息》, first edition and update. Names of sheets and
headers, published counts and labels are data (`drg_workbook.toml`); corrections against the printed scheme
are dated amendments (`amendments/*.toml`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import polars as pl

from reference_tables import manifest as manifests
from reference_tables.drg_pack import GROUP_TABLES, DrgPack
from reference_tables.importers.amend import apply_amendments
from reference_tables.importers.drg_sheets import Content, layout, read_content
from reference_tables.importers.sheets import open_workbook, workbook_identity
from reference_tables.manifest import Amendment, Manifest, Source
from reference_tables.pack_build import build_pack
from reference_tables.pack_writer import file_entries, pack_files
from reference_tables.problems import Problem
from reference_tables.table_checks import Tables


def read_workbook(path: Path) -> DrgPack:
    """Read the official workbook.

    Columns are found by header text, sheets by name; both editions are read. Exact duplicates and the
    all-zero fall-back rows are left out and counted, rows without a name get a label, amendments are applied
    when the group counts are those of the published scheme. The manifest records file name, edition, sha256,
    counts and amendments; it says `official` only for the published counts. Raises TablesRefused: TB80-TB85
    and whatever refuses any pack; TB86-TB89 travel as warnings.
    """
    path = Path(path)
    workbook = open_workbook(path)
    content = read_content(workbook)
    recognised = all(content.rows.get(name) == layout()["published"]["rows"][name] for name in GROUP_TABLES)
    tables, amendments, problems = _amended(content) if recognised else (content.tables, (), content.problems)
    about = layout()["published"] if recognised else layout()["other"]
    digest = sha256(path.read_bytes()).hexdigest()
    identity = workbook_identity(path, digest, layout(), recognised=recognised)
    pack = build_pack(tables, identity, None, problems)
    record = manifests.Workbook(
        file=path.name,
        edition=_edition(pack, digest) if recognised else "未识别",
        sha256=digest,
        duplicates=content.duplicates,
        fallback_rows=content.fallback_rows,
        rows={content.sheets[name]: count for name, count in content.rows.items()},
    )
    return replace(pack, manifest=_manifest(pack, about, record, amendments))


def _amended(content: Content) -> tuple[Tables, tuple[Amendment, ...], tuple[Problem, ...]]:
    tables, amendments, problems = apply_amendments(content.tables, layout()["published"]["amendments"])
    return tables, amendments, (*content.problems, *problems)


def _edition(pack: DrgPack, digest: str) -> str:
    for edition in layout()["published"]["editions"]:
        first = edition["first_order"]
        orders = pack.adrg.filter(pl.col("mdc") == first["mdc"]).get_column("order")
        known = edition["sha256_starts"]
        if (known and digest.startswith(known)) or orders.min() == first["order"]:
            return str(edition["label"])
    return "未识别"


def _manifest(
    pack: DrgPack, about: Mapping[str, Any], record: manifests.Workbook, amendments: tuple[Amendment, ...]
) -> Manifest:
    listed = about.get("sources") or [{"title": record.file, "publisher": about["publisher"]}]
    return Manifest(
        id=pack.id,
        scheme="CHS-DRG",
        version=pack.version,
        name=pack.name,
        region=about["region"],
        effective_from=about.get("effective_from"),
        effective_until=None,
        newborn_weight=pack.newborn_weight,
        data_level="official" if "id" in about else "reference",
        statement=about["statement"],
        files=file_entries(pack_files(pack), pack),
        sources=tuple(Source(**entry) for entry in listed),
        amendments=amendments,
        workbook=record,
    )
