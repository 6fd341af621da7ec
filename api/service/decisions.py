"""Decisions on special cases (特例单议) of a year, entered one by one or as a list, beside the quota of each hospital.

They are kept in the list that the year file names, in the order in which they were made: where a hospital has more than
its quota, the year's clearing takes the first ones.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import sqlalchemy as sa

from api.core.book import KEY, Book
from api.core.pay_inputs import ADJUSTED, BY_ITEM, DECISION_SCHEMA, REFUSED, read_decisions
from api.service.audit import Actor
from api.service.basis import Basis, basis_of
from api.service.book_cases import year_book
from api.service.context import Service
from api.service.documents import DocumentInfo, Stand, put_document, standing
from api.service.known import known_cases, known_hospitals, latest_year
from api.service.office_work import DECISIONS, YEAR_FILE, unfit, year_file_name
from api.service.runs import LOCKED, holding_clearing
from api.service.submissions import NotTaken
from api.service.told import MOST_TOLD
from api.service.year_edits import year_tables
from budget.special_quota import special_quota
from reference_tables.formula_cells import guarded_rows, row_as_given
from reference_tables.payable_rules import payable_rules
from reference_tables.problems import Problem, TablesRefused

COLUMNS = ("case_id", "decision", "amount", "hospital_id", "reason")
MEDIA = "text/csv"


@dataclass(frozen=True, slots=True)
class HospitalQuota:
    """A hospital's special cases: `quota` of its discharges settled so far, `accepted` decisions on cases that have
    come, `over` those of them beyond the quota, `unknown` decisions on cases that have not come yet."""

    hospital_id: str
    discharges: int
    quota: int
    accepted: int
    over: int
    unknown: int


def list_name(service: Service, stand: Stand, year: int) -> str:
    """How the year's list of decisions is called: as its year file says."""
    if stand.latest(YEAR_FILE, year_file_name(year)) is None:
        return f"decisions-{year}.csv"
    return str(year_tables(service, stand, year)[1].get("decisions") or f"decisions-{year}.csv")


def decided(service: Service, connection: sa.Connection, year: int) -> tuple[DocumentInfo | None, list[dict[str, str]]]:
    """The year's list and its rows; None and nothing when there is none. Raises NotTaken, TablesRefused."""
    stand = standing(connection)
    found = stand.latest(DECISIONS, list_name(service, stand, year))
    if found is None:
        return None, []
    text = service.files.path(found.sha256).read_text(encoding="utf-8-sig")
    rows = csv.DictReader(io.StringIO(text))
    return found, [row_as_given({name: (row.get(name) or "").strip() for name in COLUMNS}) for row in rows]


def decide(
    service: Service, connection: sa.Connection, actor: Actor, year: int, row: Mapping[str, str]
) -> Sequence[Problem]:
    """Add a decision (COLUMNS), or change the one made of the case before (which keeps its place); warnings about a
    case that has not come yet, about the quota and about a year that is locked. Raises TablesRefused with the faults of
    the list, SV47 for a hospital that nothing is known of, NotTaken (SV04) for a decision that is none."""
    _check_word(row)
    stand = standing(connection)
    hospital = row["hospital_id"]
    _check_known(known_hospitals(service, connection, stand, year), [hospital], DECISIONS)
    _, rows = decided(service, connection, year)
    key = (row["hospital_id"], row["case_id"])
    places = [at for at, old in enumerate(rows) if (old["hospital_id"], old["case_id"]) == key]
    new = {name: str(row[name]) for name in COLUMNS}
    if places:
        rows[places[0]] = new
    else:
        rows.append(new)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(guarded_rows(item.values() for item in rows))
    name = list_name(service, stand, year)
    data = text.getvalue().encode()
    listed = _read(service, basis_of(service, connection, stand), name, data)
    put_document(connection, actor, DECISIONS, name, service.files.put(data), MEDIA, row["reason"])
    return _told(service, connection, year, listed, key)


