"""From case files of any format to PAYABLE cases: grouped, and told in the words of a payment policy.

Files are read and grouped block by block. What a record lacks is a problem of its row and leaves the case unpaid; a
case is never lost. What codes and words mean stands in reference_tables/payable.toml.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from budget.case_fit import DUPLICATE, faults, yuan_of
from budget.frames import FACTOR, PAYABLE_SCHEMA
from budget.group_values import GroupValues
from grouper.discretion import discreet
from grouper.intake import IntakeError, SourceInfo
from grouper.normalize import Edition
from grouper.pipeline import BLOCK_ROWS, GroupedBlock, Progress, grouped_blocks
from grouper.schemes import Scheme
from reference_tables.payable_rules import PARTS, payable_rules
from reference_tables.policy import Policy
from reference_tables.problems import PROBLEM_SCHEMA, problem_frame, problem_rows

OTHER = "其他"
NOT_INSURED = "NOT_INSURED"
WORD = "insurance_word"
_AMOUNTS = (
    "fund_by_item_fen", "patient_paid_fen", "other_funds_fen", "self_funded_fen", "prior_self_pay_fen",
    "deductible_fen",
)  # fmt: skip
_WITHIN_TOTAL = ("fund_by_item_fen", "patient_paid_fen", "self_funded_fen")
"""Parts of the total cost, so none of them can be more."""
_AMOUNT_FIELDS = {
    "fund_by_item_fen": "fund_pay_fen", "self_funded_fen": "own_pay_fen", "patient_paid_fen": "self_pay_fen",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class PayableBlock:
    """A stretch of a file. `cases`: PAYABLE_SCHEMA, `place`: row (UInt32) and case_id of each in its file, `results`:
    what grouping found; row for row. `problems`: PROBLEM_SCHEMA, of reading, grouping and of what payment needs."""

    source: SourceInfo
    cases: pl.DataFrame
    place: pl.DataFrame
    results: pl.DataFrame
    problems: pl.DataFrame


class PayableFiles:
    """Case files as payable cases under one policy.

    `hospitals`: register (hospital_id, name, tier, county_group; see pay_inputs), `separate`: case_id, hospital_id
    (null = any), separate_fen; `owner`: hospital of cases that name none; `block_rows`: cases of a block.
    After `blocks()`: `sources` read, `unusable` files with their errors, `seen` case ids.
    """

    def __init__(
        self,
        paths: Sequence[str],
        scheme: Scheme,
        policy: Policy,
        values: GroupValues,
        *,
        hospitals: pl.DataFrame | None = None,
        separate: pl.DataFrame | None = None,
        fmt: str = "auto",
        edition: Edition = "insurance",
        threads: int = 1,
        progress: Progress | None = None,
        block_rows: int = BLOCK_ROWS,
        owner: str = "",
    ) -> None:
        self.paths, self.scheme, self.policy, self.values = paths, scheme, policy, values
        self.hospitals, self.separate = hospitals, separate
        self.fmt, self.edition, self.threads, self.progress = fmt, edition, threads, progress
        self.block_rows, self.owner = block_rows, owner
        self.sources: list[SourceInfo] = []
        self.unusable: list[tuple[str, IntakeError]] = []
        self.rows = 0
        self.seen: set[str] = set()
        self._unlisted: set[str] = set()

    def blocks(self) -> Iterator[PayableBlock]:
        """Every case of every file, in input order. A file that cannot be read is noted in `unusable`."""
        for path in self.paths:
            try:
                found = grouped_blocks(
                    path, self.scheme, fmt=self.fmt, edition=self.edition, threads=self.threads,
                    block_rows=self.block_rows,
                )  # fmt: skip
                for done in found:
                    if not self.sources or self.sources[-1] is not done.source:
                        self.sources.append(done.source)
                    self.rows += done.cases.height
                    yield self._payable(done)
                    if self.progress is not None:
                        self.progress(done.source, self.rows)
            except IntakeError as error:
                self.unusable.append((path, error))

    def _payable(self, done: GroupedBlock) -> PayableBlock:
        file = done.source.path
        place = done.cases.select("row", "case_id")
        cases, faulty = payable_frame(
            done, self.policy, hospitals=self.hospitals, separate=self.separate, owner=self.owner
        )  # fmt: skip
        cases = self._without_repeats(cases)
        where = cases.with_columns(place["row"], _word(done.cases))
        listed = [done.problems, faulty, *self._unregistered(cases, file)]
        told = pl.lit(value=True)
        for fault in faults(self.policy, self.values):
            met = fault.met.fill_null(value=False)
            rows = where.filter(told & met & (pl.col("status") != "INVALID"))
            told = told & ~met
            if fault.reason == NOT_INSURED:
                listed += self._other_insurance(rows, file)
                continue
            args: dict[str, pl.Expr | str] = {"value": fault.value, "policy": self.policy.id}
            listed.append(
                problem_rows(rows, fault.problem, file=file, field=fault.field, value=fault.value, args=args)
            )  # fmt: skip
        problems = discreet(pl.concat(listed).sort("row", maintain_order=True))
        return PayableBlock(done.source, cases, place, done.results, problems)

    def _other_insurance(self, rows: pl.DataFrame, file: str) -> list[pl.DataFrame]:
        """Cases not insured under the policy, by the word as it was given: one that is known (PA07), or not (PA15)."""
        word, known = pl.col(WORD), pl.col(WORD).is_in(list(payable_rules().insurance))
        args: dict[str, pl.Expr | str] = {"value": word, "policy": self.policy.id}
        return [
            problem_rows(rows.filter(met), code, file=file, field="insurance_type", value=word, args=args)
            for code, met in (("PA07", known), ("PA15", ~known))
        ]

    def _without_repeats(self, cases: pl.DataFrame) -> pl.DataFrame:
        """Cases of a hospital that came before, in this run, marked: nothing is paid twice."""
        return mark_repeats(cases, self.seen)

    def _unregistered(self, cases: pl.DataFrame, file: str) -> list[pl.DataFrame]:
        """Hospitals that the register does not list, each once in the run."""
        if self.hospitals is None:
            return []
        known = self.hospitals["hospital_id"].implode()
        unknown = cases.filter(~pl.col("hospital_id").is_in(known))["hospital_id"].unique(maintain_order=True)
        new = [name for name in unknown if name not in self._unlisted]
        self._unlisted.update(new)
        rows = pl.DataFrame({"row": [0] * len(new), "case_id": [""] * len(new), "value": new}, schema=_ONCE)
        value = pl.col("value")
        return [problem_rows(rows, "PA13", file=file, field="hospital_id", value=value, args={"value": value})]


def mark_repeats(cases: pl.DataFrame, seen: set[str]) -> pl.DataFrame:
    """Cases of a hospital that came before with status DUPLICATE; `seen` ("hospital\\ncase") takes the new ones."""
    keys = cases.select(
        pl.concat_str(pl.col("hospital_id").fill_null(""), pl.col("case_id"), separator="\n").alias("key")
    )["key"]
    given = keys.drop_nulls()
    before = len(seen)
    fresh = set(given)
    if len(fresh) == len(given) and seen.isdisjoint(fresh):
        seen.update(fresh)
        return cases
    assert len(seen) == before
    repeated = []
    for key in keys:
        repeated.append(key is not None and key in seen)
        if key is not None:
            seen.add(key)
    status = pl.when(pl.Series(repeated)).then(pl.lit(DUPLICATE)).otherwise("status").alias("status")
    return cases.with_columns(status)


_ONCE = {"row": pl.UInt32(), "case_id": pl.String(), "value": pl.String()}


def payable_frame(
    done: GroupedBlock,
    policy: Policy,
    *,
    hospitals: pl.DataFrame | None = None,
    separate: pl.DataFrame | None = None,
    owner: str = "",
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """PAYABLE_SCHEMA of one grouped block, row for row, and problems of amounts that cannot be right (PA12, PA14,
    PA16). Cases that name no hospital are the `owner`'s, where there is one."""
    paid = _amounts(done.cases, done.source.format)
    columns = {**_stay(done.cases, policy, owner), **grouping_columns(done.results), **paid}
    given = done.cases.select("row", *(expr.alias(name) for name, expr in columns.items()))
    given = _with_hospitals(given, hospitals)
    given = _with_separate(given, separate)
    problems = []
    total = pl.col("total_cost_fen")
    impossible = [(name, "PA12", pl.col(name) < 0) for name in _AMOUNTS]
    impossible += [(name, "PA16", (pl.col(name) > total) & (total >= 0)) for name in _WITHIN_TOTAL]
    for name, code, met in impossible:
        value, field = yuan_of(pl.col(name)), _AMOUNT_FIELDS.get(name, name)
        args: dict[str, pl.Expr | str] = {"value": value, "total": yuan_of(total)}
        found = given.filter(met)
        problems.append(problem_rows(found, code, file=done.source.path, field=field, value=value, args=args))
        kept = pl.when(~met.fill_null(value=False)).then(pl.col(name))
        given = given.with_columns(kept.alias(name))
    modes = {setting.value for setting in policy.all("fund_share_mode")}
    if "STANDARD_MINUS_PATIENT" in modes:
        lost = given.filter(pl.col("patient_paid_fen").is_null() & (pl.col("status") != "INVALID"))
        problems.append(problem_rows(lost, "PA14", file=done.source.path, field="self_pay_fen"))
    frame = given.select(pl.col(name).cast(dtype) for name, dtype in PAYABLE_SCHEMA.items())
    return frame, pl.concat([pl.DataFrame(schema=PROBLEM_SCHEMA), *problems])


