"""Lexer and parser of the official rule language: text -> syntax tree, or an error with its position.

Grammar (white space is free, keywords and field names in either case, full-width signs folded):

    rule        = [ disjunction ]                              (an empty cell is true)
    disjunction = conjunction { "or" conjunction }
    conjunction = negation { "and" negation }
    negation    = { "not" } primary
    primary     = "(" disjunction ")" | "1" | "0" | membership | comparison | cardinality
    membership  = code_fields [ "not" ] "in" set_names
    comparison  = number_field operator integer
    cardinality = "length" "(" set_name "∩" code_fields ")" operator integer
    code_fields = field | "{" field { "," field } "}"          (set_names likewise)
    operator    = "<" | "<=" | ">" | ">=" | "=" | "!="

An auxiliary rule of a DIP pack (`parse_auxiliary_rule`) has the same grammar and the further fields of
`AUXILIARY_CODE_FIELDS` and `AUXILIARY_NUMBER_FIELDS`; in every other rule these words are unknown.

A rule belongs to the tables that hold it, so its language lives on their floor: a pack is refused with
all its unreadable rules at once, before any engine sees it.
Source: CHS-DRG 3.0 configuration workbook (医保发〔2026〕22号); extensions of regional schemes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import NoReturn

from reference_tables.rule_ast import (
    AUXILIARY_CODE_FIELDS,
    AUXILIARY_NUMBER_FIELDS,
    CODE_FIELDS,
    FALSE,
    NUMBER_FIELDS,
    OPERATORS,
    TRUE,
    Compare,
    Count,
    Member,
    Node,
    Not,
    conjunction,
    disjunction,
)

_ESCAPE = re.compile(r"_x[0-9A-Fa-f]{4}_")  # a spreadsheet export's leftover for a control character
_BLANK = frozenset("\u200b\u200c\u200d\u2060\ufeff\u00ad")
_SIGNS = {"≤": "<=", "≥": ">=", "≠": "!=", "==": "=", "<>": "!="}
_TOKEN = re.compile(
    r"(?P<blank>\s+)|(?P<sign>==|<>|<=|>=|!=|[<>=≤≥≠])|(?P<mark>[(){},∩])|(?P<word>[^\s(){},∩<>=!≤≥≠]+)"
)
_KEYWORDS = frozenset({"and", "or", "not", "in", "length"})
_WANT_PRIMARY = "一个条件（括号、1、0、字段名、{字段} 或 length）"
MAX_DEPTH = 100


class RuleError(ValueError):
    """A formula that cannot be read.

    Attributes: `position` (0-based, in the text as given), `expected`, `found`.
    """

    def __init__(self, text: str, position: int, expected: str, found: str) -> None:
        self.text = text
        self.position = position
        self.expected = expected
        self.found = found
        super().__init__(f"第{position + 1}个字符处应为 {expected}，实际是 {found}")


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    position: int


def _fold(text: str) -> tuple[str, list[int]]:
    """Half-width form of a rule and, for each of its characters, the place in the text as given."""
    text = _ESCAPE.sub(lambda match: " " * len(match.group()), text)
    folded: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        plain = " " if character in _BLANK else unicodedata.normalize("NFKC", character)
        folded.append(plain)
        places.extend([place] * len(plain))
    return "".join(folded), places


def _tokens(text: str) -> list[_Token]:
    folded, places = _fold(text)
    tokens: list[_Token] = []
    at = 0
    while at < len(folded):
        match = _TOKEN.match(folded, at)
        if match is None:
            raise RuleError(text, places[at], "字段名、集合名称、数字或运算符", repr(folded[at]))
        kind = match.lastgroup or ""
        if kind != "blank":
            tokens.append(_Token(kind, match.group(), places[at]))
        at = match.end()
    tokens.append(_Token("end", "", len(text)))
    return tokens


@dataclass(frozen=True, slots=True)
class _Vocabulary:
    """The field names a rule may use."""

    codes: Collection[str]
    numbers: Collection[str]


_PLAIN = _Vocabulary(CODE_FIELDS, NUMBER_FIELDS)
_AUXILIARY = _Vocabulary(AUXILIARY_CODE_FIELDS, AUXILIARY_NUMBER_FIELDS)


class _Parser:
    def __init__(self, text: str, fields: _Vocabulary) -> None:
        self.text = text
        self.fields = fields
        self.tokens = _tokens(text)
        self.at = 0
        self.depth = 0

    @property
    def token(self) -> _Token:
        return self.tokens[self.at]

    def fail(self, expected: str) -> NoReturn:
        found = self.token.text if self.token.kind != "end" else "规则结尾"
        raise RuleError(self.text, self.token.position, expected, found)

    def is_word(self, keyword: str) -> bool:
        return self.token.kind == "word" and self.token.text.lower() == keyword

    def accept_word(self, keyword: str) -> bool:
        if self.is_word(keyword):
            self.at += 1
            return True
        return False

    def accept_mark(self, mark: str) -> bool:
        if self.token.kind == "mark" and self.token.text == mark:
            self.at += 1
            return True
        return False

    def expect_mark(self, mark: str) -> None:
        if not self.accept_mark(mark):
            self.fail(mark)

    def rule(self) -> Node:
        if self.token.kind == "end":
            return TRUE
        node = self.disjunction()
        if self.token.kind != "end":
            self.fail("and、or 或规则结尾")
        return node

    def disjunction(self) -> Node:
        items = [self.conjunction()]
        while self.accept_word("or"):
            items.append(self.conjunction())
        return disjunction(items)

    def conjunction(self) -> Node:
        items = [self.negation()]
        while self.accept_word("and"):
            items.append(self.negation())
        return conjunction(items)

    def negation(self) -> Node:
        nots = 0
        while self.accept_word("not"):
            nots += 1
        node = self.primary()
        for _ in range(nots):
            node = Not(node)
        return node

    def primary(self) -> Node:
        if self.accept_mark("("):
            self.depth += 1
            if self.depth > MAX_DEPTH:
                self.fail(f"不超过{MAX_DEPTH}层括号")
            node = self.disjunction()
            self.expect_mark(")")
            self.depth -= 1
            return node
        if self.token.kind == "word" and self.token.text in {"0", "1"}:
            self.at += 1
            return TRUE if self.tokens[self.at - 1].text == "1" else FALSE
        if self.is_word("length"):
            return self.cardinality()
        if self.token.kind == "word" and self.token.text.upper() in self.fields.numbers:
            field = self.token.text.upper()
            self.at += 1
            operator, value = self.operator_and_value()
            return Compare(field, operator, value)
        if self.token.kind == "word" and self.token.text.upper() in self.fields.codes:
            return self.membership()
        if self.token.kind == "mark" and self.token.text == "{":
            return self.membership()
        self.fail(_WANT_PRIMARY)

    def membership(self) -> Member:
        fields = self.code_fields()
        negated = self.accept_word("not")
        if not self.accept_word("in"):
            self.fail("in" if negated else "in 或 not in")
        return Member(fields, self.set_names(), negated)

    def cardinality(self) -> Count:
        self.at += 1
        self.expect_mark("(")
        name = self.set_name()
        self.expect_mark("∩")
        fields = self.code_fields()
        self.expect_mark(")")
        operator, value = self.operator_and_value()
        return Count(name, fields, operator, value)

    def code_fields(self) -> tuple[str, ...]:
        if not self.accept_mark("{"):
            return (self.code_field(),)
        fields = [self.code_field()]
        while self.accept_mark(","):
            fields.append(self.code_field())
        self.expect_mark("}")
        return tuple(dict.fromkeys(fields))

    def code_field(self) -> str:
        name = self.token.text.upper()
        if self.token.kind != "word" or name not in self.fields.codes:
            self.fail("编码字段 " + "、".join(self.fields.codes))
        self.at += 1
        return name

    def set_names(self) -> tuple[str, ...]:
        if not self.accept_mark("{"):
            return (self.set_name(),)
        names = [self.set_name()]
        while self.accept_mark(","):
            names.append(self.set_name())
        self.expect_mark("}")
        return tuple(dict.fromkeys(names))

    def set_name(self) -> str:
        token = self.token
        if token.kind != "word" or token.text.lower() in _KEYWORDS:
            self.fail("集合名称")
        self.at += 1
        return token.text

    def operator_and_value(self) -> tuple[str, int]:
        if self.token.kind != "sign":
            self.fail("比较运算符 " + " ".join(OPERATORS))
        operator = _SIGNS.get(self.token.text, self.token.text)
        self.at += 1
        if self.token.kind != "word" or re.fullmatch(r"-?[0-9]{1,9}", self.token.text) is None:
            self.fail("整数")
        value = int(self.token.text)
        self.at += 1
        return operator, value


@lru_cache(maxsize=4096)
def parse_rule(text: str) -> Node:
    """Parse one formula.

    Returns the syntax tree; raises RuleError with the position (0-based, in `text`), what was expected
    and what was found.
    """
    return _parse(text, _PLAIN)


@lru_cache(maxsize=4096)
def parse_auxiliary_rule(text: str) -> Node:
    """Parse one rule of an auxiliary catalog (辅助目录): `parse_rule` with the further fields."""
    return _parse(text, _AUXILIARY)


def _parse(text: str, fields: _Vocabulary) -> Node:
    try:
        return _Parser(text, fields).rule()
    except RuleError:
        # A zero-width character separates words like any blank, unless it crept into the middle of one.
        whole = "".join(character for character in text if character not in _BLANK)
        if whole == text:
            raise
        return _Parser(whole, fields).rule()
