"""The official DIP workbook (.xlsx) -> DipPack, without conversion by hand.

Source of the layout: 《按病种分值（DIP）付费3.0版分组方案》. Names of sheets and headers, published counts, remarks and
labels are data (`dip_workbook.toml`). Mixed groups are not in the workbook: they are derived from the code book, or
come from a companion file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import polars as pl

from reference_tables import manifest as manifests
from reference_tables.dip_build import build_dip_pack
from reference_tables.dip_pack import DipPack
from reference_tables.importers.dip_groups import PLACE, group_tables
from reference_tables.importers.dip_mixed import derived_mixed, read_mixed
from reference_tables.importers.dip_sheets import SheetRows, is_dip_workbook, layout, read_sheets
from reference_tables.importers.sheets import workbook_identity
from reference_tables.manifest import DIP, Manifest, Source
from reference_tables.pack_writer import file_entries, pack_files
from reference_tables.problems import Problem
from reference_tables.table_files import LINE

__all__ = ["is_dip_workbook", "read_dip_workbook"]

_ONCE = ("excluded_dx", "excluded_px")


def read_dip_workbook(path: Path, mixed: Path | None = None) -> DipPack:
    """Read the official workbook; `mixed`: a companion dictionary of mixed groups (.xlsx or .csv) to take instead of
    the derived one.

    The manifest records file name, edition, sha256, rows of each sheet and repeated rows left out; it says
    `official` only when every sheet has its published number of rows. Raises TablesRefused: TB80, TB82, TB83, TB25,
    DW01 to DW14 and whatever refuses any pack; TB86, TB87, DW08, DW10, DW11 travel as warnings.
    """
    path = Path(path)
    sheets = read_sheets(path)
    problems = list(sheets.problems)
    tables = group_tables(sheets, problems)
    duplicates = {name: _without_repeats(tables, name, problems) for name in _ONCE}
    counts = {table: len(rows) for table, rows in sheets.rows.items()}
    problems += _counts(sheets, counts, duplicates)
    if mixed is None:
        tables["mixed"] = derived_mixed()
    else:
        mixed = Path(mixed)
        tables["mixed"], told = read_mixed(mixed)
        tables["mixed"] = tables["mixed"].with_columns(pl.lit(mixed.name).alias(PLACE))
        problems += told
    recognised = all(_is_published(table, count, duplicates) for table, count in counts.items())
    about = layout()["published"] if recognised else layout()["other"]
    digest = sha256(path.read_bytes()).hexdigest()
    identity = workbook_identity(path, digest, layout(), recognised=recognised)
    pack = build_dip_pack(tables, identity, None, problems)
    record = manifests.Workbook(
        file=path.name,
        edition=_edition(digest) if recognised else _UNKNOWN_EDITION,
        sha256=digest,
        duplicates=sum(duplicates.values()),
        fallback_rows=0,
        rows={sheets.names[table]: count for table, count in counts.items()},
    )
    return replace(pack, manifest=_manifest(pack, about, record, mixed))


_UNKNOWN_EDITION = "未识别"


def _without_repeats(tables: dict[str, pl.DataFrame], name: str, problems: list[Problem]) -> int:
    """Keep the first row of each code of an exclusion list; how many rows that drops. Another remark on a repeated
    code is told (DW11), the repeated rows as a whole too (TB87)."""
    spelt = pl.col("code").str.to_uppercase()
    frame = tables[name].with_columns(pl.col(LINE).first().over(spelt).alias("first"))
    repeated = frame.filter((pl.col("code") != "") & ~spelt.is_first_distinct())
    if name == "excluded_px":
        kept = frame.select(pl.col(LINE).alias("first"), pl.concat_str("rule", "principal_dx").alias("kept"))
        differing = repeated.join(kept, on="first", how="left", maintain_order="left").filter(
            pl.concat_str("rule", "principal_dx") != pl.col("kept")
        )
        problems += [
            Problem("DW11", {"line": line, "value": code, "first": first}, file=place, row=line, value=code)
            for code, line, place, first in differing.select("code", LINE, PLACE, "first").iter_rows()
        ]
    if repeated.height:
        place = repeated.item(0, PLACE)
        sheet = place.partition("［")[2].removesuffix("］")
        problems.append(Problem("TB87", {"sheet": sheet, "count": repeated.height}, file=place))
    tables[name] = frame.filter((pl.col("code") == "") | spelt.is_first_distinct()).drop("first")
    return repeated.height


def _is_published(table: str, count: int, duplicates: Mapping[str, int]) -> bool:
    """Whether a sheet has its published number of rows, with or without repeated ones."""
    return layout()["published"]["rows"][table] in {count, count - duplicates.get(table, 0)}


def _counts(sheets: SheetRows, counts: Mapping[str, int], duplicates: Mapping[str, int]) -> list[Problem]:
    expected = layout()["published"]["rows"]
    return [
        Problem(
            "TB86",
            {"sheet": sheets.names[table], "actual": count, "expected": expected[table]},
            file=sheets.places[table],
        )
        for table, count in counts.items()
        if not _is_published(table, count, duplicates)
    ]


def _edition(digest: str) -> str:
    known = layout()["published"]["editions"]
    return next((str(item["label"]) for item in known if digest.startswith(item["sha256_starts"])), _UNKNOWN_EDITION)


def _manifest(pack: DipPack, about: Mapping[str, Any], record: manifests.Workbook, mixed: Path | None) -> Manifest:
    listed = about.get("sources") or [{"title": record.file, "publisher": about["publisher"]}]
    sources = [Source(**entry) for entry in listed]
    questions = list(layout()["readings"]["open_questions"])
    if mixed is None:
        questions.append(layout()["mixed"]["open_question"])
    else:
        digest = sha256(mixed.read_bytes()).hexdigest()
        publisher = layout()["other"]["publisher"]
        sources.append(
            Source(title=layout()["mixed"]["source"], publisher=publisher, carrier=f"{mixed.name}，sha256 {digest}")
        )
    return Manifest(
        id=pack.id,
        scheme=DIP,
        version=pack.version,
        name=pack.name,
        region=about["region"],
        effective_from=about.get("effective_from"),
        effective_until=None,
        newborn_weight=pack.newborn_weight,
        data_level="official" if "id" in about else "reference",
        statement=about["statement"],
        files=file_entries(pack_files(pack), pack),
        sources=tuple(sources),
        open_questions=tuple(questions),
        workbook=record,
    )