def _check_word(row: Mapping[str, str]) -> None:
    """A decision as it is asked for by itself, not as a line of a list. Raises NotTaken (SV04)."""
    words = payable_rules().decision
    if row["decision"] not in words:
        known = "、".join(word for word in words if word)
        raise NotTaken(unfit("decision", f"应为 {known} 之一，或空（按政策的办法支付）"))
    if words[row["decision"]] == ADJUSTED and not row["amount"]:
        raise NotTaken(unfit("amount", "按评议金额支付的，须写明金额（元）"))
    if words[row["decision"]] in {BY_ITEM, REFUSED} and row["amount"]:
        raise NotTaken(unfit("amount", "只在 decision 为 adjusted（调整支付标准）时写"))


def list_told(service: Service, stand: Stand, name: str, listed: pl.DataFrame) -> list[Problem]:
    """Warnings about a whole list that is to be put under a name: the same as of each decision by itself, for every
    year that goes by the list. Raises TablesRefused (SV47) with the hospitals that nothing is known of."""
    told: list[Problem] = []
    with service.database.read() as connection:
        for year in _years_of(service, connection, stand, name):
            hospitals = listed["hospital_id"].drop_nulls().unique().sort().to_list()
            _check_known(known_hospitals(service, connection, stand, year), hospitals, name)
            told += _told(service, connection, year, listed)
    return told


def _years_of(service: Service, connection: sa.Connection, stand: Stand, name: str) -> list[int]:
    """The years whose settlements go by the list of a name. What cannot be read is told where it is used."""
    found = []
    last = latest_year(connection)
    years = {int(item.name[:4]) for item in stand.all(YEAR_FILE) if item.name[:4].isdigit()}
    for year in sorted(years if last is None else years | {last}):
        with suppress(TablesRefused, NotTaken):
            usual = list_name(service, stand, year)
            if usual == name or (year not in years and stand.latest(DECISIONS, usual) is None):
                found.append(year)
    return found


def _check_known(known: Collection[str], hospitals: Sequence[str], name: str) -> None:
    """Is something known of all hospitals, where of any? Raises TablesRefused (SV47)."""
    strange = [item for item in hospitals if known and item not in known]
    if strange:
        problems = [Problem("SV47", {"value": item}, field="hospital_id", value=item) for item in strange]
        raise TablesRefused(name, problems)


def _told(
    service: Service, connection: sa.Connection, year: int, listed: pl.DataFrame, key: tuple[str, str] | None = None
) -> list[Problem]:
    """Warnings about a year's list: cases that have not come yet, hospitals beyond their quota, a year that is locked;
    `key`: about one case and its hospital alone."""
    known = known_cases(service, connection, year)
    named = listed.filter(pl.col("hospital_id").is_not_null())
    free = listed.filter(pl.col("hospital_id").is_null())
    strange = named.join(known, on=list(KEY), how="anti", maintain_order="left").select(*KEY)
    blank = free.join(known, on="case_id", how="anti", maintain_order="left").select(*KEY)
    waiting = pl.concat([strange, blank])
    if key is not None:
        waiting = waiting.filter(hospital_id=key[0], case_id=key[1])
    told = [
        Problem("SV48", {"value": case, "hospital": hospital or "—"}, case_id=case)
        for hospital, case in waiting.head(MOST_TOLD).select("hospital_id", "case_id").iter_rows()
    ]  # fmt: skip
    over = [item for item in _quotas(service, connection, year, listed) if item.over]
    told += [
        Problem("SV49", {
            "hospital": item.hospital_id, "accepted": item.accepted, "quota": item.quota,
            "discharges": item.discharges, "over": item.over,
        }) for item in over if key is None or item.hospital_id == key[0]
    ]  # fmt: skip
    holding = holding_clearing(connection, year)
    if holding is not None and holding.state == LOCKED:
        book = year_book(service, str(year))
        fresh = listed if book is None else applying(listed, book, None)[0]
        if not fresh.is_empty() or not waiting.is_empty():
            told.append(Problem("SV79", {"year": year, "value": holding.id}, value=holding.id))
    return told


