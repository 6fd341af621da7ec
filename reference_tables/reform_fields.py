"""Reading one field of a reform file: numbers as exact decimals, words, and the scope that `for` says."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from reference_tables.policy_schema import Parameter
from reference_tables.policy_values import FloatText, shown
from reference_tables.reform_parts import Pairs
from reference_tables.reform_schema import Field, reform_schema

GROUP_SCOPES = ("list", "mdc", "type", "groups")
"""Names of a scope that stand for groups of the scheme, beside `group` itself."""
_DECIMAL = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?")
_MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")


def repeated(items: Iterable[Any]) -> str:
    """The texts that are there more than once, for a message; "" when none is."""
    return "、".join(str(item) for item, count in Counter(items).items() if count > 1)


def is_text(value: object) -> bool:
    """A TOML text with something in it."""
    return isinstance(value, str) and not isinstance(value, FloatText) and bool(value.strip())


def number_of(raw: object) -> Fraction | None:
    """An exact number from decimal text or a TOML integer; None for anything else."""
    if isinstance(raw, bool) or not isinstance(raw, int | str) or isinstance(raw, FloatText):
        return None
    return Fraction(raw) if _DECIMAL.fullmatch(str(raw)) else None


@dataclass(frozen=True, slots=True)
class Scoped:
    """What `for` says: (name, value) pairs in the order of the schema's scopes, and groups named one by one."""

    pairs: Pairs = ()
    groups: tuple[str, ...] = ()

    @staticmethod
    def allowed(parameter: Parameter) -> tuple[str, ...]:
        """The names by which a change of a parameter may be limited."""
        more = [name for name in GROUP_SCOPES if "group" in parameter.scope and name not in parameter.scope]
        return (*parameter.scope, *more)

    def unfit(self, parameter: Parameter) -> Iterator[str]:
        """The names that the parameter cannot differ by."""
        names = [name for name, _ in self.pairs] + (["groups"] if self.groups else [])
        yield from (name for name in names if name not in self.allowed(parameter))


@dataclass(frozen=True, slots=True)
class FieldReader:
    """Reads values; `fault` takes the reason why one is wrong."""

    fault: Callable[[str], None]

    def value(self, field: Field, raw: object) -> Any:
        """The value of a field, or None with a fault told. Texts of type `texts` come as a tuple."""
        if field.type in {"decimal", "integer"}:
            return self._number(field, raw)
        if field.type == "boolean":
            if not isinstance(raw, bool):
                self.fault(f"应为 true 或 false，实际是 {shown(raw)}")
                return None
            return raw
        if field.type == "texts":
            texts = raw if isinstance(raw, list) else [raw]
            if not texts or not all(map(is_text, texts)):
                self.fault(f"应为文本或文本的列表，实际是 {shown(raw)}")
                return None
            if twice := repeated(texts):
                self.fault(f"重复：{twice}")
                return None
            return tuple(texts)
        if isinstance(raw, int) and not isinstance(raw, bool) and field.type == "text":
            raw = str(raw)
        if not is_text(raw):
            self.fault(f"应为带引号的文本，实际是 {shown(raw)}")
            return None
        if field.type == "word" and raw not in field.values:
            self.fault(f"不能是“{raw}”，可用值：{'、'.join(field.values)}")
            return None
        return raw

    def _number(self, field: Field, raw: object) -> Fraction | int | None:
        value = number_of(raw)
        if value is None:
            wanted = '带引号的十进制数，如 "1.05"' if field.type == "decimal" else "整数，如 6"
            self.fault(f"应为{wanted}，实际是 {shown(raw)}")
            return None
        low, high = field.minimum, field.maximum
        if (low is not None and value < low) or (high is not None and value > high):
            limits = [
                f"不小于 {shown(low)}" if low is not None else "",
                f"不大于 {shown(high)}" if high is not None else "",
            ]
            self.fault(f"{shown(value)} 超出范围，应{'、'.join(filter(None, limits))}")
            return None
        if field.type == "decimal":
            return value
        if value.denominator != 1:
            self.fault(f"应为整数，实际是 {shown(value)}")
            return None
        return int(value)

    def scope(self, raw: object) -> Scoped:
        """`for` as pairs and groups; what is wrong is told and left out."""
        if raw is None:
            return Scoped()
        if not isinstance(raw, dict) or not raw:
            self.fault('应写成 { insurance = "职工", tier = "三级" }')
            return Scoped()
        scopes = reform_schema().scopes
        for name in raw:
            if name not in scopes:
                self.fault(f"适用范围不认识“{name}”，可用：{'、'.join(scopes)}")
        pairs = tuple(
            (name, raw[name]) for name in scopes if name != "groups" and name in raw and self._word(name, raw)
        )
        return Scoped(pairs, self._groups(raw) if "groups" in raw else ())

    def _word(self, name: str, raw: Mapping[str, object]) -> bool:
        value, types = raw[name], reform_schema().types
        if not is_text(value):
            self.fault(f"{name} 应为带引号的文本，实际是 {shown(value)}")
        elif name == "type" and value not in types:
            self.fault(f"type 不能是“{value}”，可用值：{'、'.join(types)}")
        elif name == "month" and not _MONTH.fullmatch(str(value)):
            self.fault(f"month 写成 2026-01 这样的年-月，实际是 {value}")
        else:
            return True
        return False

    def _groups(self, raw: Mapping[str, object]) -> tuple[str, ...]:
        codes = raw["groups"]
        if not isinstance(codes, list) or not codes or not all(map(is_text, codes)):
            self.fault('groups 写病组编码的列表，如 ["BR25", "DS15"]，不能为空')
            return ()
        if twice := repeated(codes):
            self.fault(f"groups 中的病组重复：{twice}")
        return tuple(dict.fromkeys(codes))
