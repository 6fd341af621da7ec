"""DIP catalogs out of case documents, as a job: the command's own pack and report."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, cast

import sqlalchemy as sa

from api.core.catalog import BuiltCatalog, build_catalog
from api.core.catalog_auxiliary import DEFAULT, auxiliary_tables
from api.core.catalog_plan import CatalogIdentity, CatalogPlan, MethodName
from api.core.catalog_report import riv_rows, write_report
from api.core.clearing_files import run_id_of
from api.core.weights import MEAN_COST
from api.service.audit import Actor
from api.service.context import Service
from api.service.history_terms import check_scheme, pack_of, scheme_of, terms_of
from api.service.jobs import enqueue
from api.service.office_work import (
    CASES,
    Kept,
    all_needed,
    asked_with,
    deciding,
    documents_for,
    ending,
    lay_cases,
    plain_args,
    reading,
    unfit,
    working,
)
from api.service.runs import DONE, FULL_REPORT, Made, kept_folder
from api.service.scheme_files import zip_pack
from api.service.submissions import NotTaken
from api.service.told import numbered
from api.service.values import new_id
from api.service.worker import JobContext
from grouper.catalog.case_keys import Combination
from grouper.compile import CompiledScheme
from grouper.dip.compile import CompiledDip
from grouper.proof import file_sha256
from reference_tables.manifest import DataLevel
from reference_tables.packs import DrgPack

JOB = "catalog"


def ask(service: Service, connection: sa.Connection, actor: Actor, args: Mapping[str, Any]) -> str:
    """The id of a job that builds a catalog. Raises NotTaken (SV03, SV04), TablesRefused (SV03)."""
    all_needed(connection, CASES, args["cases"])
    terms_of(args)
    drg = check_scheme(service, connection, str(args["drg_scheme"]))
    kept = check_scheme(service, connection, str(args["scheme"]))
    if not isinstance(pack_of(service, connection, drg), DrgPack):
        raise NotTaken(unfit("drg_scheme", "应为 DRG 方案"))
    if kept and isinstance(pack_of(service, connection, kept), DrgPack):
        raise NotTaken(unfit("scheme", "应为 DIP 方案"))
    used = documents_for(connection, cases=args["cases"], scheme=[drg, kept])
    asked = {**args, "drg_scheme": drg, "scheme": kept, "documents": used}
    return enqueue(connection, actor, JOB, f"{JOB} {new_id('ask')}", asked)


def work_on(service: Service, context: JobContext) -> Any:
    """The handler of catalogs."""
    args = context.held.args
    terms = terms_of(args)
    with working(service, context) as folder:
        stand, basis = asked_with(service, context)
        drg = scheme_of(service, stand, basis, str(args["drg_scheme"]))
        base = scheme_of(service, stand, basis, str(args["scheme"])) if args["scheme"] else None
        assert isinstance(drg, CompiledScheme), "it was looked at when it was asked for"
        assert base is None or isinstance(base, CompiledDip), "it was looked at when it was asked for"
        auxiliary = str(args["auxiliary"]) or ("" if base is not None else DEFAULT)
        plan = CatalogPlan(
            years=terms.years, year_weights=terms.year_weights, min_cases=terms.min_cases,
            combination=cast(Combination, args["combination"]), benchmark=terms.benchmark,
            method=cast(MethodName, terms.method or MEAN_COST), quota_fen=terms.quota_fen, trimming=terms.trimming,
            scheme="" if base is None else base.pack.id, auxiliary=auxiliary, **reading(args),
        )  # fmt: skip
        region = str(args["region"])
        name = str(args["name"]) or f"{region}按病种分值付费（DIP）病种目录"
        since = args.get("effective_from")
        identity = CatalogIdentity(
            str(args["id"]), name, region, cast(DataLevel, args["data_level"]),
            None if since is None else date.fromisoformat(since),
        )  # fmt: skip
        paths = lay_cases(service, stand, folder, args["cases"])
        out, problems = folder / "out", Kept()
        out.mkdir()
        built = build_catalog(
            paths, out / "pack", plan, identity, drg_scheme=drg, base=base,
            auxiliary=auxiliary_tables(auxiliary) if auxiliary else None,
            problems=problems, progress=lambda _, rows: context.tell(rows, 0),
        )  # fmt: skip
        zip_pack(out / "pack", out / "pack.zip")
        write_report(built, out / "report.xlsx", cases=False, served=True)
        write_report(built, out / FULL_REPORT, served=True)
        problems.write_csv(out)
        inputs = [{"name": Path(path).name, "sha256": file_sha256(Path(path))} for path in sorted(paths)]
        proof = deciding(
            JOB, None, asked={**plain_args(args), "cases": inputs, "years": list(built.years)}, pack=built.pack.sha256
        )
        made = Made(
            JOB, max(built.years), "", DONE, run_id_of(proof), _summary(built), proof, kept_folder(service.files, out)
        )
    return ending(context, made, stand, basis)


def _summary(built: BuiltCatalog) -> dict[str, Any]:
    pack, history = built.pack, built.history
    return {
        "pack": {"id": pack.id, "version": pack.version, "sha256": pack.sha256, "data_level": pack.data_level},
        "years": list(built.years), "cases": history.cases.height, "counted": built.scores.whole.cases,
        "status": dict(sorted(history.status.items())),
        "scored": dict(zip(("groups", "with_score", "cases_without"), built.scored(), strict=True)),
        "riv": [
            {"scheme": name, "groups": every.groups, "riv": every.text or None, "riv_trimmed": trimmed.text or None}
            for name, every, trimmed in riv_rows(built)
        ],
        "problems": numbered(history.problems),
    }  # fmt: skip
