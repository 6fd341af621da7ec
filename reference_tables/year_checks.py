"""What must hold between the rows of a year file: names that occur once, names that exist, amounts that fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from reference_tables.problems import Problem
from reference_tables.year_schema import year_schema


class Row(Protocol):
    """A row with its line in the file."""

    @property
    def line(self) -> int: ...

    def __getitem__(self, name: str) -> Any: ...


Tables = Mapping[str, Sequence[Row]]


Spoiled = Mapping[str, Sequence[Mapping[str, Any]]]
"""Rows by table as the file has them that have a fault of their own: what they name is there all the same."""


def check_rows(tables: Tables, spoiled: Spoiled, file: str) -> list[Problem]:
    """Problems CL07-CL10, CL12 and CL13 of sound rows, in no particular order."""
    problems = [
        *_repeated(tables), *_unknown(tables, spoiled), *_funds(tables), *_quotas(tables), *_leads(tables, spoiled)
    ]  # fmt: skip
    return [Problem(item.code, item.args, file, item.row, "", item.field, item.value) for item in problems]


def _repeated(tables: Tables) -> Iterator[Problem]:
    for name, table in year_schema().tables.items():
        first: dict[tuple[str, ...], int] = {}
        for row in tables[name] if table.one_per else ():
            key = tuple(str(row[part]) for part in table.one_per)
            if key in first:
                args: dict[str, str | int] = {"label": table.label, "key": " ".join(key), "first": first[key]}
                yield Problem("CL07", args, row=row.line, field=name)
            else:
                first[key] = row.line


def _named(tables: Tables, spoiled: Spoiled, table: str, column: str) -> set[str]:
    """What a table has in a column, in sound rows and in others."""
    named = [row[column] for row in tables[table]] + [row.get(column) for row in spoiled[table]]
    return {name for name in named if isinstance(name, str)}


def _unknown(tables: Tables, spoiled: Spoiled) -> Iterator[Problem]:
    for name, table in year_schema().tables.items():
        for field, spec in table.fields.items():
            other, column = spec.refers
            known = _named(tables, spoiled, other, column) if other else set()
            for row in tables[name] if known or other in {"fund", "county_group"} else ():
                if row[field] is not None and row[field] not in known:
                    args: dict[str, str | int] = {
                        "label": spec.parameter.label, "value": row[field], "table": year_schema().tables[other].label,
                        "known": "、".join(sorted(known)[:8]) or "无",
                    }  # fmt: skip
                    yield Problem("CL08", args, row=row.line, field=f"{name}.{field}", value=row[field])


def _funds(tables: Tables) -> Iterator[Problem]:
    for row in tables["fund"]:
        if (row["income"] is None) == (row["inpatient_budget"] is None):
            yield Problem("CL09", {"insurance": row["insurance"]}, row=row.line, field="fund.income")


def _quotas(tables: Tables) -> Iterator[Problem]:
    kinds: dict[str, str] = {}
    for row in tables["quota"]:
        given = [name for name in ("amount", "part") if row[name] is not None]
        kind = given[0] if len(given) == 1 else ""
        if not kind or kinds.setdefault(row["insurance"], kind) != kind:
            args: dict[str, str | int] = {"hospital": row["hospital"], "insurance": row["insurance"]}
            yield Problem("CL10", args, row=row.line, field="quota.amount")


def _leads(tables: Tables, spoiled: Spoiled) -> Iterator[Problem]:
    for group in tables["county_group"]:
        members = {row["hospital"] for row in tables["member"] if row["county_group"] == group["id"]}
        if group["lead"] not in members and group["lead"] not in _named({"member": ()}, spoiled, "member", "hospital"):
            args: dict[str, str | int] = {"group": group["id"], "lead": group["lead"]}
            yield Problem("CL12", args, row=group.line, field="county_group.lead", value=group["lead"])
        if group["id"] not in _named(tables, spoiled, "heads", "county_group"):
            yield Problem("CL13", {"group": group["id"]}, row=group.line, field="heads")
