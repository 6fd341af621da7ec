"""The conditions of auxiliary rules (辅助目录) over whole columns of cases.

Every set and every Charlson disease that a rule asks for among diagnoses is one bit of a mask by diagnosis id; the
codes of a case meet them by one gather and one bitwise `or` over its list. Meaning of the fields:
`reference_tables.auxiliary`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from grouper.code_index import FIRST, UNKNOWN, CodeIndex
from grouper.dip.codes import DiagnosisCodes
from grouper.dip.numbers import credible_numbers
from grouper.encode import NUMBER_COLUMNS, WEIGHT_COLUMN, CodeLists
from reference_tables.auxiliary import Auxiliary, Disease, cost_fields, set_items, sets_asked
from reference_tables.dip_cells import category_of, spelled
from reference_tables.rule_ast import And, Compare, Const, Count, Node, Not, Or

Bools = NDArray[np.bool_]
Words = NDArray[np.uint64]
_OPERATIONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "=": operator.eq, "!=": operator.ne,
}  # fmt: skip
_WORD = 64
_CATEGORY = 3
_KIND = {"ZYZD": "dx", "QTZD": "dx", "QTZDX": "dx", "ZYSS": "px", "QTSS": "px", "LYFS": "LYFS", "KS": "KS"}
_LIST_COLUMN = {"dx": "diagnoses", "px": "procedures"}
_TEXT_COLUMN = {"LYFS": "discharge_way", "KS": "department"}
_PRINCIPAL = frozenset({"ZYZD", "ZYSS"})


class _Number(NamedTuple):
    """A number of each case: `values` (int64 or float64, already times `scale`) where `known`."""

    values: NDArray[Any]
    known: Bools
    scale: int = 1


class _Bit(NamedTuple):
    word: int
    mask: np.uint64


class AuxiliaryConditions:
    """Everything about the conditions of an auxiliary catalog that does not depend on the cases."""

    def __init__(self, auxiliary: Auxiliary, codes: DiagnosisCodes, procedures: CodeIndex, newborn_weight: str) -> None:
        """`codes` and `procedures` know the items and codes that `auxiliary` asks for."""
        self.number_columns = {**NUMBER_COLUMNS, "XSRTZ": WEIGHT_COLUMN[newborn_weight]}
        sets: dict[str, dict[str, None]] = {}
        for rule in auxiliary.rules():
            for name, fields in sets_asked(rule):
                for field in fields:
                    sets.setdefault(_KIND[field], {})[name] = None
        self.texts = {
            kind: CodeIndex(item for name in sets.get(kind, ()) for item in auxiliary.sets[name])
            for kind in _TEXT_COLUMN
        }
        self.inside: dict[tuple[str, str], Bools] = {}
        for kind, names in sets.items():
            for name in names:
                cells = auxiliary.sets[name]
                self.inside[kind, name] = (
                    codes.members(set_items(cells)) if kind == "dx" else self._listed(kind, procedures, cells)
                )
        self.diseases = auxiliary.diseases
        of_diseases = {("CCI", disease.code): codes.members(disease.items) for disease in auxiliary.diseases}
        self.bits: dict[tuple[str, str], _Bit] = {}
        self.masks: dict[str, Words] = {}
        for kind, index in (("dx", codes.index), ("px", procedures)):
            flags = {key: found for key, found in self.inside.items() if key[0] == kind}
            self._lay(kind, index.size, {**flags, **of_diseases} if kind == "dx" else flags)
        self.category = _categories(codes.index)

    def _listed(self, kind: str, procedures: CodeIndex, cells: Iterable[str]) -> Bools:
        index = procedures if kind == "px" else self.texts[kind]
        return _flags(index, map(spelled, cells) if kind == "px" else cells)

    def _lay(self, kind: str, size: int, flags: Mapping[tuple[str, str], Bools]) -> None:
        """uint64 [words, ids]: give every set (and disease) of a kind of codes its bit."""
        masks = np.zeros((max(1, -(-len(flags) // _WORD)), size), np.uint64)
        for at, (key, inside) in enumerate(flags.items()):
            bit = _Bit(at // _WORD, np.uint64(1 << (at % _WORD)))
            self.bits[key] = bit
            masks[bit.word, inside] |= bit.mask
        self.masks[kind] = masks

    def of(self, frame: pl.DataFrame, dx: CodeLists, px: CodeLists, mean_cost_fen: NDArray[np.int64]) -> CaseConditions:
        """The conditions of a block of cases; `mean_cost_fen` int64 [cases]: of each case's group, 0 = unknown."""
        return CaseConditions(self, credible_numbers(frame, self.number_columns["XSRTZ"]), dx, px, mean_cost_fen)


def _flags(index: CodeIndex, codes: Iterable[str]) -> Bools:
    inside = np.zeros(index.size, np.bool_)
    inside[index.ids([code.replace("X", "x") for code in codes])] = True
    inside[:FIRST] = False
    return inside


