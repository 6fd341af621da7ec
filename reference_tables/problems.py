"""Problems: what is wrong with a file, a table or a case, as values and never as exceptions midway.

Every kind of problem stands once in the catalogue (`problems/*.toml`): its level, who acts on it, an
English title, the Chinese message with named arguments and how to mend it. A machine reads `code` and
the arguments; the text is for people.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from importlib import resources
from string import Formatter

import polars as pl

PROBLEM_SCHEMA: dict[str, pl.DataType] = {
    "file": pl.String(),
    "row": pl.UInt32(),
    "case_id": pl.String(),
    "code": pl.String(),
    "level": pl.String(),
    "field": pl.String(),
    "value": pl.String(),
    "message": pl.String(),
    "fix": pl.String(),
}


class Level(StrEnum):
    """How far a problem reaches.

    `error` refuses a whole file or pack; `reject` makes one case unfit; `warn` is listed for a person;
    `info` only says what was done.
    """

    ERROR = "error"
    REJECT = "reject"
    WARN = "warn"
    INFO = "info"


LEVEL_ZH = {Level.ERROR: "错误", Level.REJECT: "拒收", Level.WARN: "警告", Level.INFO: "提示"}
_WHO = frozenset({"coder", "hospital", "office", "policy"})
_KEYS = frozenset({"level", "who", "title", "message", "fix"})
_MAY = frozenset({"reason", "service_fix", "general_message", "general_fix"})
_UNNAMED = "…"


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """One catalogue entry: `message` and `fix` are Chinese templates with `{named}` arguments.

    `service_fix`: how the same is mended over HTTP, where `fix` speaks of a command's options; "" where it does not.
    `general_message`, `general_fix`: the same of the kind as such, where the templates say nothing without their
    arguments; "" where they do.
    """

    code: str
    level: Level
    who: str
    title: str
    message: str
    fix: str
    reason: str = ""
    service_fix: str = ""
    general_message: str = ""
    general_fix: str = ""

    @property
    def told(self) -> str:
        """What it is, of no case: arguments by what they are called."""
        return self.general_message or _in_words(self.message)

    def mended(self, *, served: bool) -> str:
        """How it is mended, of no case; `served`: over HTTP."""
        return self.general_fix or _in_words((served and self.service_fix) or self.fix)

    @property
    def arguments(self) -> frozenset[str]:
        """Names of the arguments that the templates need."""
        texts = (self.message, self.fix, self.service_fix)
        return frozenset(name for text in texts for _, name, _, _ in Formatter().parse(text) if name)


@cache
def _words() -> Mapping[str, str]:
    """What arguments are called, by name."""
    path = resources.files("reference_tables") / "problem_words.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))


def _in_words(template: str) -> str:
    parts = Formatter().parse(template)
    return "".join(text + (f"〔{_words().get(name, _UNNAMED)}〕" if name else "") for text, name, _, _ in parts)


@cache
def catalogue() -> Mapping[str, ProblemKind]:
    """Read every `problems/*.toml`; a duplicate code or a wrong key is a programmer's error (ValueError)."""
    kinds: dict[str, ProblemKind] = {}
    folder = resources.files("reference_tables") / "problems"
    for entry in sorted(folder.iterdir(), key=lambda item: item.name):
        if not entry.name.endswith(".toml"):
            continue
        for code, body in tomllib.loads(entry.read_text(encoding="utf-8")).items():
            if set(body) - _MAY != _KEYS or body["who"] not in _WHO or code in kinds:
                raise ValueError(f"problems/{entry.name}: [{code}] must be unique and have {sorted(_KEYS)}")
            kinds[code] = ProblemKind(code=code, level=Level(body.pop("level")), **body)
    return kinds


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem at one place. `row` is the line or row a person sees on opening the file; 0 = the whole file."""

    code: str
    args: Mapping[str, str | int] = field(default_factory=dict)
    file: str = ""
    row: int = 0
    case_id: str = ""
    field: str = ""
    value: str = ""

    def __post_init__(self) -> None:
        missing = self.kind.arguments - set(self.args)
        assert not missing, f"problem {self.code} needs the arguments {sorted(missing)}"

    @property
    def kind(self) -> ProblemKind:
        return catalogue()[self.code]

    @property
    def level(self) -> Level:
        return self.kind.level

    @property
    def message(self) -> str:
        return self.kind.message.format_map(self.args)

    @property
    def fix(self) -> str:
        return self.kind.fix.format_map(self.args)

    @property
    def service_fix(self) -> str:
        """How to mend it over HTTP."""
        return (self.kind.service_fix or self.kind.fix).format_map(self.args)

    def __str__(self) -> str:
        place = self.file + (f":{self.row}" if self.row else "")
        parts = [f"[{LEVEL_ZH[self.level]} {self.code}]", place, self.message]
        return " ".join(part for part in parts if part) + (f"（处理：{self.fix}）" if self.fix else "")

    def as_row(self) -> dict[str, str | int]:
        """The problem as a row of `PROBLEM_SCHEMA`."""
        return {
            "file": self.file, "row": self.row, "case_id": self.case_id, "code": self.code,
            "level": self.level.value, "field": self.field, "value": self.value,
            "message": self.message, "fix": self.fix,
        }  # fmt: skip


def unreadable(error: Exception) -> str:
    """Why a file cannot be read, in Chinese, with what the reading library says in brackets."""
    said = (str(error).splitlines() or [type(error).__name__])[0]
    if isinstance(error, OSError) and error.strerror:
        return f"系统不能打开（{error.strerror}）"
    return f"内容不完整、已损坏或不是该格式（{said}）"


class TablesRefused(Exception):
    """A pack, a code book or a policy cannot be used; carries every problem found, not only the first."""

    def __init__(self, what: str, problems: Iterable[Problem]) -> None:
        self.what = what
        self.problems = tuple(problems)
        errors = [problem for problem in self.problems if problem.level is Level.ERROR]
        lines = "\n".join(f"  {problem}" for problem in errors)
        super().__init__(f"{what}: {len(errors)} error(s)\n{lines}")


def problem_frame(problems: Iterable[Problem]) -> pl.DataFrame:
    """Problems as a frame of `PROBLEM_SCHEMA`, in the given order."""
    return pl.DataFrame([problem.as_row() for problem in problems], schema=PROBLEM_SCHEMA)


def _text(template: str, args: Mapping[str, pl.Expr | str]) -> pl.Expr:
    """A catalogue template as one string expression over the rows of a frame; a null argument prints as blank."""
    parts: list[pl.Expr] = []
    for literal, name, _, _ in Formatter().parse(template):
        if literal:
            parts.append(pl.lit(literal))
        if name:
            value = args[name]
            parts.append((pl.lit(value) if isinstance(value, str) else value).cast(pl.String).fill_null(""))
    return pl.concat_str(parts) if parts else pl.lit("")


def problem_rows(
    frame: pl.DataFrame,
    code: str,
    *,
    file: str = "",
    field: str = "",
    value: pl.Expr | None = None,
    args: Mapping[str, pl.Expr | str] | None = None,
) -> pl.DataFrame:
    """One problem of kind `code` for every row of `frame` (columns `row`, `case_id`), columnar.

    Returns a frame of `PROBLEM_SCHEMA`, one row per row of `frame`, same order. `value` is the offending
    text; `args` are the template's arguments, each a literal or an expression over `frame`.
    """
    kind = catalogue()[code]
    given: dict[str, pl.Expr | str] = dict(args or {})
    assert kind.arguments <= set(given), f"problem {code} needs {sorted(kind.arguments)}"
    shown = pl.lit("") if value is None else value.cast(pl.String).fill_null("")
    columns = {
        "file": pl.lit(file), "row": pl.col("row"), "case_id": pl.col("case_id").fill_null(""),
        "code": pl.lit(code), "level": pl.lit(kind.level.value), "field": pl.lit(field), "value": shown,
        "message": _text(kind.message, given), "fix": _text(kind.fix, given),
    }  # fmt: skip
    # Texts of a filtered frame are put together wrongly by polars while its first piece is empty: one piece.
    return frame.rechunk().select(expr.cast(PROBLEM_SCHEMA[name]).alias(name) for name, expr in columns.items())
