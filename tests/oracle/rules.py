"""The oracle's own reader of grouping formulas: text -> nodes that answer for one case.

Written apart from the engine's rule language on purpose: nothing is shared, so a misreading on one side
shows as a difference. Every node has `holds(facts)`, where `facts` are the values of one single case.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from fractions import Fraction

CODE_FIELDS = ("ZYZD", "QTZD", "ZYSS", "QTSS", "LYFS", "KS")
DIAGNOSIS_FIELDS = ("ZYZD", "QTZD")
NUMBER_FIELDS = ("NL", "XB", "XSRTL", "XSRTZ", "ZYTS", "ICUXS")
SEVERITY_LEVELS = ("MCC", "CC")
OPERATORS: dict[str, Callable[[float | Fraction, int], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    "!=": operator.ne,
}
SYMBOLS = {*OPERATORS, "(", ")", "{", "}", ",", "∩"}
SYMBOL_OR_WORD = re.compile(r"\s*(?:(<=|>=|!=|[<>=(){},∩])|([^\s<>=!(){},∩]+))")


class RuleError(ValueError):
    """A formula the oracle cannot read."""


@dataclass(frozen=True)
class CcRow:
    """One row of cc.csv: a level, and the principal diagnoses before which the row does not count."""

    level: str
    excluding_principals: frozenset[str]


@dataclass(frozen=True)
class Facts:
    """What the formulas may ask of one case. Codes are folded; a blank code is no code."""

    codes: Mapping[str, tuple[str, ...]]
    numbers: Mapping[str, float | Fraction | None]
    cc_rows: Mapping[str, tuple[CcRow, ...]]

    def has_severity(self, level: str, fields: tuple[str, ...]) -> bool:
        """`QTZD in MCC`: some other diagnosis is listed at the level and not excluded by the principal.

        If a formula asks the principal diagnosis as well, it is looked up in the same way.
        """
        principal = self.codes["ZYZD"]
        for field in fields:
            for code in self.codes[field]:
                # Rows of the same code are independent: one may be excluded and another still count.
                for row in self.cc_rows.get(code, ()):
                    excluded = any(p in row.excluding_principals for p in principal)
                    if row.level == level and not excluded:
                        return True
        return False


class Rule:
    """A formula, or a part of one."""

    def holds(self, facts: Facts) -> bool:
        """Whether the formula is true for the case."""
        raise NotImplementedError


@dataclass(frozen=True)
class Const(Rule):
    """`1`, `0`, or the empty formula (true)."""

    value: bool

    def holds(self, facts: Facts) -> bool:
        return self.value


@dataclass(frozen=True)
class All(Rule):
    """`a and b and ...`"""

    parts: tuple[Rule, ...]

    def holds(self, facts: Facts) -> bool:
        return all(part.holds(facts) for part in self.parts)


@dataclass(frozen=True)
class Any(Rule):
    """`a or b or ...`"""

    parts: tuple[Rule, ...]

    def holds(self, facts: Facts) -> bool:
        return any(part.holds(facts) for part in self.parts)


@dataclass(frozen=True)
class Not(Rule):
    """`not a`"""

    part: Rule

    def holds(self, facts: Facts) -> bool:
        return not self.part.holds(facts)


@dataclass(frozen=True)
class Member(Rule):
    """`vars in sets` and `vars not in sets`; `levels` are the MCC and CC among the sets."""

    fields: tuple[str, ...]
    sets: tuple[Container[str], ...]
    levels: tuple[str, ...]
    negated: bool

    def holds(self, facts: Facts) -> bool:
        # The plain opposite of being found: a case without any code is not in the sets.
        return self.found(facts) != self.negated

    def found(self, facts: Facts) -> bool:
        # One code is enough, whichever variable it comes from and whichever set it lies in.
        for field in self.fields:
            for code in facts.codes[field]:
                for members in self.sets:
                    if code in members:
                        return True
        return any(facts.has_severity(level, self.fields) for level in self.levels)


@dataclass(frozen=True)
class Compare(Rule):
    """`NL >= 70`"""

    field: str
    op: str
    value: int

    def holds(self, facts: Facts) -> bool:
        known = facts.numbers[self.field]
        # Nothing can be said of an unknown number: even != is false.
        if known is None:
            return False
        return OPERATORS[self.op](known, self.value)


@dataclass(frozen=True)
class Count(Rule):
    """`length(SET ∩ vars) >= 2`: how many DIFFERENT codes of the variables are in the set."""

    members: Container[str]
    fields: tuple[str, ...]
    op: str
    value: int

    def holds(self, facts: Facts) -> bool:
        different = {code for field in self.fields for code in facts.codes[field] if code in self.members}
        return OPERATORS[self.op](len(different), self.value)


@dataclass(frozen=True)
class Fields:
    """The names that a formula may use."""

    codes: tuple[str, ...] = CODE_FIELDS
    numbers: tuple[str, ...] = NUMBER_FIELDS


DRG_FIELDS = Fields()


def parse_rule(text: str, sets: Mapping[str, Container[str]], fields: Fields = DRG_FIELDS) -> Rule:
    """Read one formula; `sets` are the pack's sets by name. Raises RuleError."""
    # No formula is no condition.
    if not text.strip():
        return Const(True)
    return _Reader(text, sets, fields).whole_rule()


