"""The cases of a year, block by block: what belongs to it, what is merged, decided or left out, what all is paid.

Most cases are added up as they are read and never seen again. Kept to the end are only those that need a look across
the whole year: readmissions, decided cases, groups with a yearly number. Neither the order of cases nor the blocks they
come in change anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from budget.case_routes import capped_groups
from budget.frames import CASE_KIND_ZH, PAYABLE_SCHEMA
from budget.hospital_units import CaseTallies, TallyRule, add_tallies, rated, tally_cases
from budget.plain_cases import BLOCK
from budget.pricing import Pricer
from budget.readmission import merged_stays
from budget.settlement import KIND_SCHEMA, by_kind, pool_of
from budget.special_quota import special_quota
from budget.text_codes import Codes, Ints, TextCodes
from budget.year_tally import YearTally
from budget.year_terms import YearTerms
from reference_tables.policy import Policy
from reference_tables.problems import Problem, TablesRefused, problem_rows
from reference_tables.year_file import YearFile, YearRow

FLUSH = 1 << 19
_UNUSED = ("hospital_name", "department", "mdc", "name", "drug_fen", "consumable_fen")
_SUMMED = (
    "total_cost_fen", "separate_fen", "fund_by_item_fen", "patient_paid_fen", "other_funds_fen", "self_funded_fen",
    "prior_self_pay_fen", "deductible_fen", "tcm_fen", "tcm_base_fen", "los_days",
)  # fmt: skip
_STAY = ("person", "hospital_id", "insurance", "group")  # one insurance's fund pays no stay of another's
_ROW = pl.lit(0, dtype=pl.UInt32).alias("row")
Mask = NDArray[np.bool_]
BEYOND_SCHEMA: dict[str, pl.DataType] = {
    "hospital_id": pl.String(), "insurance": pl.String(), "case_id": pl.String(), "quota": pl.Int64(),
    "discharges": pl.Int64(),
}  # fmt: skip
"""A special case beyond its hospital's quota, paid as any other: in the order of the decisions."""


@dataclass(frozen=True)
class YearPaid:
    """What a year's cases add up to. `kinds` KIND_SCHEMA; `beyond` BEYOND_SCHEMA; `notes` PROBLEM_SCHEMA: what was left
    out or merged."""

    tallies: CaseTallies
    kinds: pl.DataFrame
    beyond: pl.DataFrame
    notes: list[pl.DataFrame]


@dataclass
class _Found:
    """What the blocks say on the way."""

    outside: list[pl.DataFrame] = field(default_factory=list)
    strangers: list[pl.DataFrame] = field(default_factory=list)
    together: list[pl.DataFrame] = field(default_factory=list)
    members: list[pl.DataFrame] = field(default_factory=list)
    beyond: list[pl.DataFrame] = field(default_factory=list)
    discharges: list[pl.DataFrame] = field(default_factory=list)
    cases: int = 0


class _Priced:
    """The cases of one policy, added up."""

    def __init__(self, pricer: Pricer, policy: Policy, rule: TallyRule) -> None:
        self.pricer, self._policy, self._rule = pricer, policy, rule
        self.tally = YearTally(pricer, rule)
        self.capped = capped_groups(pricer.policy)
        self.odd: list[pl.DataFrame] = []
        self.parts: list[CaseTallies] = []
        self.kinds: list[pl.DataFrame] = []
        self.left_out: list[pl.DataFrame] = []

    def counted(self, cases: pl.DataFrame, rows: Ints) -> Mask:
        """bool [rows]: cases of groups with a yearly number."""
        if self.capped is None:
            return np.ones(len(rows), np.bool_)
        groups = cases["group"][rows].cast(pl.String)
        return groups.is_in(sorted(self.capped)).fill_null(value=False).to_numpy()

    def price(self, parts: list[pl.DataFrame], decisions: pl.DataFrame | None = None) -> None:
        """Price cases one by one and add them up; empties the list."""
        cases = pl.concat(parts) if parts else pl.DataFrame()
        parts.clear()
        if cases.is_empty():
            return
        priced = self.pricer.price(cases, decisions, display=False)
        tallied = tally_cases(cases, priced, self.pricer.policy, self._rule)
        counted = np.ones(cases.height, np.bool_)
        counted[tallied.left_out] = False
        self.parts.append(tallied)
        self.kinds.append(by_kind(priced.frame.filter(counted).with_columns(pool_of(self._policy))))
        self.left_out.append(cases[tallied.left_out].select("hospital_id", "case_id"))

    def finish(self) -> None:
        """Price what is left and put all sums with the others. Raises TablesRefused with the missing parameters."""
        self.price(self.odd)
        self.pricer.refuse_missing(self.tally.plain.problems)
        self.parts.append(self.tally.tallies())
        self.kinds.append(self.tally.kinds())