def _categories(index: CodeIndex) -> NDArray[np.int32]:
    """int32 [ids]: equal for codes of one category; no code and an unknown code are in none of the others'."""
    texts = ["", "?", *(category_of(spelled(code)) for code in index.spelling.to_list()[FIRST:])]
    return np.unique(np.array(texts), return_inverse=True)[1].astype(np.int32)


class CaseConditions:
    """The conditions of one block of cases; each is worked out when first asked for."""

    def __init__(
        self,
        plan: AuxiliaryConditions,
        frame: pl.DataFrame,
        dx: CodeLists,
        px: CodeLists,
        mean_cost_fen: NDArray[np.int64],
    ) -> None:
        self.plan = plan
        self.frame = frame
        self.lists = {"dx": dx, "px": px}
        self.mean_cost_fen = mean_cost_fen
        self.size = frame.height
        self._found: dict[Node, Bools] = {}
        self._words: dict[str, Words] = {}
        self._numbers: dict[str, _Number] = {}
        self._singles: dict[str, NDArray[np.unsignedinteger[Any]]] = {}

    def true(self, node: Node) -> Bools:
        """bool [cases]: for which the rule is true."""
        found = self._found.get(node)
        if found is None:
            found = self._found[node] = self._evaluate(node)
        return found

    def _evaluate(self, node: Node) -> Bools:
        if isinstance(node, Const):
            return np.full(self.size, node.value)
        if isinstance(node, Not):
            return ~self.true(node.item)
        if isinstance(node, And | Or):
            parts = [self.true(item) for item in node.items]
            joined: Bools = (np.logical_and if isinstance(node, And) else np.logical_or).reduce(parts)
            return joined
        if isinstance(node, Compare):
            number = self._number(node.field)
            return np.asarray(_OPERATIONS[node.operator](number.values, node.value * number.scale) & number.known)
        if isinstance(node, Count):
            return np.asarray(_OPERATIONS[node.operator](self._different(node), node.value))
        met = np.zeros(self.size, np.bool_)
        for field in node.fields:
            met |= self._member(field, node.sets)
        return ~met if node.negated else met

    def _member(self, field: str, sets: tuple[str, ...]) -> Bools:
        """Is some code of the field in some of the sets?"""
        kind = _KIND[field]
        if kind in _TEXT_COLUMN:
            inside: Bools = np.logical_or.reduce([self.plan.inside[kind, name] for name in sets])
            return inside.take(self._single(kind))
        wanted = np.zeros(len(self.plan.masks[kind]), np.uint64)
        for name in sets:
            bit = self.plan.bits[kind, name]
            wanted[bit.word] |= bit.mask
        met = np.zeros(self.size, np.bool_)
        for at, mask in enumerate(wanted):
            if mask:
                met |= (self._of_field(field)[at] & mask) != 0
        return met

    def _single(self, kind: str) -> NDArray[np.unsignedinteger[Any]]:
        """Ids of discharge way or department, 0 = not given."""
        if kind not in self._singles:
            index, column = self.plan.texts[kind], _TEXT_COLUMN[kind]
            given = column in self.frame.columns
            self._singles[kind] = index.encode_column(self.frame[column]) if given else np.zeros(self.size, index.dtype)
        return self._singles[kind]

    def _of_field(self, field: str) -> Words:
        """uint64 [words, cases]: the bits that the codes of a field meet."""
        if field not in self._words:
            kind = _KIND[field]
            masks, lists = self.plan.masks[kind], self.lists[kind]
            if field in _PRINCIPAL:
                self._words[field] = masks[:, lists.principal]
            else:
                self._words[field] = _or_of_others(masks, lists, self._same_category if field == "QTZDX" else None)
        return self._words[field]

    @cached_property
    def _same_category(self) -> Bools:
        """bool [diagnoses of all cases]: of the category of their case's principal diagnosis."""
        dx = self.lists["dx"]
        of_principal = np.repeat(self.plan.category.take(dx.principal), dx.lengths)
        same = np.asarray(self.plan.category.take(dx.flat) == of_principal)
        # An unknown principal diagnosis has no category but in its text.
        rows = np.flatnonzero(dx.principal == UNKNOWN)
        if rows.size:
            categories = self._spelt("dx").list.eval(pl.element().str.slice(0, _CATEGORY)).gather(pl.Series(rows))
            first = categories.list.first().repeat_by(categories.list.len()).explode()
            places = np.flatnonzero(np.repeat(dx.principal == UNKNOWN, dx.lengths))
            same[places] = (categories.explode() == first).to_numpy()
        return same

    def _spelt(self, kind: str) -> pl.Series:
        """The codes of each case as they compare (List(String))."""
        codes = self.frame[_LIST_COLUMN[kind]].fill_null([])
        return codes.list.eval(pl.element().fill_null("").str.strip_chars().str.to_uppercase())

    def _number(self, field: str) -> _Number:
        if field not in self._numbers:
            self._numbers[field] = self._read(field)
        return self._numbers[field]

    def _read(self, field: str) -> _Number:
        if field == "CCI":
            score = _charlson(self.plan.diseases, self.plan.bits, self._of_field("QTZD"))
            return _Number(score, np.ones(self.size, np.bool_))
        fields = cost_fields()
        if field == "FYBL":
            cost = self._fen(fields.total)
            return _percent(cost.values, self.mean_cost_fen, cost.known)
        if field in fields.shares:
            total = self._fen(fields.total)
            parts = [self._fen(column) for column in fields.shares[field]]
            part = np.stack([part.values for part in parts]).sum(axis=0)
            given: Bools = np.logical_or.reduce([part.known for part in parts])
            return _percent(part, total.values, total.known & given)
        column = self.plan.number_columns[field]
        if column not in self.frame.columns:
            return _Number(np.zeros(self.size, np.int64), np.zeros(self.size, np.bool_))
        return _filled(self.frame[column], pl.Float64() if field == "ICUXS" else pl.Int64())

    def _fen(self, column: str) -> _Number:
        """A column of money; one that the frame lacks is unknown for every case."""
        given = column in self.frame.columns
        return _filled(self.frame[column] if given else pl.repeat(None, self.size, eager=True), pl.Int64())

    def _different(self, count: Count) -> NDArray[np.int64]:
        """How many different codes of the fields are in the set, by case; codes are compared as spelt."""
        fields: dict[str, set[str]] = {}
        for field in count.fields:
            fields.setdefault(_KIND[field], set()).add(field)
        found = [self._taking_part(kind, names, self.plan.inside[kind, count.set]) for kind, names in fields.items()]
        cases = pl.concat(found).unique()["case"].to_numpy()
        return np.bincount(cases, minlength=self.size)

    def _taking_part(self, kind: str, fields: set[str], inside: Bools) -> pl.DataFrame:
        """case (Int64) and code (String) of every code in the set that stands in one of the fields of one kind."""
        if kind in _TEXT_COLUMN:
            ids = self._single(kind)
            rows = np.flatnonzero(inside.take(ids))
            return pl.DataFrame({"case": rows, "code": self.plan.texts[kind].spelling.gather(pl.Series(ids[rows]))})
        lists = self.lists[kind]
        wanted = inside.take(lists.flat)
        others = np.ones(len(wanted), np.bool_)
        others[lists.principal_positions] = False
        allowed = np.zeros(len(wanted), np.bool_)
        if fields & _PRINCIPAL:
            allowed |= ~others
        if fields & {"QTZD", "QTSS"}:
            allowed |= others
        if "QTZDX" in fields:
            allowed |= others & ~self._same_category
        places = np.flatnonzero(wanted & allowed)
        spelt = self._spelt(kind).list.explode(empty_as_null=False, keep_nulls=True).gather(pl.Series(places))
        return pl.DataFrame({"case": lists.row_of(places), "code": spelt})