def _has(cases: pl.DataFrame, name: str, dtype: pl.DataType) -> pl.Expr:
    return pl.col(name) if name in cases.columns else pl.lit(None, dtype=dtype)


def _stay(cases: pl.DataFrame, policy: Policy, owner: str) -> dict[str, pl.Expr]:
    """Who, where, when, insured how."""
    rules = payable_rules()
    text, day, time = pl.String(), pl.Date(), pl.Datetime("us")
    discharge = _has(cases, "discharge_time", time).cast(pl.Date)
    admission = _has(cases, "admission_time", time).cast(pl.Date)
    settled = pl.coalesce(_has(cases, "settlement_end", day), discharge)
    insurances = {**rules.insurance, **{name: name for name in policy.insurances}}
    insurance = _trimmed(_has(cases, "insurance_type", text))
    meant = insurance.replace_strict(insurances, default=OTHER, return_dtype=pl.String)
    return {
        "case_id": pl.col("case_id"),
        "hospital_id": _trimmed(_has(cases, "hospital_id", text)).fill_null(pl.lit(owner or None, pl.String())),
        "hospital_name": _has(cases, "hospital_name", text),
        "tier": _tier(cases, policy),
        "county_group": pl.lit(None, dtype=pl.String),
        "department": _has(cases, "department", text),
        "month": settled.dt.strftime("%Y-%m"),
        "insurance": pl.when(insurance.is_not_null()).then(meant),
        "los_days": stay_days(cases),
        "age_years": _has(cases, "age_years", pl.Int32()),
        "admission": admission,
        "discharge": discharge,
        "person": _has(cases, "person_id", text),
    }


