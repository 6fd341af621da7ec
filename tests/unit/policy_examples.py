"""Small policies for tests: a sound head to which values are added, as text with known lines."""

from __future__ import annotations

from reference_tables.policy import Policy, parse_policy
from reference_tables.problems import Problem, TablesRefused

HEAD = """\
id = "p"
name = "试验政策"
region = "某市"
method = "drg-point"
insurances = ["职工", "居民"]
tiers = ["三级", "二级"]
effective_from = 2025-01-01
effective_until = 2026-01-01
data_level = "local"
statement = "试验"
[sources.doc]
title = "某文件"
[lists.basic]
codes = ["BR25", "DS15"]
[lists.other]
codes = ["DS15", "ET25"]
"""
FIRST = HEAD.count("\n") + 1
"""The line of the first [[set]] after the head; each `value` takes six lines."""
STEP = 6


def value(key: str, written: str, more: str = "", confidence: str = "official") -> str:
    """A [[set]] block of six lines; `written` and `more` as TOML."""
    return f'[[set]]\nkey = "{key}"\nvalue = {written}\nsource = "doc"\nconfidence = "{confidence}"\n{more}\n'


def policy(*blocks: str, method: str = "drg-point") -> Policy:
    """A policy of these blocks, each given as text."""
    head = HEAD.replace("drg-point", method)
    return parse_policy(head + "".join(blocks), "p.toml")


def problems(*blocks: str, head: str = HEAD) -> list[Problem]:
    """The problems that refuse it, warnings left out."""
    try:
        parse_policy(head + "".join(blocks), "p.toml")
    except TablesRefused as refused:
        return [problem for problem in refused.problems if problem.level.value == "error"]
    return []


def places(found: list[Problem]) -> list[tuple[str, int]]:
    """Code and line of each."""
    return [(problem.code, problem.row) for problem in found]
