"""Weights by group as a policy names them: a published table, a made-up one, or a region's own file.

A file has the columns `group` and `rw` (or `weight`: the relative weight, under DIP the score) and may have `tier`,
`coefficient` (the group's own, by tier) and `peer_average` (last year's mean cost at the same tier, yuan). A group has
one weight.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from hashlib import sha256
from importlib import resources
from pathlib import Path
from typing import Any

import polars as pl

from reference_tables.manifest import FileEntry, verify_files
from reference_tables.problems import Problem, TablesRefused
from reference_tables.table_files import LINE, read_table
from reference_tables.weights import read_weights

_E6 = 10**6
_DECIMALS = {"rw": 6, "coefficient": 6, "peer_average": 2}


@dataclass(frozen=True, eq=False)
class GroupWeights:
    """`rw_e6`: group -> weight x 10^6, in the order of the table. `coefficient_e6`: (tier, group) -> the group's own
    coefficient x 10^6; `average_fen`: (tier, group) -> mean cost in fen. Tier "" = every tier. `title` and `note` say
    where it comes from; `data_level` official, synthetic or local; `sha256` of the file.
    """

    id: str
    rw_e6: Mapping[str, int]
    coefficient_e6: Mapping[tuple[str, str], int] = field(default_factory=dict)
    average_fen: Mapping[tuple[str, str], int] = field(default_factory=dict)
    title: str = ""
    note: str = ""
    data_level: str = "local"
    sha256: str = ""

    @property
    def frame(self) -> pl.DataFrame:
        """One row per group and one more per group and tier that has values of its own; all String, null = none:
        group, tier ("" = every tier), weight, coefficient, peer_average (yuan)."""
        weights = {("", group): _text(value, 6) for group, value in self.rw_e6.items()}
        coefficients = {key: _text(value, 6) for key, value in self.coefficient_e6.items()}
        averages = {key: _text(value, 2) for key, value in self.average_fen.items()}
        keys = list(dict.fromkeys([*weights, *coefficients, *averages]))
        return pl.DataFrame(
            {
                "group": [group for _, group in keys],
                "tier": [tier for tier, _ in keys],
                "weight": [weights.get(key) for key in keys],
                "coefficient": [coefficients.get(key) for key in keys],
                "peer_average": [averages.get(key) for key in keys],
            },
            schema=dict.fromkeys(("group", "tier", "weight", "coefficient", "peer_average"), pl.String),
        )

    def weight(self, group: str) -> Fraction | None:
        """RW (DIP: score) of a group; None when the table has none."""
        found = self.rw_e6.get(group)
        return None if found is None else Fraction(found, _E6)

    def coefficient(self, group: str, tier: str) -> Fraction | None:
        """The group's own coefficient at a tier; None when the table has none."""
        found = self.coefficient_e6.get((tier, group), self.coefficient_e6.get(("", group)))
        return None if found is None else Fraction(found, _E6)

    def peer_average(self, group: str, tier: str) -> Fraction | None:
        """Mean cost of the group at the tier last year, in yuan; None when the table has none."""
        found = self.average_fen.get((tier, group), self.average_fen.get(("", group)))
        return None if found is None else Fraction(found, 100)


def _folder() -> Path:
    return Path(str(resources.files("reference_tables") / "weights"))


@cache
def _sources() -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    data: dict[str, dict[str, dict[str, Any]]] = tomllib.loads((_folder() / "sources.toml").read_text(encoding="utf-8"))
    return data


def built_in_weights() -> Sequence[str]:
    """Ids of the weight tables that come with the program."""
    sources = _sources()
    return tuple(sorted(name.removesuffix(".csv") for kind in ("files", "groups") for name in sources[kind]))


def find_group_weights(name: str) -> GroupWeights:
    """A weight table by its id, or a weight file by its path, read anew each time: the same path may hold another.

    Raises TablesRefused: PL27 not found, else every problem of the file (TB03-TB07, TB17, TB18, TB21, TB26, PL28).
    """
    if name in built_in_weights():
        return _built_in(name)
    if os.path.isfile(name):
        return read_group_weights(Path(name), Path(name).name)
    args: dict[str, str | int] = {"name": name, "known": "、".join(built_in_weights())}
    raise TablesRefused(name, [Problem("PL27", args, value=name)])


