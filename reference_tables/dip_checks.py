"""What is wrong with the tables of a DIP pack beyond single cells: repetitions, references between tables, settings.

Errors refuse the pack, warnings travel with it.
"""

from __future__ import annotations

import polars as pl

from reference_tables.dip_pack import dip_schema
from reference_tables.dip_tables import INTEGER, PLACE, DipTables, problem, spelt
from reference_tables.problems import Problem
from reference_tables.table_files import LINE

_GROUPS = ("core", "mixed")
_EXAMPLES = 5


def check_tables(tables: DipTables) -> list[Problem]:
    """TB07, DP05 code twice, TB08, DP06, DP09 unknown layer, flag, group, TB14, TB15, TB23 settings, TB25
    no groups at all, TB51, DP18, DP41 repeated codes, DP15, TB57 same order, TB56, DP44 unused, DP45 no score."""
    problems = [problem("TB25", "core.csv", 0, name="core.csv")] if _without_groups(tables) else []
    problems += _layers(tables) + _flags(tables) + _group_codes(tables) + _excluded(tables) + _natures(tables)
    return problems + _scores(tables) + _meta(tables)


def _without_groups(tables: DipTables) -> bool:
    return all(tables.frames[name].height == 0 and name not in tables.unread for name in _GROUPS)


def _layers(tables: DipTables) -> list[Problem]:
    problems = _repeated(tables, "layer", ["code"])
    first: dict[int, str] = {}
    for place, line, code, order in tables.each("layer", "code", "order", where=pl.col("order").str.contains(INTEGER)):
        if int(order) in first:
            problems.append(
                problem("DP15", place, line, "order", order, code=code, order=order, first=first[int(order)])
            )
        first.setdefault(int(order), code)
    known = tables.frames["layer"]["code"].implode()
    unknown = (pl.col("layer") != "") & ~pl.col("layer").is_in(known)
    problems += [
        problem("TB08", place, line, "layer", layer, code=code, parent=layer, table="layer.csv")
        for place, line, code, layer in tables.each("core", "code", "layer", where=unknown)
        if "layer" not in tables.unread
    ]
    used = tables.frames["core"]["layer"].implode()
    problems += [
        problem("TB56", place, line, "code", code, code=code, child="核心病种", table="core.csv")
        for place, line, code in tables.each("layer", "code", where=~pl.col("code").is_in(used))
        if "core" not in tables.unread
    ]
    return problems + _same_numbers(tables)


def _same_numbers(tables: DipTables) -> list[Problem]:
    """Core groups of one layer with the same number: the earlier row goes first."""
    frame = tables.frames["core"].filter(pl.col("number").str.contains(INTEGER))
    frame = frame.with_columns(pl.col("code").first().over("layer", pl.col("number").cast(pl.Int32)).alias("first"))
    repeats = DipTables({"core": frame}).each("core", "code", "number", "first", where=_not_first("layer", "number"))
    return [
        problem("TB57", place, line, "number", number, code=code, first=first, order=number)
        for place, line, code, number, first in repeats
    ]


def _not_first(*columns: str) -> pl.Expr:
    numbers = [pl.col(column).cast(pl.Int32) if column == "number" else pl.col(column) for column in columns]
    return ~pl.struct(numbers).is_first_distinct()


def _repeated(tables: DipTables, name: str, key: list[str]) -> list[Problem]:
    frame = tables.frames[name].filter(pl.col("code") != "")
    frame = frame.with_columns(pl.col(LINE).first().over(key).alias("first"))
    repeats = DipTables({name: frame}).each(name, "code", "first", where=_not_first(*key))
    return [problem("TB07", place, line, "code", code, code=code, first=first) for place, line, code, first in repeats]


def _flags(tables: DipTables) -> list[Problem]:
    problems = [
        problem("DP02", place, line, "flag", flag, column="flag", value=flag, reason="条件名不能以 ! 开头")
        for place, line, flag in tables.each("flag", "flag", where=pl.col("flag").str.starts_with("!"))
    ]
    asked = pl.col("flag").str.strip_prefix("!")
    unknown = (pl.col("flag") != "") & ~asked.is_in(tables.frames["flag"]["flag"].implode())
    problems += [
        problem("DP06", place, line, "flag", flag, code=code, flag=flag.removeprefix("!"))
        for place, line, code, flag in tables.each("core", "code", "flag", where=unknown)
        if "flag" not in tables.unread
    ]
    used = tables.frames["core"].select(asked).to_series().implode()
    unused = pl.col("flag").is_first_distinct() & ~pl.col("flag").is_in(used)
    problems += [
        problem("DP44", place, line, "flag", flag, flag=flag)
        for place, line, flag in tables.each("flag", "flag", where=unused)
        if "core" not in tables.unread
    ]
    return problems


