"""Weights (RW) or scores of a scheme's groups from case documents, as a job: the command's own table and report."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from api.core.clearing_files import run_id_of
from api.core.peer_averages import PeerTiers
from api.core.weight_comparison import Comparison, compare, table_id
from api.core.weight_report import write_weight_report
from api.core.weights import MEAN_COST, RELATIVE, WeightPlan, Weights, weigh, weight_table
from api.service.audit import Actor
from api.service.basis import Basis
from api.service.chosen import CURRENT
from api.service.context import Service
from api.service.documents import Stand, laid_out, standing
from api.service.history_terms import check_scheme, positive, scheme_of, terms_of
from api.service.jobs import enqueue
from api.service.office_work import (
    CASES,
    Kept,
    all_needed,
    asked_with,
    chosen_documents,
    chosen_in,
    deciding,
    ending,
    lay_cases,
    plain_args,
    reading,
    unfit,
    working,
)
from api.service.runs import DONE, FULL_REPORT, Made, kept_folder
from api.service.submissions import NotTaken
from api.service.told import numbered
from api.service.values import canonical, new_id
from api.service.worker import JobContext
from budget.money import decimal_text
from grouper.dip.compile import CompiledDip
from grouper.output import table_csv
from reference_tables.group_weights import built_in_weights

JOB = "weights"


def ask(service: Service, connection: sa.Connection, actor: Actor, args: Mapping[str, Any]) -> str:
    """The id of a job that weighs case documents. Raises NotTaken (SV03, SV04), TablesRefused (SV03)."""
    all_needed(connection, CASES, args["cases"])
    terms_of(args)
    positive("cv", str(args["cv"]))
    scheme, compared = check_scheme(service, connection, str(args["scheme"])), str(args["compare"])
    _check_compared(standing(connection), compared)
    for name in () if args["peers"] else ("policy", "hospitals"):
        if args[name]:
            raise NotTaken(unfit(name, "只用于同级别次均费用（peers）"))
    # The scheme is the request's own, and weights are what is made: a policy that is named brings neither.
    named = chosen_in(args, "policy", "hospitals")
    chosen = {**named, "scheme": scheme or CURRENT, "weights": CURRENT} if named else {}
    used = chosen_documents(
        service, connection, chosen, cases=args["cases"], scheme=[scheme],
        weights=[compared], weights_aside=[compared],
    )  # fmt: skip
    return enqueue(
        connection,
        actor,
        JOB,
        f"{JOB} {new_id('ask')}",
        {**args, "scheme": scheme, "chosen": chosen, "documents": used},
    )


def _check_compared(stand: Stand, name: str) -> None:
    """A table of the office's by its name, or a published one by its id, or region and year; a name is never taken for
    a path."""
    if name and stand.named("weights", name) is None and table_id(name) not in built_in_weights():
        raise NotTaken(unfit("compare", f"没有放入的或内置的权重表 {name}"))


def work_on(service: Service, context: JobContext) -> Any:
    """The handler of weights."""
    args = context.held.args
    terms = terms_of(args)
    with working(service, context) as folder:
        stand, basis = asked_with(service, context)
        scheme = scheme_of(service, stand, basis, str(args["scheme"]))
        usual = MEAN_COST if isinstance(scheme, CompiledDip) else RELATIVE
        plan = WeightPlan(
            terms.method or usual, terms.years, terms.year_weights, terms.trimming, terms.min_cases,
            positive("cv", str(args["cv"])), terms.benchmark, terms.quota_fen, **reading(args),
        )  # fmt: skip
        compared = str(args["compare"])
        own = stand.named("weights", compared) if compared else None
        if own is not None:
            compared = str(laid_out(service.files, own, folder / "compared"))
        if compared:
            compare({}, {}, compared)  # a table that is not there is said before the long work
        paths = lay_cases(service, stand, folder, args["cases"])
        tiers = PeerTiers(basis.policy, basis.hospitals) if args["peers"] else None
        problems = Kept()
        found = weigh(
            paths, scheme, plan, tiers=tiers, problems=problems, progress=lambda _, rows: context.tell(rows, 0)
        )  # fmt: skip
        beside = _beside(found, compared) if compared else None
        out = folder / "out"
        out.mkdir()
        (out / "weights.csv").write_bytes(table_csv(weight_table(found)))
        write_weight_report(found, beside, out / "report.xlsx", cases=False, served=True)
        write_weight_report(found, beside, out / FULL_REPORT, served=True)
        problems.write_csv(out)
        proof = _proof(found, basis, args, beside)
        made = Made(
            JOB, max(found.years), "", DONE, run_id_of(proof), _summary(found, beside), proof,
            kept_folder(service.files, out),
        )  # fmt: skip
    return ending(context, made, stand, basis)


def _beside(found: Weights, name: str) -> Comparison:
    numbers = {code: Fraction(score) for code, score in found.scores.scores.items()}
    return compare(numbers, {code: costs.cases for code, costs in found.scores.costs.items()}, name)


def _proof(
    found: Weights, basis: Basis, args: Mapping[str, Any], beside: Comparison | None
) -> dict[str, Any]:  # fmt: skip
    pack = found.scheme.pack
    inputs = sorted(
        ({"name": Path(item.path).name, "sha256": item.sha256} for item in found.sources), key=canonical
    )  # fmt: skip
    decides = {
        **plain_args(args),
        "cases": inputs,
        "years": list(found.years),
        "scheme": pack.id,
        "scheme_sha256": pack.sha256,
        **({} if beside is None else {"compare_sha256": beside.sha256}),
    }
    return deciding(JOB, basis if args["peers"] else None, asked=decides)


def _summary(found: Weights, beside: Comparison | None) -> dict[str, Any]:
    history, scores = found.history, found.scores
    compared = None if beside is None else {
        "title": beside.title, "common": len(beside.groups), "only_ours": len(beside.only_ours),
        "only_theirs": len(beside.only_theirs),
        "level": None if beside.level is None else decimal_text(beside.level, 4),
        "rank_correlation": beside.rank_correlation or None,
    }  # fmt: skip
    return {
        "scheme": found.scheme.pack.id, "years": list(found.years), "method": found.plan.method,
        "trimming": found.plan.trimming, "cases": history.cases.height, "counted": scores.whole.cases,
        "status": dict(sorted(history.status.items())),
        "groups": {kind: {"groups": groups, "cases": cases} for kind, (groups, cases) in found.by_stability().items()},
        "reference_fen": decimal_text(scores.reference_fen, 2), "riv": found.explained.text or None,
        "riv_trimmed": found.explained_trimmed.text or None, "comparison": compared,
        "problems": numbered(history.problems),
    }  # fmt: skip