class YearCases:
    """Adds up the cases of one year. `pricers`: by the `basis` of a case, "" where there is none; `cases`:
    PAYABLE_SCHEMA with or without `basis`, in memory or still to be read; `decisions` as in ClearingInput."""

    def __init__(
        self,
        terms: YearTerms,
        pricers: Mapping[str, Pricer],
        rule: TallyRule,
        year_file: YearFile,
        cases: pl.DataFrame | pl.LazyFrame,
        decisions: pl.DataFrame | None,
    ) -> None:
        self._terms, self._file, self._cases = terms, year_file, cases
        self._policy = terms.policy
        self._decisions = None if decisions is None or decisions.is_empty() else decisions
        own = pl.col("month").cast(pl.String).str.starts_with(str(terms.year)) & pl.col("hospital_id").is_not_null()
        # Amounts at rates are told in weights at the rates of the policy that clears, points are points.
        rule = rated(rule, self._policy, cases.lazy().filter(own))
        self._priced = {key: _Priced(pricer, self._policy, rule) for key, pricer in pricers.items()}
        self._columns = cases.collect_schema().names() if isinstance(cases, pl.LazyFrame) else cases.columns

    def paid(self) -> YearPaid:
        """Price and add up. Raises TablesRefused with what does not fit together or what the policy lacks."""
        found = _Found()
        merging = self._readmitted()
        start = 0
        for block in self._blocks():
            at = np.zeros(block.height, np.bool_)
            own = merging[np.searchsorted(merging, start) :] - start
            at[own[own < block.height]] = True
            for key, part, together in self._by_basis(block, at):
                self._block(self._priced[key], part, together, found)
            start += block.height
        if not found.cases:
            raise TablesRefused(self._policy.id, [Problem("CL37", {"year": self._terms.year})])
        _check_members(self._policy.id, self._file, found.members)
        row = {"year": str(self._terms.year)}
        notes = [problem_rows(part, "CL53", args=row) for part in found.outside]
        notes += [problem_rows(part, "CL56") for part in found.strangers]
        if found.together or self._decisions is not None:
            kept = pl.concat([pl.DataFrame(schema=self._schema()), *found.together]).sort("hospital_id", "case_id")
            merged = _merged(kept, self._terms, notes)
            decisions = self._within_quota(kept, merged, found, notes)
            for key, part, _ in self._by_basis(merged, np.zeros(merged.height, np.bool_)):
                self._priced[key].price([part], decisions)
        every = [self._priced[key] for key in sorted(self._priced)]
        for priced in every:
            priced.finish()
        names = {"hospital_id": pl.String(), "case_id": pl.String()}
        out = pl.concat([pl.DataFrame(schema=names), *(part for priced in every for part in priced.left_out)])
        notes.append(problem_rows(out.sort("hospital_id", "case_id").select(_ROW, "case_id"), "CL52"))
        tallies = add_tallies(part for priced in every for part in priced.parts)
        beyond = pl.concat([pl.DataFrame(schema=BEYOND_SCHEMA), *found.beyond])
        return YearPaid(tallies, _kinds([part for priced in every for part in priced.kinds]), beyond, notes)

    def _schema(self) -> dict[str, pl.DataType]:
        basis: dict[str, pl.DataType] = {"basis": pl.String()} if "basis" in self._columns else {}
        return {name: dtype for name, dtype in PAYABLE_SCHEMA.items() if name not in _UNUSED} | basis

    def _blocks(self) -> Iterator[pl.DataFrame]:
        names = list(self._schema())
        if isinstance(self._cases, pl.DataFrame):
            yield from self._cases.select(names).iter_slices(BLOCK)
        else:
            yield from self._cases.select(names).collect_batches(chunk_size=BLOCK, maintain_order=True)

    def _by_basis(self, cases: pl.DataFrame, marked: Mask) -> Iterator[tuple[str, pl.DataFrame, Mask]]:
        """The cases of each policy, with their marks."""
        if "basis" not in self._columns:
            yield "", cases, marked
            return
        for key in cases["basis"].unique().sort():
            own = cases["basis"] == key
            yield key, cases.filter(own), marked[own.to_numpy()]

    def _block(self, priced: _Priced, cases: pl.DataFrame, together: Mask, found: _Found) -> None:
        """Add up one block of one policy's cases; `together`: those to be kept to the end."""
        plain = priced.tally.plain
        codes = plain.codes(cases)
        fits = [self._fit(name, plain.texts[name], codes[name]) for name in ("month", "hospital_id", "insurance")]
        gone = None
        if not all(np.all(fit) for fit in fits):
            here, hospital, insurance = (np.array(np.broadcast_to(fit, cases.height)) for fit in fits)
            found.outside.append(cases.filter(pl.Series(~here)).select(_ROW, "case_id"))
            found.strangers.append(cases.filter(pl.Series(here & ~(hospital & insurance))).select(_ROW, "case_id"))
            gone = ~(here & hospital & insurance)
        kept = cases if gone is None else cases.filter(pl.Series(~gone))
        found.cases += kept.height
        if self._file.rows("county_group"):
            found.members.append(kept.select(pl.col("hospital_id", "county_group").cast(pl.String)).unique())
        if self._decisions is not None:
            found.discharges.append(kept.group_by(pl.col("hospital_id").cast(pl.String)).len("discharges"))
            together = together | cases["case_id"].is_in(self._decisions["case_id"].unique().implode()).to_numpy()
        aside = together if gone is None else together | gone
        odd = priced.tally.add(cases, codes, aside if aside.any() else None)
        if gone is not None:
            odd = odd[~gone[odd]]
        if not odd.size:
            return
        whole = together[odd] | priced.counted(cases, odd)
        for rows, parts in ((odd[whole], found.together), (odd[~whole], priced.odd)):
            if rows.size:
                parts.append(cases[rows].cast(self._schema()))  # type: ignore[arg-type]
        if sum(part.height for part in priced.odd) >= FLUSH:
            priced.price(priced.odd)

    def _fit(self, name: str, coder: TextCodes, code: Codes) -> Any:
        """bool [cases], or one for all: the year's month, a known hospital, an insurance of the policy."""
        good = np.array([self._is_fit(name, text) for text in coder.texts], np.bool_)
        return good.all() or good.take(code)

    def _is_fit(self, name: str, text: str | None) -> bool:
        if text is None or name == "hospital_id":
            return text is not None
        return text in self._policy.insurances if name == "insurance" else text[:4] == str(self._terms.year)

    def _readmitted(self) -> Ints:
        """Rows, ascending, among which all stays are that may have to be merged: those that share person, hospital,
        insurance and group with another one, or whose keys only seem to be the same."""
        if self._terms.look("readmission_days") is None:
            return np.zeros(0, np.int64)
        names = (*_STAY, "admission", "discharge", "status", "month")
        same = pl.struct(pl.col(_STAY).cast(pl.String)).hash().alias("same")
        known = pl.all_horizontal(pl.col(name).is_not_null() for name in names)
        stays = (
            self._cases.lazy()
            .select(names)
            .with_row_index("at")
            .filter(known & (pl.col("status").cast(pl.String) == "GROUPED"))
            .select("at", same)
            .collect(engine="streaming")
        )
        if stays.is_empty():
            return np.zeros(0, np.int64)
        return np.sort(stays.filter(pl.col("same").is_duplicated())["at"].to_numpy().astype(np.int64))

    def _within_quota(
        self, kept: pl.DataFrame, merged: pl.DataFrame, found: _Found, notes: list[pl.DataFrame]
    ) -> pl.DataFrame | None:
        """The decisions that a hospital's quota of special cases holds, the first ones first; the others are listed."""
        if self._decisions is None:
            return None
        listed = self._decisions.with_row_index("place")
        keys = merged.select("hospital_id", "case_id")
        own = listed.filter(pl.col("hospital_id").is_not_null()).join(keys, on=["hospital_id", "case_id"], how="inner")
        free = listed.filter(pl.col("hospital_id").is_null()).drop("hospital_id").join(keys, on="case_id", how="inner")
        known = pl.concat([own, free.select(own.columns)]).sort("place", "hospital_id")
        lost = listed.filter(~pl.col("place").is_in(known["place"].implode()))
        notes.append(problem_rows(lost.select(_ROW, "case_id"), "CL51"))
        accepted = known.filter(pl.col("decision") != "refused")
        if accepted.is_empty():
            return None
        share = self._terms.want("special_quota")
        if share is None:
            raise TablesRefused(self._policy.id, self._terms.problems)
        # Stays that were merged into another one do not count.
        count = pl.col("discharges").cast(pl.Int64)
        of_kept, of_merged = (part.group_by("hospital_id").len("discharges") for part in (kept, merged))
        parts = [*(part.with_columns(count) for part in found.discharges), of_kept.with_columns(-count)]
        whole = pl.concat([*parts, of_merged.with_columns(count)])
        discharges = whole.group_by("hospital_id").agg(pl.col("discharges").sum())
        hospitals = accepted.group_by("hospital_id").len("applied").join(discharges, on="hospital_id")
        quotas = {name: special_quota(count, share, applied).quota for name, applied, count in hospitals.iter_rows()}
        of = pl.col("hospital_id").replace_strict(quotas, return_dtype=pl.Int64).alias("quota")
        ranked = accepted.with_columns(of, pl.int_range(1, pl.len() + 1).over("hospital_id").alias("rank"))
        over = ranked.filter(pl.col("rank") > pl.col("quota"))
        notes.append(problem_rows(over.select(_ROW, "case_id", "quota"), "CL50", args={"quota": pl.col("quota")}))
        placed = over.join(discharges, on="hospital_id").join(
            merged.select("hospital_id", "case_id", "insurance"), on=["hospital_id", "case_id"], maintain_order="left"
        )
        found.beyond.append(placed.sort("place").select(*BEYOND_SCHEMA))
        return ranked.filter(pl.col("rank") <= pl.col("quota")).drop("rank", "quota", "place")