def _word(cases: pl.DataFrame) -> pl.Series:
    """The insurance as the record calls it."""
    return cases.select("case_id", _trimmed(_has(cases, "insurance_type", pl.String())).alias(WORD))[WORD]


def _tier(cases: pl.DataFrame, policy: Policy) -> pl.Expr:
    """The level that the record gives, in the policy's words where they are known."""
    given = _has(cases, "hospital_level", pl.String())
    words = {**payable_rules().tier, **{name: name for name in policy.tiers}}
    return _trimmed(given).replace_strict(words, default=given, return_dtype=pl.String)


def tiers_of(cases: pl.DataFrame, policy: Policy, hospitals: pl.DataFrame | None) -> pl.Series:
    """String [cases]: each hospital's tier by the register, else as the record gives it; null for neither."""
    hospital = _trimmed(_has(cases, "hospital_id", pl.String()))
    given = cases.select("case_id", hospital.alias("hospital_id"), tier=_tier(cases, policy))
    if hospitals is not None:
        listed = hospitals.select("hospital_id", pl.col("tier").alias("of_tier"))
        given = given.join(listed, on="hospital_id", how="left", maintain_order="left")
        given = given.with_columns(pl.coalesce("of_tier", "tier").alias("tier"))
    return given["tier"]


def _trimmed(column: pl.Expr) -> pl.Expr:
    """Without outer blanks; null when nothing is left."""
    bare = column.str.strip_chars()
    return pl.when(bare != "").then(bare)