@cache
def _built_in(name: str) -> GroupWeights:
    file, sources = f"{name}.csv", _sources()
    if file in sources["files"]:
        return _published(name, sources["files"][file])
    return read_group_weights(_folder() / file, name, sources["groups"][file])


def _published(name: str, about: Mapping[str, Any]) -> GroupWeights:
    table = read_weights(_folder(), f"{name}.csv")
    own = about.get("coefficient") == "group"
    return GroupWeights(
        id=name,
        rw_e6=dict(table.frame.select("drg", "rw_e6").iter_rows()),
        coefficient_e6={
            (tier, drg): value * 100
            for tier, drg, value in table.frame.select("tier", "drg", "coefficient_e4").iter_rows()
        }
        if own
        else {},
        title=table.source.title,
        note=table.note,
        data_level="official",
        sha256=about["sha256"],
    )


def read_group_weights(path: Path, name: str, about: Mapping[str, Any] | None = None) -> GroupWeights:
    """A weight file; `about`: its entry in `sources.toml`, whose checksum it must have."""
    data = path.read_bytes()
    header = [cell.strip() for cell in data.split(b"\n", 1)[0].decode("utf-8-sig", "replace").split(",")]
    weight = "weight" if "weight" in header and "rw" not in header else "rw"
    columns = ["group", weight, *(column for column in ("tier", "coefficient", "peer_average") if column in header)]
    table = read_table(path, dict.fromkeys(columns, "code"))
    problems = [problem for problem in table.problems if problem.level.value == "error"]
    digest = sha256(data).hexdigest()
    if about is not None:
        declared = {path.name: FileEntry(about["sha256"], about["rows"])}
        problems += verify_files(declared, {path.name: FileEntry(digest, table.records)}, {})
    values: dict[str, dict[tuple[str, str], int]] = {column: {} for column in _DECIMALS}
    if table.frame is not None:
        problems += _fill(table.frame.rename({weight: "rw"}).iter_rows(named=True), path.name, values)
    if table.frame is None or problems:
        raise TablesRefused(name, problems)
    about = about or {}
    return GroupWeights(
        id=name,
        rw_e6={group: value for (_, group), value in values["rw"].items()},
        coefficient_e6=values["coefficient"],
        average_fen=values["peer_average"],
        title=about.get("title", path.name),
        note=about.get("note", ""),
        data_level=about.get("data_level", "local"),
        sha256=digest,
    )


def _fill(rows: Iterator[dict[str, Any]], file: str, values: dict[str, dict[tuple[str, str], int]]) -> list[Problem]:
    """Every row's numbers into `values`, by (tier, group); a blank cell gives none. A weight has no tier."""
    problems: list[Problem] = []
    first: dict[tuple[str, str], int] = {}
    for row in rows:
        group, tier, line = row["group"], row.get("tier", ""), row[LINE]
        if not group:
            problems.append(Problem("TB06", {"column": "group"}, file=file, row=line, field="group"))
            continue
        if (tier, group) in first:
            args: dict[str, str | int] = {"code": f"{group} {tier}".strip(), "first": first[tier, group]}
            problems.append(Problem("TB07", args, file=file, row=line, value=group))
            continue
        first[tier, group] = line
        for column, digits in _DECIMALS.items():
            text = row.get(column, "")
            if not text:
                continue
            value = _scaled(text, digits)
            if value is None:
                args = {"column": column, "value": text, "digits": digits}
                problems.append(Problem("TB26", args, file=file, row=line, field=column, value=text))
                continue
            key = ("", group) if column == "rw" else (tier, group)
            if values[column].setdefault(key, value) != value:
                problems.append(Problem("PL28", {"group": group}, file=file, row=line, field=column, value=text))
    return problems


def _scaled(text: str, digits: int) -> int | None:
    """Decimal text x 10^digits, exactly; None when it is no such number."""
    whole, _, part = text.partition(".")
    if not (whole.isascii() and whole.isdigit()) or len(part) > digits or ("." in text and not part.isdigit()):
        return None
    scale: int = 10**digits
    return int(whole) * scale + int(part.ljust(digits, "0") or "0")


def _text(value: int, digits: int) -> str:
    """A scaled integer as decimal text, exactly."""
    whole, part = divmod(value, 10**digits)
    return f"{whole}.{part:0{digits}d}"