def _check_members(policy: str, file: YearFile, pairs: Sequence[pl.DataFrame]) -> None:
    """Year file and cases must agree on which hospitals belong to the county groups that are paid by bundle: else a
    bundle would have spent nothing, or pay for strangers. Raises TablesRefused (CL40) with all that differ."""
    groups = {row["id"] for row in file.rows("county_group")}
    if not groups:
        return
    members: Mapping[str, YearRow] = {row["hospital"]: row for row in file.rows("member")}
    problems = []
    for hospital, register in pl.concat(pairs).unique().sort(pl.all()).iter_rows():
        row = members.get(hospital)
        # A group without a bundle in the year file is paid as anybody else.
        if (row is None and register not in groups) or (row is not None and row["county_group"] == register):
            continue
        args: dict[str, str | int] = {
            "hospital": hospital, "member": "无" if row is None else row["county_group"], "register": register or "无",
        }  # fmt: skip
        line = 0 if row is None else row.line
        problems.append(Problem("CL40", args, file=file.file, row=line, field="member.hospital", value=hospital))
    if problems:
        raise TablesRefused(f"{policy} {file.file}", problems)


def _merged(cases: pl.DataFrame, terms: YearTerms, notes: list[pl.DataFrame]) -> pl.DataFrame:
    """Readmissions within the policy's days added to the stay before them, and listed."""
    days = terms.look("readmission_days")
    if days is None:
        return cases
    exempt = terms.look("readmission_exempt") or ()
    grouped = cases.with_row_index("at").filter(pl.col("status") == "GROUPED")
    merged = merged_stays(grouped.select("case_id", "admission", "discharge", *_STAY), days, exempt, same=_STAY)
    if not merged.any():
        return cases
    known = pl.all_horizontal(pl.col(name).is_not_null() for name in (*_STAY, "admission", "discharge"))
    chains = (
        grouped.with_columns(merged=merged)
        .filter(known)
        .sort(*_STAY, "admission", "discharge", "case_id")
        .with_columns((~pl.col("merged")).cum_sum().alias("chain"))
    )
    chains = chains.with_columns(pl.col("case_id").first().over("chain").alias("head"))
    # A sum in which any part is not known is not known.
    sums = chains.group_by("chain").agg(
        pl.col("at").first(),
        *(pl.when(pl.col(name).is_not_null().all()).then(pl.col(name).sum()).alias(name) for name in _SUMMED),
        pl.col("discharge").last(),
        pl.len().alias("stays"),
    )
    sums = sums.filter(pl.col("stays") > 1).drop("chain", "stays")
    gone = chains.filter("merged").sort("at")
    notes.append(problem_rows(gone.select(_ROW, "case_id", "head"), "CL55", args={"head": pl.col("head")}))
    names = [*_SUMMED, "discharge"]
    joined = cases.with_row_index("at").join(sums, on="at", how="left", maintain_order="left", suffix="_all")
    joined = joined.filter(~pl.col("at").is_in(gone["at"].implode()))
    head = pl.col("at").is_in(sums["at"].implode())
    whole = [pl.when(head).then(pl.col(f"{name}_all")).otherwise(pl.col(name)).alias(name) for name in names]
    return joined.with_columns(whole).select(pl.col(name).cast(cases.schema[name]) for name in cases.columns)


def _kinds(parts: list[pl.DataFrame]) -> pl.DataFrame:
    """Cases by hospital, pool and kind over all blocks, in the order of kinds."""
    owner = ["hospital_id", "pool", "case_kind"]
    whole = pl.concat(parts).group_by(owner).agg(pl.all().sum())
    place = pl.col("case_kind").replace_strict(
        {kind: at for at, kind in enumerate(CASE_KIND_ZH)}, return_dtype=pl.Int32
    )
    return whole.sort("hospital_id", "pool", place).select(*KIND_SCHEMA)