def _filled(column: pl.Series, dtype: pl.DataType) -> _Number:
    """A number column with unknown ones (null, nan) apart."""
    values = column.cast(dtype)
    known = values.is_not_null()
    if dtype == pl.Float64():
        known &= values.is_not_nan().fill_null(value=False)
    return _Number(values.fill_null(0).to_numpy(), known.to_numpy())


def _percent(part: NDArray[np.int64], whole: NDArray[np.int64], known: Bools) -> _Number:
    """100 x part / whole where whole > 0, as a whole number that compares like the exact fraction with any whole
    percentage: twice the floor, and one more when the fraction lies between two whole percentages."""
    known = known & (whole > 0)
    floor, rest = np.divmod(100 * part, np.where(known, whole, 1))
    return _Number(2 * floor + (rest > 0), known, 2)


def _or_of_others(masks: Words, lists: CodeLists, left_out: Bools | None) -> Words:
    """uint64 [words, cases]: bitwise or over a case's codes but the principal one and those left out."""
    filled = np.flatnonzero(lists.lengths)
    found = np.zeros((len(masks), len(lists.lengths)), np.uint64)
    if filled.size:
        starts = lists.offsets[filled]
        for at, mask in enumerate(masks):
            bits = mask.take(lists.flat)
            bits[starts] = 0
            if left_out is not None:
                bits[left_out] = 0
            found[at, filled] = np.bitwise_or.reduceat(bits, starts)
    return found


def _charlson(diseases: tuple[Disease, ...], bits: Mapping[tuple[str, str], _Bit], words: Words) -> NDArray[np.int64]:
    """int64 [cases]: the weights of the diseases there, each once, covered ones left out."""
    score = np.zeros(words.shape[1], np.int64)
    ill = np.zeros(words.shape[1], np.bool_)
    for disease in diseases:
        bit = bits["CCI", disease.code]
        ill |= (words[bit.word] & bit.mask) != 0
    rows = np.flatnonzero(ill)
    here = {
        disease.code: (words[bit.word, rows] & bit.mask) != 0
        for disease in diseases
        for bit in [bits["CCI", disease.code]]
    }
    total = np.zeros(len(rows), np.int64)
    for disease in diseases:
        counts = here[disease.code].copy()
        for cover in disease.covered_by:
            counts &= ~here[cover]
        total += disease.weight * counts
    score[rows] = total
    return score