def stay_days(cases: pl.DataFrame) -> pl.Expr:
    """Days of the stay as recorded, else from admission to discharge, at least 1; null when neither is known."""
    time = pl.Datetime("us")
    admission, discharge = (_has(cases, name, time).cast(pl.Date) for name in ("admission_time", "discharge_time"))
    stayed = pl.max_horizontal((discharge - admission).dt.total_days(), pl.lit(1, dtype=pl.Int64))
    stayed = pl.when(discharge >= admission).then(stayed)
    return pl.coalesce(_has(cases, "los_days", pl.Int32()), stayed.cast(pl.Int32))


def grouping_columns(results: pl.DataFrame) -> dict[str, pl.Expr]:
    """What grouping found, by a DRG or a DIP scheme."""
    dip = "dip" in results.columns

    def of(name: str) -> pl.Expr:
        return pl.lit(results[name])

    return {
        "mdc": pl.lit("") if dip else of("mdc"),
        "group": of("dip" if dip else "drg"),
        "name": of("name"),
        "status": of("status"),
        "kind": of("kind") if dip else pl.lit(""),
        "aux_factor": of("factor") if dip else pl.lit(None, dtype=FACTOR),
        "primary_care": of("primary_care") if dip else pl.lit(value=False),
    }


def _amounts(cases: pl.DataFrame, fmt: str) -> dict[str, pl.Expr]:
    """Who paid what, fen; null where the record does not tell. A record means by its words what the format means that
    it was first written in."""
    fen = pl.Int64()
    rules = payable_rules()
    first = _trimmed(_has(cases, "source_format", pl.String())).fill_null(fmt)

    def of(name: str) -> pl.Expr:
        return _has(cases, name, fen)

    whole = pl.when(first.is_in(sorted(rules.whole_self_pay))).then(of("self_pay_fen"))
    found = {
        "total_cost_fen": of("total_cost_fen"),
        "separate_fen": pl.lit(0, dtype=fen),
        "fund_by_item_fen": of("fund_pay_fen") - of("other_funds_fen").fill_null(0),
        "patient_paid_fen": pl.coalesce(
            of("self_pay_fen") + of("own_pay_fen"), of("total_cost_fen") - of("fund_pay_fen"), whole
        ),
        "other_funds_fen": of("other_funds_fen").fill_null(0),
        "self_funded_fen": of("own_pay_fen"),
        "prior_self_pay_fen": of("prior_self_pay_fen"),
        "deductible_fen": of("deductible_fen"),
    }
    for part in PARTS:
        sums = []
        for cost_set in rules.cost_sets:
            names = [name for name in cost_set.parts[part] if name in cases.columns]
            known = [name for name in cost_set.columns if name in cases.columns]
            if names:
                any_known = pl.any_horizontal(pl.col(name).is_not_null() for name in known)
                sums.append(pl.when(any_known).then(pl.sum_horizontal(names)))
        found[f"{part}_fen"] = pl.coalesce(sums) if sums else pl.lit(None, dtype=fen)
    return found


def _with_hospitals(given: pl.DataFrame, hospitals: pl.DataFrame | None) -> pl.DataFrame:
    """What the register says of a hospital goes before what the case says."""
    if hospitals is None:
        return given
    names = {"hospital_name": "name", "tier": "tier", "county_group": "county_group"}
    listed = hospitals.select("hospital_id", *(pl.col(name).alias(f"of_{to}") for to, name in names.items()))
    joined = given.join(listed, on="hospital_id", how="left", maintain_order="left")
    return joined.with_columns(pl.coalesce(f"of_{name}", name).alias(name) for name in names)


def _with_separate(given: pl.DataFrame, separate: pl.DataFrame | None) -> pl.DataFrame:
    """Separately paid amounts of the cases that have any; a hospital's own entry goes before one without hospital."""
    if separate is None:
        return given
    of_any = separate.filter(pl.col("hospital_id").is_null()).select("case_id", pl.col("separate_fen").alias("any_fen"))
    own = separate.filter(pl.col("hospital_id").is_not_null()).rename({"separate_fen": "own_fen"})
    joined = given.join(own, on=["hospital_id", "case_id"], how="left", maintain_order="left")
    joined = joined.join(of_any, on="case_id", how="left", maintain_order="left")
    return joined.with_columns(pl.coalesce("own_fen", "any_fen", "separate_fen").alias("separate_fen"))


def file_problems(files: PayableFiles) -> pl.DataFrame:
    """PROBLEM_SCHEMA: of the files that could not be read at all."""
    return discreet(problem_frame(problem for _, error in files.unusable for problem in error.problems))
