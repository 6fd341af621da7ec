"""Documents looked at before they are taken: each kind with the loaders that its users read it by, and everything in
force together with what it would change. What cannot be used is refused with all its problems; nothing of it holds.

Of case files only the beginning is read: they are large, and a bad row of theirs stops nobody.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from api.core.advance import read_spend
from api.core.book import BookRefused
from api.core.clear_inputs import pools_of, read_prepaid
from api.core.pay_inputs import read_decisions
from api.service.audit import Actor
from api.service.basis import Basis, basis_of
from api.service.context import Service
from api.service.decisions import list_told
from api.service.documents import (
    IN_FORCE,
    KINDS,
    DocumentInfo,
    Stand,
    laid_out,
    latest,
    put_document,
    remove_document,
    standing,
)
from api.service.known import hospitals_at_work, latest_year
from api.service.office_work import opened_year_file, there, year_file_name
from api.service.simulate_job import read_reform
from api.service.submissions import NotTaken, safe_name
from api.service.unpack import Unpackable, unpack
from api.service.values import now
from api.service.year_told import figures_told, not_held
from api.store.files import Stored
from grouper.intake import IntakeError, read_cases
from reference_tables.group_weights import built_in_weights, find_group_weights
from reference_tables.packs import DipPack, built_in_packs
from reference_tables.policy import find_policies, load_policy
from reference_tables.problems import Level, Problem, TablesRefused
from reference_tables.reform import find_reforms

_BLOCK = 1_000
_TEXT, _LIST, _TABLES = 4 << 20, 64 << 20, 256 << 20
_LARGEST = {"policy": _TEXT, "policy_aside": _TEXT, "year_file": _TEXT, "reform": _TEXT, "scheme": _TABLES}


def largest(kind: str) -> int | None:
    """The most bytes that a document of a kind may have; None: as any upload."""
    return None if kind == "cases" else _LARGEST.get(kind, _LIST)


def put_checked(
    service: Service, actor: Actor, kind: str, name: str, stored: Stored, media_type: str, reason: str
) -> tuple[DocumentInfo, Sequence[Problem]]:
    """A new version of a document that can be used, and warnings about it. Raises TablesRefused with every problem.

    It is looked at beside the others as they stand; should one of them change meanwhile, it is looked at again.
    """
    while True:
        with service.database.read() as connection:
            before = standing(connection)
        told = check_document(service, before, kind, name, stored, media_type)
        with service.database.write() as connection:
            if _fixed(standing(connection)) == _fixed(before):
                found = put_document(connection, actor, kind, name, stored, media_type, reason)
                new = kind == "year_file" and found not in before.items
                return found, [*told, *(not_held(connection, int(name[:4])) if new else ())]


def remove_checked(
    service: Service, actor: Actor, kind: str, name: str, reason: str
) -> tuple[DocumentInfo, DocumentInfo | None]:
    """Take a document away: its last version, and the document of an IN_FORCE kind that is in force from then on.

    Raises NotTaken (SV03 when there is none, SV82 when it is a built-in one), TablesRefused when what is in force does
    not do without it."""
    while True:
        with service.database.read() as connection:
            before = standing(connection)
        if before.latest(kind, name) is None and _is_built_in(kind, name):
            raise NotTaken(Problem("SV82", {"what": KINDS[kind], "value": name}, value=name))
        found, after = there(before, kind, name), before.without(kind, name)
        if kind in IN_FORCE:
            _still_works(service, before, after, name)
        with service.database.write() as connection:
            if _fixed(standing(connection)) == _fixed(before) and latest(connection, kind, name) == found:
                gone = remove_document(connection, actor, found, reason)
                return gone, after.latest(kind) if kind in IN_FORCE else None


def _is_built_in(kind: str, name: str) -> bool:
    """Does the program bring a thing of this kind and name along, with or without the ending of a file?"""
    known: dict[str, Callable[[], Iterable[str]]] = {
        "policy": find_policies, "policy_aside": find_policies, "weights": built_in_weights,
        "weights_aside": built_in_weights, "scheme": built_in_packs, "reform": find_reforms,
    }  # fmt: skip
    return kind in known and any(item in {name, name.rpartition(".")[0]} for item in known[kind]())


def _still_works(service: Service, before: Stand, after: Stand, name: str) -> None:
    """Is what is in force as good without a document as it was? Raises TablesRefused with what is wrong then."""
    try:
        _basis(service, after)
    except TablesRefused as error:
        known = _wrong_now(service, before)
        if not all(problem in known for problem in error.problems):
            raise TablesRefused(name, [item for item in error.problems if item not in known]) from None


def _fixed(stand: Stand) -> list[DocumentInfo]:
    return [item for item in stand.items if item.kind != "cases"]


def check_document(
    service: Service, stand: Stand, kind: str, name: str, stored: Stored, media_type: str = ""
) -> Sequence[Problem]:
    """Warnings about a document that is to be put. Raises TablesRefused with every problem."""
    new = DocumentInfo(kind, name, 0, stored.sha256, media_type, now(), "", "")
    try:
        if kind in IN_FORCE:
            return _in_force(service, stand, new)
        with TemporaryDirectory(dir=service.work) as folder:
            return _CHECKS[kind](service, stand, laid_out(service.files, new, Path(folder)))
    except RecursionError:
        raise TablesRefused(name, [Problem("SV09", {"reason": "嵌套太深"}, file=name)]) from None
    except (BookRefused, IntakeError) as error:
        raise TablesRefused(name, error.problems) from None
    except Unpackable as error:
        raise TablesRefused(name, [error.problem]) from None


def _in_force(service: Service, stand: Stand, new: DocumentInfo) -> Sequence[Problem]:
    """Everything in force as it would be. What was wrong before, for another reason, does not refuse the document that
    may be the first step to mend it."""
    if new.kind == "policy":
        _own_weights(service.files.path(new.sha256).read_bytes(), new.name)
    try:
        made = _basis(service, stand.with_(new))
    except TablesRefused as error:
        known = _wrong_now(service, stand)
        if all(problem in known for problem in error.problems):
            return error.problems
        raise TablesRefused(new.name, [item for item in error.problems if item not in known]) from None
    told = {"policy": made.policy.problems, "scheme": made.scheme.pack.problems}
    return [*told.get(new.kind, ()), *_unvalued(made, new), *_left_out(service, made, new)]


def _basis(service: Service, stand: Stand) -> Basis:
    with service.database.read() as connection:
        return basis_of(service, connection, stand)


def _wrong_now(service: Service, stand: Stand) -> Sequence[Problem]:
    try:
        _basis(service, stand)
    except TablesRefused as error:
        return error.problems
    return ()


def _unvalued(made: Basis, new: DocumentInfo) -> list[Problem]:
    """A table of weights that has none of the scheme's groups is most likely another scheme's."""
    if new.kind not in {"weights", "scheme"} or made.weights is None:
        return []
    pack = made.scheme.pack
    tables = [pack.table(name) for name in ("core", "mixed")] if isinstance(pack, DipPack) else [pack.adrg, pack.drg]
    known = {code for table in tables for code in table["code"]}
    if any(group in known for group, *_ in made.values.values):
        return []
    return [Problem("SV42", {"weights": made.weights.id, "scheme": made.scheme.pack.id}, file=new.name)]


def _left_out(service: Service, made: Basis, new: DocumentInfo) -> list[Problem]:
    """Hospitals at work in the latest year that a new register does not hold."""
    if new.kind != "hospitals" or made.hospitals is None:
        return []
    with service.database.read() as connection:
        year = latest_year(connection)
        found = frozenset() if year is None else hospitals_at_work(service, connection, year)
    missing = sorted(found - set(made.hospitals["hospital_id"]))
    return [Problem("SV77", {"value": name, "year": year or 0}, file=new.name, value=name) for name in missing]


def _own_weights(data: bytes, name: str) -> None:
    """A policy document names no weight file: a table of the office's own is a document of its own."""
    try:
        weights = str(tomllib.loads(data.decode("utf-8-sig").replace("\r\n", "\n")).get("weights", ""))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError):  # told with all other faults
        return
    if weights and weights not in built_in_weights():
        raise TablesRefused(name, [Problem("SV41", {"value": weights}, file=name, field="weights", value=weights)])


