"""Terms of DIP as tables of bits: classes of principal codes, context masks, and the look-up of combinations."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from grouper.code_index import CodeIndex
from grouper.dip.axis import ANY, Axis
from grouper.dip.codes import DiagnosisCodes
from grouper.dip.combination import Combinations
from grouper.dip.context import procedure_ids
from grouper.dip.terms import Condition, Items, Literals
from grouper.term_tables import Words, context_masks, pack_bits
from reference_tables.dip_cells import Alternative

_Key = TypeVar("_Key", bound=Hashable)


class Asked(NamedTuple):
    """What a term asks: `dx` items of the principal diagnosis (None = any), `px` effective principal procedures
    (None = any or none, "" = none), `literals` of the rest."""

    dx: Items | None
    px: frozenset[str] | None
    literals: Literals


@dataclass(frozen=True, eq=False)
class DipMasks:
    """Terms by what they ask of the context (see TermMasks); `term_path` is their place in the order of all terms."""

    required: Words
    forbidden: Words
    term_path: NDArray[np.int32]

    @property
    def words(self) -> int:
        """W, how many 64-bit words a case's context takes."""
        return int(self.required.shape[1])


@dataclass(frozen=True, eq=False)
class DipTables(DipMasks):
    """The same with what they ask of the principal codes (see TermTables), and the class of each code: `dx_class`
    int32 [dx ids], `px_class` int32 [px ids]."""

    dx_class: NDArray[np.int32]
    px_class: NDArray[np.int32]
    dx_terms: Words
    px_terms: Words
    free: Words


@dataclass(frozen=True, eq=False)
class ExactTerms:
    """Terms that compare the whole set of procedures. `keys` int64 ascending: class of the principal diagnosis x
    `width` + combination; the terms of key k are `steps[start[k]:start[k + 1]]`. `asks` bool [dx classes]: some term
    allows the class; `dx_class` int32 [dx ids]."""

    masks: DipMasks
    combinations: Combinations
    dx_class: NDArray[np.int32]
    asks: NDArray[np.bool_]
    width: int
    keys: NDArray[np.int64]
    start: NDArray[np.int64]
    steps: NDArray[np.int32]


class TableBuilder:
    """Makes the tables of terms over one list of context bits."""

    def __init__(self, conditions: Sequence[Condition], dx: DiagnosisCodes, px: CodeIndex) -> None:
        self.conditions = conditions
        self.dx = dx
        self.px = px

    def masks(self, terms: Sequence[Asked], places: NDArray[np.int32]) -> DipMasks:
        """Context masks of some terms; `places`: their places in the order of all."""
        return DipMasks(*context_masks([term.literals for term in terms], self.conditions), places)

    def tables(self, terms: Sequence[Asked], places: NDArray[np.int32]) -> DipTables:
        """Tables for the kernel."""
        masks = self.masks(terms, places)
        dx, dx_asked = self._dx_axis(terms)
        px, px_asked = _axis([term.px for term in terms], self.px.size, lambda codes: procedure_ids(self.px, codes))
        return DipTables(
            required=masks.required,
            forbidden=masks.forbidden,
            term_path=masks.term_path,
            dx_class=dx.of_id,
            px_class=px.of_id,
            dx_terms=dx.term_bits(dx_asked),
            px_terms=px.term_bits(px_asked),
            free=pack_bits(np.all((masks.required | masks.forbidden) == 0, axis=1)[None, :])[0],
        )

    def exact(
        self,
        terms: Sequence[Asked],
        sets: Sequence[Alternative],
        places: NDArray[np.int32],
        left_out: NDArray[np.bool_],
    ) -> ExactTerms:
        """Tables for terms that compare combinations: `sets` one for each term, `left_out` bool [px ids] procedures
        that do not count."""
        ids = [tuple(procedure_ids(self.px, codes).tolist()) for codes in sets]
        combinations = Combinations(ids, left_out)
        number = np.array([combinations.number[one] for one in ids], np.int64)
        width = len(combinations.number) + 1
        dx, asked = self._dx_axis(terms)
        steps, classes = dx.pairs(asked)
        wanted = classes * width + number[steps]
        order = np.lexsort((steps, wanted))
        keys, start = np.unique(wanted[order], return_index=True)
        asks = np.zeros(dx.size, np.bool_)
        asks[classes] = True
        return ExactTerms(
            masks=self.masks(terms, places),
            combinations=combinations,
            dx_class=dx.of_id,
            asks=asks,
            width=width,
            keys=keys,
            start=np.append(start, len(steps)),
            steps=steps[order].astype(np.int32),
        )

    def _dx_axis(self, terms: Sequence[Asked]) -> tuple[Axis, NDArray[np.int64]]:
        return _axis([term.dx for term in terms], self.dx.index.size, self.dx.ids_under)


def _axis(
    wanted: Iterable[_Key | None], size: int, ids_of: Callable[[_Key], NDArray[np.int64]]
) -> tuple[Axis, NDArray[np.int64]]:
    """The axis of one kind of principal codes, and for each term its condition there (ANY = none)."""
    number: dict[_Key, int] = {}
    asked = [ANY if key is None else number.setdefault(key, len(number)) for key in wanted]
    return Axis(size, [ids_of(key) for key in number]), np.array(asked, np.int64)
