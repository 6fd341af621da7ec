"""DIP pack -> CompiledDip: ordered terms of all core groups (核心病种) and the tables that the engine looks up.

Rows that ask for the principal procedure, or for some procedures anywhere, become terms over classes of principal
codes and context bits, as for DRG. Rows that compare the whole set of procedures (px_mode exact) are looked up by
class of the principal diagnosis and combination. Both kinds stand in one order of precedence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from grouper.code_index import CodeIndex
from grouper.dip.clean import Cleaning
from grouper.dip.codes import DiagnosisCodes, is_beginning, procedure_index
from grouper.dip.context import DipContextPlan, FlagItems, procedure_ids
from grouper.dip.mixed import MixedGroups
from grouper.dip.tables import Asked, DipTables, ExactTerms, TableBuilder
from grouper.dip.terms import Items, ordered_terms, procedure_ways
from grouper.result import Reason
from reference_tables.auxiliary import read_auxiliary
from reference_tables.codes import CodeBooks, load_code_books
from reference_tables.dip_cells import ANY, DiagnosisItem, diagnosis_items, procedure_alternatives, spelled
from reference_tables.dip_pack import DipPack


@dataclass(frozen=True, eq=False)
class CompiledDip:
    """An immutable DIP scheme, shared by every thread that groups by it.

    All terms stand in order of precedence: `term_row` int32 the row of core.csv each is of, `term_layer` int32,
    `term_reason` what the record lacks where it holds (NONE: nothing). `tables` and `exact` hold them for look-up,
    `primary_care` the rows of the mark 基层病种; `context` makes the context words they read.

    `blocked` bool [dx ids]: never a principal diagnosis; `blocked_beginnings`: such codes, as `spelled`, that are
    spelt like a category or subcategory. `named` bool [ids] by kind: codes that a row or a scope names as such;
    `gray`: grey codes by kind.
    """

    pack: DipPack
    dx: DiagnosisCodes
    px: CodeIndex
    flags: FlagItems
    term_row: NDArray[np.int32]
    term_layer: NDArray[np.int32]
    term_reason: tuple[Reason, ...]
    tables: DipTables
    exact: ExactTerms
    primary_care: DipTables
    context: DipContextPlan
    cleaning: Cleaning
    mixed: MixedGroups
    blocked: NDArray[np.bool_]
    blocked_beginnings: frozenset[str]
    named: Mapping[str, NDArray[np.bool_]] = field(repr=False)
    gray: Mapping[str, frozenset[str]] = field(repr=False)

    @property
    def indexes(self) -> Mapping[str, CodeIndex]:
        """Codes as ids by kind."""
        return {"dx": self.dx.index, "px": self.px}


def compile_dip(pack: DipPack, books: CodeBooks | None = None) -> CompiledDip:
    """Compile a checked pack. `books` default to the national code books (医保版 2.0)."""
    books = books or load_code_books()
    flags = _flags(pack)
    auxiliary = read_auxiliary(pack.tables)
    excluded = [spelled(code) for code in pack.tables["excluded_dx"]["code"]]
    blocked = [DiagnosisItem(code, code, "", whole=True) for code in excluded if not is_beginning(code)]
    items = tuple(dict.fromkeys(_items(pack, flags)))
    dx = DiagnosisCodes(books, (*items, *blocked), auxiliary.diagnosis_items())
    procedures = tuple(dict.fromkeys(_procedures(pack)))
    listed = [spelled(code) for name in ("excluded_px", "nature") for code in pack.tables[name]["code"]]
    px = procedure_index(books, (*procedures, *listed, *map(spelled, auxiliary.procedure_codes())))
    cleaning = Cleaning(pack.tables["excluded_px"], dx, px, ends=pack.setting("conservative") == "case")
    terms = ordered_terms(pack.rows)
    asked = [Asked(term.dx, term.px, term.literals) for term in terms]
    marks = list(_primary_care(pack))
    conditions = tuple(
        dict.fromkeys(condition for term in (*asked, *marks) for condition, _ in sorted(term.literals, key=repr))
    )
    builder = TableBuilder(conditions, dx, px)
    in_kernel = np.flatnonzero([term.combination is None for term in terms]).astype(np.int32)
    in_exact = np.flatnonzero([term.combination is not None for term in terms]).astype(np.int32)
    tables = builder.tables([asked[at] for at in in_kernel], in_kernel)
    sets = [term.combination or () for term in terms]
    return CompiledDip(
        pack=pack,
        dx=dx,
        px=px,
        flags=flags,
        term_row=np.array([term.place for term in terms], np.int32),
        term_layer=np.array([term.layer for term in terms], np.int32),
        term_reason=tuple(term.reason for term in terms),
        tables=tables,
        exact=builder.exact([asked[at] for at in in_exact], [sets[at] for at in in_exact], in_exact, cleaning.left_out),
        primary_care=builder.tables(marks, np.zeros(len(marks), np.int32)),
        context=DipContextPlan(conditions, tables.words, flags, dx, px),
        cleaning=cleaning,
        mixed=MixedGroups(pack, books, dx, px),
        blocked=dx.members(blocked),
        blocked_beginnings=frozenset(filter(is_beginning, excluded)),
        named={
            "dx": dx.members(item for item in items if item.whole),
            "px": np.isin(np.arange(px.size), procedure_ids(px, procedures)),
        },
        gray={
            "dx": frozenset(books.diagnosis.frame.filter("gray")["code"]),
            "px": frozenset(books.procedure.frame.filter("gray")["code"]),
        },
    )


def _flags(pack: DipPack) -> FlagItems:
    found: dict[str, dict[str, Items]] = {}
    for flag, role, cell in pack.table("flag").iter_rows():
        roles = found.setdefault(flag, {"principal": (), "other": ()})
        roles[role] += diagnosis_items(cell)
    return {flag: (roles["principal"], roles["other"]) for flag, roles in found.items()}


def _items(pack: DipPack, flags: FlagItems) -> Iterator[DiagnosisItem]:
    """Every diagnosis item that a row, a scope or a named condition asks for."""
    for row in pack.rows:
        yield from (*(row.principal or ()), *row.other, *row.anywhere)
    for principal, others in flags.values():
        yield from (*principal, *others)
    for name, column in (("mixed", "scope"), ("excluded_px", "principal_dx"), ("primary_care", "principal_dx")):
        for cell in pack.tables[name][column]:
            yield from diagnosis_items(cell)


def _procedures(pack: DipPack) -> Iterator[str]:
    """Every procedure that a row asks for, as `spelled`."""
    for row in pack.rows:
        for codes in (*row.px, *row.related):
            yield from codes
    for cell in pack.tables["primary_care"]["px"]:
        for codes in procedure_alternatives(cell):
            yield from codes


def _primary_care(pack: DipPack) -> Iterator[Asked]:
    """What the rows of the mark ask; without procedures they ask for conservative treatment."""
    for cell, px in pack.tables["primary_care"].select("principal_dx", "px").iter_rows():
        dx = None if cell == ANY else diagnosis_items(cell)
        for way in procedure_ways("principal" if px else "none", procedure_alternatives(px)):
            yield Asked(dx, way.px, way.literals)
