"""Pack -> CompiledScheme: the ordered terms of all paths and the tables that the kernel looks up.

A term is a conjunction. Its conditions on the principal diagnosis alone and on the principal procedure
alone are folded into classes of codes that no rule tells apart; everything else (age, sex, other codes,
MCC/CC …) is one bit of a case's context. A term then asks: is my bit set for this diagnosis class, for this
procedure class, and does the context hold the bits I need and none that I forbid?
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from grouper.code_index import CodeIndex
from grouper.levels import LevelTable, build_levels
from grouper.set_ids import SetIds
from grouper.term_tables import context_masks, pack_bits
from grouper.terms import Condition, Term, derived_atoms, plain, to_terms
from reference_tables.codes import CodeBooks, load_code_books
from reference_tables.packs import DrgPack
from reference_tables.rule_ast import (
    DIAGNOSIS_FIELDS,
    LEVEL_SETS,
    PROCEDURE_FIELDS,
    Count,
    Member,
    Node,
    conjunction,
)
from reference_tables.rule_language import parse_rule

KIND_OF_FIELD = {
    **dict.fromkeys(DIAGNOSIS_FIELDS, "dx"),
    **dict.fromkeys(PROCEDURE_FIELDS, "px"),
    "LYFS": "way",
    "KS": "department",
}


@dataclass(frozen=True)
class Path:
    """One row of the ordered walk: codes, names and parsed rules of an MDC, one of its ADRGs, one of its DRGs."""

    mdc: str
    adrg: str
    drg: str
    name: str
    rules: tuple[Node, Node, Node]


@dataclass(frozen=True, eq=False)
class CompiledScheme:
    """An immutable scheme, shared by batch, single case and explanation.

    Shapes: T terms, D diagnosis classes, Q procedure classes, W context words, N words over terms.
    `dx_class` int32 [dx ids], `px_class` int32 [px ids]; `dx_terms` uint64 [D, N] and `px_terms` [Q, N] say
    which terms a class allows; `required`, `forbidden` uint64 [T, W]; `free` uint64 [N] marks terms that ask
    nothing of the context; `term_path` int32 [T]. `conditions[b]` is the condition of context bit b. `gray`:
    grey codes by kind; `listed_principals` bool [dx ids]: some MDC asks for this principal diagnosis.
    """

    pack: DrgPack
    paths: tuple[Path, ...]
    indexes: Mapping[str, CodeIndex]
    conditions: tuple[Condition, ...]
    dx_class: NDArray[np.int32]
    px_class: NDArray[np.int32]
    dx_terms: NDArray[np.uint64]
    px_terms: NDArray[np.uint64]
    required: NDArray[np.uint64]
    forbidden: NDArray[np.uint64]
    free: NDArray[np.uint64]
    term_path: NDArray[np.int32]
    levels: LevelTable
    members: Mapping[tuple[str, tuple[str, ...]], NDArray[np.bool_]] = field(repr=False)
    set_ids: SetIds = field(repr=False)
    gray: Mapping[str, frozenset[str]] = field(repr=False)
    listed_principals: NDArray[np.bool_] = field(repr=False)

    @property
    def words(self) -> int:
        """W, how many 64-bit words a case's context takes."""
        return int(self.required.shape[1])

    def membership(self, kind: str, sets: tuple[str, ...]) -> NDArray[np.bool_]:
        """bool [ids of that kind of code]: which codes are in some of the sets (ids 0 and 1 never are)."""
        return self.members[kind, sets]


def read_paths(pack: DrgPack) -> tuple[Path, ...]:
    """All paths MDC -> ADRG -> DRG of a pack in the order of the walk, with parsed rules."""
    adrgs = _children(pack.adrg, "mdc")
    drgs = _children(pack.drg, "adrg")
    paths: list[Path] = []
    for mdc, _, mdc_rule in pack.mdc.select("code", "name", "rule").iter_rows():
        for adrg, _, adrg_rule in adrgs.get(mdc, ()):
            for drg, name, drg_rule in drgs.get(adrg, ()):
                rules = (parse_rule(mdc_rule), parse_rule(adrg_rule), parse_rule(drg_rule))
                paths.append(Path(mdc, adrg, drg, name, rules))
    return tuple(paths)


def _children(frame: pl.DataFrame, parent: str) -> dict[str, list[tuple[str, str, str]]]:
    found: dict[str, list[tuple[str, str, str]]] = {}
    for of, code, name, rule in frame.select(parent, "code", "name", "rule").iter_rows():
        found.setdefault(of, []).append((code, name, rule))
    return found


