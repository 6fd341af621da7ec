"""Reforms: small files that say how a payment policy is to change, so that the change can be tried before it is made.

A reform is one TOML file, built in (`reforms/`) or a user's own, with the habits of a policy file: strict, exact
decimals, every problem at once, nothing assumed.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path

from reference_tables.problems import Level, Problem, TablesRefused
from reference_tables.reform_file import read_reform_text
from reference_tables.reform_parts import Change, Growth, Reform, Solve, Sweep, Switch

__all__ = [
    "Change", "Growth", "Reform", "Solve", "Sweep", "Switch", "find_reforms", "load_reform", "parse_reform",
]  # fmt: skip


def parse_reform(text: str, file: str = "reform.toml", folder: Path | None = None) -> Reform:
    """A reform from TOML text; `folder`: where the files it names are looked for.

    Raises TablesRefused with every problem: file, key, line, what was expected.
    """
    reform, problems = read_reform_text(text, file, folder or Path())
    if reform is None or any(problem.level is Level.ERROR for problem in problems):
        raise TablesRefused(file, problems)
    return reform


def _folder() -> Path:
    return Path(str(resources.files("reference_tables") / "reforms"))


@cache
def find_reforms() -> Sequence[str]:
    """Ids of the built-in reforms, in order."""
    return tuple(sorted(path.stem for path in _folder().glob("*.toml")))


def reform_source(name: str) -> str:
    """The TOML text of a built-in reform by its id."""
    return (_folder() / f"{name}.toml").read_text(encoding="utf-8")


def load_reform(name: str | Path) -> Reform:
    """A built-in reform by its id, or a reform file by its path.

    Raises TablesRefused: RF01 not found, RF02 not readable, else every problem of the file at once.
    """
    built_in = str(name) in find_reforms()
    path = _folder() / f"{name}.toml" if built_in else Path(name)
    try:
        data = path.read_bytes()
    except OSError:
        args: dict[str, str | int] = {"name": str(name), "known": "、".join(find_reforms()) or "无"}
        raise TablesRefused(str(name), [Problem("RF01", args, value=str(name))]) from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        problem = Problem("RF02", {"reason": f"第 {line} 行起不是 UTF-8 编码"}, file=path.name, row=line)
        raise TablesRefused(str(name), [problem]) from None
    return parse_reform(text, path.name, path.parent)