def _group_codes(tables: DipTables) -> list[Problem]:
    first: dict[str, tuple[str, str]] = {}
    problems: list[Problem] = []
    for name in _GROUPS:
        for place, line, code in tables.each(name, "code", where=pl.col("code") != ""):
            if code in first:
                where, at = first[code]
                problems.append(problem("DP05", place, line, "code", code, code=code, table=where, first=at))
            first.setdefault(code, (place, line))
    return problems


def _excluded(tables: DipTables) -> list[Problem]:
    """Repeated codes, of which the first row counts."""
    problems: list[Problem] = []
    for name, rest in (("excluded_dx", []), ("excluded_px", ["rule", "principal_dx"])):
        frame = tables.frames[name].with_columns(spelt().alias("spelt"))
        frame = frame.with_columns(
            pl.col(LINE).first().over("spelt").alias("first"),
            pl.any_horizontal(
                pl.lit(False), *(pl.col(name).first().over("spelt") != pl.col(name) for name in rest)
            ).alias("differs"),
        )
        repeats = frame.filter((pl.col("spelt") != "") & ~pl.col("spelt").is_first_distinct())
        problems += [
            problem("DP41" if differs else "TB51", place, line, "code", code, set=place, code=code, first=first)
            for place, line, code, first, differs in repeats.select(PLACE, LINE, "code", "first", "differs").iter_rows()
        ]
    return problems


def _natures(tables: DipTables) -> list[Problem]:
    frame = tables.frames["nature"].with_columns(spelt().alias("spelt"))
    frame = frame.with_columns(pl.col(LINE, "nature").first().over("spelt").name.prefix("first_"))
    repeats = frame.filter((pl.col("spelt") != "") & ~pl.col("spelt").is_first_distinct())
    columns = (PLACE, LINE, "code", "nature", "first_line", "first_nature")
    return [
        problem("TB51", place, line, "code", code, set=place, code=code, first=first)
        if nature == before
        else problem("DP18", place, line, "nature", nature, code=code, nature=nature, before=before, first=first)
        for place, line, code, nature, first, before in repeats.select(columns).iter_rows()
    ]


def _scores(tables: DipTables) -> list[Problem]:
    problems = _repeated(tables, "score", ["code"]) + _unscorable(tables)
    scored = tables.frames["score"]["code"]
    groups = pl.concat([tables.frames[name].select("code") for name in _GROUPS])
    missing = groups.filter((pl.col("code") != "") & ~pl.col("code").is_in(scored.implode()))
    if scored.len() and missing.height:
        examples = "、".join(missing["code"].head(_EXAMPLES))
        problems.append(problem("DP45", "score.csv", 0, count=missing.height, examples=examples))
    return problems


def _unscorable(tables: DipTables) -> list[Problem]:
    """Scores of what is no group of the pack."""
    if not tables.unread.isdisjoint(_GROUPS):
        return []
    known = {code for group in _GROUPS for code in tables.frames[group]["code"]} | {""}
    return [
        problem("DP09", place, line, "code", code, table=place, code=code)
        for place, line, code in tables.each("score", "code", where=~pl.col("code").is_in(list(known)))
    ]


def _meta(tables: DipTables) -> list[Problem]:
    known = dip_schema().meta
    problems: list[Problem] = []
    seen: dict[str, str] = {}
    for place, line, key, value in tables.each("meta", "key", "value"):
        if not key:
            continue
        if key not in known:
            problems.append(problem("TB14", place, line, "key", key, key=key, known="、".join(known)))
        elif known[key].values and value not in known[key].values:
            allowed = "、".join(known[key].values)
            problems.append(problem("TB15", place, line, "value", value, key=key, value=value, allowed=allowed))
        if key in seen:
            problems.append(problem("TB23", place, line, "key", key, key=key, first=seen[key]))
        seen.setdefault(key, line)
    return problems