class _Reader:
    """Recursive descent over the words and symbols of one formula: `or` loosest, then `and`, then `not`."""

    def __init__(self, text: str, sets: Mapping[str, Container[str]], names: Fields) -> None:
        self.text = text
        self.names = names
        self.sets = sets
        self.tokens = self._split(text)
        self.at = 0

    def whole_rule(self) -> Rule:
        rule = self.disjunction()
        if self.at != len(self.tokens):
            raise self.unexpected("the end")
        return rule

    def disjunction(self) -> Rule:
        parts = [self.conjunction()]
        while self.take_keyword("or"):
            parts.append(self.conjunction())
        return parts[0] if len(parts) == 1 else Any(tuple(parts))

    def conjunction(self) -> Rule:
        parts = [self.negation()]
        while self.take_keyword("and"):
            parts.append(self.negation())
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def negation(self) -> Rule:
        if self.take_keyword("not"):
            return Not(self.negation())
        return self.primary()

    def primary(self) -> Rule:
        word = self.peek()
        if word == "(":
            self.expect("(")
            inner = self.disjunction()
            self.expect(")")
            return inner
        if word in ("0", "1"):
            return Const(self.word() == "1")
        if word.lower() == "length":
            return self.cardinality()
        if word in self.names.numbers:
            return Compare(self.word(), *self.operator_and_integer())
        if word == "{" or word in self.names.codes:
            return self.membership()
        raise self.unexpected("a condition")

    def membership(self) -> Rule:
        fields = self.fields()
        negated = self.take_keyword("not")
        if not self.take_keyword("in"):
            raise self.unexpected("in")
        names = self.one_or_braced()
        levels = tuple(name for name in names if name in SEVERITY_LEVELS)
        if levels and not set(fields) <= set(DIAGNOSIS_FIELDS):
            raise RuleError(f"MCC and CC are levels of diagnoses only: {self.text}")
        members = tuple(self.set_called(name) for name in names if name not in SEVERITY_LEVELS)
        return Member(fields, members, levels, negated)

    def cardinality(self) -> Rule:
        self.word()
        self.expect("(")
        members = self.set_called(self.word())
        self.expect("∩")
        fields = self.fields()
        self.expect(")")
        return Count(members, fields, *self.operator_and_integer())

    def fields(self) -> tuple[str, ...]:
        fields = self.one_or_braced()
        for field in fields:
            if field not in self.names.codes:
                raise RuleError(f"{field} is not a code variable: {self.text}")
        return fields

    def one_or_braced(self) -> tuple[str, ...]:
        if self.peek() != "{":
            return (self.word(),)
        self.expect("{")
        names = [self.word()]
        while self.peek() == ",":
            self.expect(",")
            names.append(self.word())
        self.expect("}")
        return tuple(names)

    def operator_and_integer(self) -> tuple[str, int]:
        op = self.peek()
        if op not in OPERATORS:
            raise self.unexpected("an operator")
        self.at += 1
        number = self.word()
        if re.fullmatch(r"-?[0-9]+", number) is None:
            raise RuleError(f"{number} is not a whole number: {self.text}")
        return op, int(number)

    def set_called(self, name: str) -> Container[str]:
        if name not in self.sets:
            raise RuleError(f"no set {name}: {self.text}")
        return self.sets[name]

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def word(self) -> str:
        word = self.peek()
        if not word or word in SYMBOLS:
            raise self.unexpected("a word")
        self.at += 1
        return word

    def take_keyword(self, keyword: str) -> bool:
        if self.peek().lower() != keyword:
            return False
        self.at += 1
        return True

    def expect(self, symbol: str) -> None:
        if self.peek() != symbol:
            raise self.unexpected(symbol)
        self.at += 1

    def unexpected(self, expected: str) -> RuleError:
        return RuleError(f"expected {expected}, found {self.peek() or 'the end'}: {self.text}")

    @staticmethod
    def _split(text: str) -> list[str]:
        tokens: list[str] = []
        at = 0
        text = text.rstrip()
        while at < len(text):
            found = SYMBOL_OR_WORD.match(text, at)
            if found is None:
                raise RuleError(f"unreadable at {at}: {text}")
            tokens.append(found.group(1) or found.group(2))
            at = found.end()
        return tokens