def compile_scheme(pack: DrgPack, books: CodeBooks | None = None) -> CompiledScheme:
    """Compile a validated pack. `books` default to the national code books (医保版 2.0)."""
    books = books or load_code_books()
    paths = read_paths(pack)
    terms: list[tuple[int, Term]] = [
        (at, term)
        for at, path in enumerate(paths)
        for term in to_terms(conjunction([plain(rule) for rule in path.rules]))
    ]
    set_codes = dict(pack.sets.group_by("set", maintain_order=True).agg("code").iter_rows())
    indexes = _indexes(pack, books, terms, set_codes)
    set_ids = SetIds(pack, indexes)
    members = _memberships(terms, set_ids)
    dx = _Classes("ZYZD", indexes["dx"], terms, members)
    px = _Classes("ZYSS", indexes["px"], terms, members)
    dx_allows, px_allows = dx.allows(), px.allows()
    conditions = tuple(
        dict.fromkeys(
            condition for _, term in terms for condition, _ in sorted(term, key=repr) if _alone(condition) is None
        )
    )
    required, forbidden = context_masks([term for _, term in terms], conditions)
    alive: NDArray[np.bool_] = np.logical_and(dx_allows.any(axis=1), px_allows.any(axis=1))
    alive &= ~np.any(required & forbidden, axis=1)
    required, forbidden = required[alive], forbidden[alive]
    return CompiledScheme(
        pack=pack,
        paths=paths,
        indexes=indexes,
        conditions=conditions,
        dx_class=dx.of_id,
        px_class=px.of_id,
        dx_terms=pack_bits(dx_allows[alive].T),
        px_terms=pack_bits(px_allows[alive].T),
        required=required,
        forbidden=forbidden,
        free=pack_bits(np.all((required | forbidden) == 0, axis=1)[None, :])[0],
        term_path=np.array([at for at, _ in terms], np.int32)[alive],
        levels=build_levels(pack, indexes["dx"]),
        members=members,
        set_ids=set_ids,
        gray={
            "dx": frozenset(books.diagnosis.frame.filter("gray")["code"]),
            "px": frozenset(books.procedure.frame.filter("gray")["code"]),
        },
        listed_principals=_listed_principals(paths, members, indexes["dx"].size),
    )


def _listed_principals(
    paths: tuple[Path, ...],
    members: Mapping[tuple[str, tuple[str, ...]], NDArray[np.bool_]],
    size: int,
) -> NDArray[np.bool_]:
    listed, nothing = np.zeros(size, np.bool_), np.zeros(size, np.bool_)
    for rule in dict.fromkeys(path.rules[0] for path in paths):
        for term in to_terms(plain(rule)):
            for condition, sign in term:
                if sign and isinstance(condition, Member) and "ZYZD" in condition.fields:
                    listed |= members.get(("dx", condition.sets), nothing)
    return listed


def _alone(condition: Condition) -> str | None:
    """ZYZD or ZYSS when the condition asks only the principal diagnosis or only the principal procedure."""
    if isinstance(condition, Member) and len(condition.fields) == 1 and not LEVEL_SETS & set(condition.sets):
        return condition.fields[0] if condition.fields[0] in {"ZYZD", "ZYSS"} else None
    return None


def _atoms(terms: Iterable[tuple[int, Term]]) -> dict[Member | Count, None]:
    found: dict[Member | Count, None] = {}
    for condition in dict.fromkeys(condition for _, term in terms for condition, _ in term):
        for atom in derived_atoms(condition):
            if isinstance(atom, Member | Count):
                found.setdefault(atom)
    return found


def _sets_of(atom: Member | Count) -> tuple[str, ...]:
    return atom.sets if isinstance(atom, Member) else (atom.set,)


def _indexes(
    pack: DrgPack,
    books: CodeBooks,
    terms: list[tuple[int, Term]],
    set_codes: Mapping[str, list[str]],
) -> dict[str, CodeIndex]:
    codes: dict[str, set[str]] = {kind: set() for kind in set(KIND_OF_FIELD.values())}
    codes["dx"].update(pack.cc["code"], pack.exclusion["code"])
    for atom in _atoms(terms):
        for kind in {KIND_OF_FIELD[name] for name in atom.fields}:
            for name in _sets_of(atom):
                codes[kind].update(set_codes.get(name, ()))
    book = {"dx": books.diagnosis.frame["code"], "px": books.procedure.frame["code"]}
    return {kind: CodeIndex(values, book.get(kind, ())) for kind, values in codes.items()}


def _memberships(
    terms: list[tuple[int, Term]], set_ids: SetIds
) -> dict[tuple[str, tuple[str, ...]], NDArray[np.bool_]]:
    members: dict[tuple[str, tuple[str, ...]], NDArray[np.bool_]] = {}
    for atom in _atoms(terms):
        sets = _sets_of(atom)
        if LEVEL_SETS & set(sets):
            continue
        for kind in {KIND_OF_FIELD[name] for name in atom.fields}:
            if (kind, sets) not in members:
                members[kind, sets] = set_ids.members(kind, sets)
    return members


class _Classes:
    """Codes that no condition on the principal code alone tells apart."""

    def __init__(
        self,
        code_field: str,
        index: CodeIndex,
        terms: list[tuple[int, Term]],
        members: Mapping[tuple[str, tuple[str, ...]], NDArray[np.bool_]],
    ) -> None:
        self.code_field = code_field
        self.terms = terms
        wanted = dict.fromkeys(
            condition for _, term in terms for condition, _ in term if _alone(condition) == code_field
        )
        self.column = {condition: at for at, condition in enumerate(wanted)}
        kind = KIND_OF_FIELD[code_field]
        table = np.zeros((index.size, max(1, len(wanted))), np.bool_)
        for condition, at in self.column.items():
            assert isinstance(condition, Member)
            table[:, at] = members[kind, condition.sets]
        packed = np.ascontiguousarray(np.packbits(table, axis=1))
        rows = packed.view([("", np.void, packed.shape[1])]).ravel()
        _, first, inverse = np.unique(rows, return_index=True, return_inverse=True)
        self.of_id = inverse.ravel().astype(np.int32)
        self.bits = table[first]

    def allows(self) -> NDArray[np.bool_]:
        """bool [terms, classes]: does the class meet all conditions of the term on this field alone?"""
        allowed = np.ones((len(self.terms), len(self.bits)), np.bool_)
        for at, (_, term) in enumerate(self.terms):
            for condition, sign in term:
                if condition in self.column:
                    bits = self.bits[:, self.column[condition]]
                    allowed[at] &= bits if sign else ~bits
        return allowed