def _policy(_service: Service, _stand: Stand, path: Path) -> Sequence[Problem]:
    _own_weights(path.read_bytes(), path.name)
    return load_policy(path).problems


def _weights(_service: Service, _stand: Stand, path: Path) -> Sequence[Problem]:
    find_group_weights(str(path))
    return ()


def _year_file(service: Service, stand: Stand, path: Path) -> Sequence[Problem]:
    for item in stand.all("decisions"):
        if item.name != path.name:
            laid_out(service.files, item, path.parent)
    found = opened_year_file(path)
    if path.name != year_file_name(found.year):
        args: dict[str, str | int] = {"name": path.name, "year": found.year}
        raise TablesRefused(path.name, [Problem("SV43", args, file=path.name, field="year", value=str(found.year))])
    try:
        basis = _basis(service, stand)
    except TablesRefused:  # what is wrong with what is in force is told by its users
        return ()
    return figures_told(basis, found)


def _decisions(service: Service, stand: Stand, path: Path) -> Sequence[Problem]:
    return list_told(service, stand, path.name, read_decisions(path, _basis(service, stand).policy))


def _prepaid(service: Service, stand: Stand, path: Path) -> Sequence[Problem]:
    read_prepaid(path, pools_of(_basis(service, stand).policy))
    return ()


def _spend(service: Service, stand: Stand, path: Path) -> Sequence[Problem]:
    read_spend(path, _basis(service, stand).policy)
    return ()


def _reform(_service: Service, _stand: Stand, path: Path) -> Sequence[Problem]:
    read_reform(path.read_bytes(), path.name)
    return ()


def _cases(service: Service, _stand: Stand, path: Path) -> Sequence[Problem]:
    place = path.parent / "unpacked"
    place.mkdir()
    opened = unpack(path, place, safe_name(path.name), service.settings.max_unpacked_bytes)
    block = next(iter(read_cases(opened, block_rows=_BLOCK)), None)
    if block is None:
        return ()
    kept = block.problems.filter(block.problems["row"] <= 1)
    return [
        Problem("SV45", {"reason": row["message"]}, file=path.name, field=row["field"])
        for row in kept.iter_rows(named=True) if row["level"] != Level.REJECT.value
    ]  # fmt: skip


_CHECKS: dict[str, Callable[[Service, Stand, Path], Sequence[Problem]]] = {
    "year_file": _year_file, "decisions": _decisions, "prepaid": _prepaid, "reform": _reform, "cases": _cases,
    "spend": _spend, "policy_aside": _policy, "weights_aside": _weights,
}  # fmt: skip
