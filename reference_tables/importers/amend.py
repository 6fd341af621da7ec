"""Dated amendments: members that a published table lacks and its printed text has."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from importlib import resources

import polars as pl

from reference_tables.codes import fold
from reference_tables.manifest import Amendment
from reference_tables.problems import Problem
from reference_tables.table_checks import Tables
from reference_tables.table_files import LINE


def apply_amendments(tables: Tables, file: str) -> tuple[Tables, tuple[Amendment, ...], list[Problem]]:
    """Add the members that `amendments/<file>` lists and the tables do not have yet.

    Returns the tables, a record of what was really added, and TB88 for each table that is not there.
    """
    folder = resources.files("reference_tables.importers") / "amendments"
    data = tomllib.loads((folder / file).read_text(encoding="utf-8"))
    frames = dict(tables.frames)
    applied: list[Amendment] = []
    problems: list[Problem] = []
    for entry in data["amendments"]:
        name, into = entry["table"], entry["into"]
        frame = frames[name]
        owner = frame.columns[0]
        members = frame.filter(pl.col(owner) == into)
        if members.height == 0:
            args = {"into": into, "codes": "、".join(entry["codes"])}
            problems.append(Problem("TB88", args, file=tables.places[name], value=into))
            continue
        known = set(members.select(fold(pl.col("code"))).to_series().to_list())
        codes = [code for code in entry["codes"] if fold(code) not in known]
        if codes:
            rows = {owner: [into] * len(codes), "code": codes}
            added = pl.DataFrame(rows).with_columns(pl.lit(0, dtype=pl.UInt32).alias(LINE))
            frames[name] = pl.concat([frame, added])
            record = data["record"]
            what = record["what"].format(into=into, codes="、".join(codes))
            applied.append(Amendment(what, record["why"], tuple(codes), record["source"], record["date"]))
    return replace(tables, frames=frames), tuple(applied), problems