def _read(service: Service, basis: Basis, name: str, data: bytes) -> pl.DataFrame:
    with TemporaryDirectory(dir=service.work) as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        return read_decisions(path, basis.policy)


def list_in_use(service: Service, stand: Stand, year: int) -> DocumentInfo | None:
    """The list of decisions that a year's settlements go by; without a year file and a list of the year's own, the one
    that was put last. Raises TablesRefused."""
    found = stand.latest(DECISIONS, list_name(service, stand, year))
    if found is None and stand.latest(YEAR_FILE, year_file_name(year)) is None:
        return stand.latest(DECISIONS)
    return found


def applying(listed: pl.DataFrame, book: Book, cases: pl.DataFrame | None) -> tuple[pl.DataFrame, int]:
    """The decisions of a year's list that a settlement of `cases` has to apply, each with its hospital, and how many
    wait for cases that have not come yet. What the book has applied already comes no second time."""
    found = [book.cases(KEY).select(*KEY), *([] if cases is None else [cases.select(*KEY)])]
    known = pl.concat(found).drop_nulls().unique(maintain_order=True)
    blank = pl.col("hospital_id").is_null()
    own = listed.filter(~blank).join(known, on=KEY, how="semi", maintain_order="left")
    free = listed.filter(blank).drop("hospital_id").join(known, on="case_id", maintain_order="left")
    placed = pl.concat([free.select(own.columns).join(own, on=KEY, how="anti", maintain_order="left"), own])
    waiting = listed.height - own.height - free["case_id"].n_unique()
    same = list(DECISION_SCHEMA)
    return placed.join(book.decisions(), on=same, how="anti", nulls_equal=True, maintain_order="left"), waiting


def quotas(service: Service, connection: sa.Connection, year: int) -> list[HospitalQuota]:
    """The quota of every hospital with settled cases or decisions, by the policy's share of discharges; a decision
    without a hospital counts for the hospital of its case. Decisions on cases that have not come yet are counted
    apart."""
    found, _ = decided(service, connection, year)
    listed = pl.DataFrame(schema=DECISION_SCHEMA)
    if found is not None:
        data = service.files.path(found.sha256).read_bytes()
        listed = _read(service, basis_of(service, connection), found.name, data)
    return _quotas(service, connection, year, listed)


def _quotas(service: Service, connection: sa.Connection, year: int, listed: pl.DataFrame) -> list[HospitalQuota]:
    book = year_book(service, str(year))
    cases = pl.DataFrame(schema={"hospital_id": pl.String(), "case_id": pl.String()})
    if book is not None:
        cases = book.cases(KEY).select(*KEY)
    accepted = listed.filter(pl.col("decision") != REFUSED).select("hospital_id", "case_id")
    named = accepted.filter(pl.col("hospital_id").is_not_null())
    known = known_cases(service, connection, year)
    free = accepted.filter(pl.col("hospital_id").is_null()).select("case_id").join(known, on="case_id")
    of_known = pl.concat([named.join(known, on=list(KEY), how="semi"), free.select(named.columns)])
    of_others = named.join(known, on=list(KEY), how="anti")
    whole = cases.group_by("hospital_id").len("discharges")
    for part, name in ((of_known, "accepted"), (of_others, "unknown")):
        counts = part.group_by("hospital_id").len(name)
        whole = whole.join(counts, on="hospital_id", how="full", coalesce=True)
    share = basis_of(service, connection).policy.get("special_quota")
    made = []
    for hospital, discharges, applied, unknown in whole.sort("hospital_id").fill_null(0).iter_rows():
        of = special_quota(discharges, share.value, applied) if share is not None else None
        quota, over = (0, 0) if of is None else (of.quota, of.over)
        made.append(HospitalQuota(hospital, discharges, quota, applied, over, unknown))
    return made
