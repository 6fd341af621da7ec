"""What the jobs of the office share: a folder to work in, the documents they read as they stood when the job was asked
for, laid out in it, and a run at the end."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict

import polars as pl
import sqlalchemy as sa

from api.core.book import Book
from api.core.catalog_scores import QuotaUnfit
from api.core.file_names import file_name
from api.service.absent import absent_book, absent_document
from api.service.audit import Actor
from api.service.basis import Basis, basis_of, made_with
from api.service.batches import served
from api.service.book_cases import year_book
from api.service.chosen import NOTHING, documents_of, sources_of
from api.service.context import Service
from api.service.documents import DocumentInfo, Stand, laid_out, latest, stand_of, standing
from api.service.runs import Made, add_run
from api.service.submissions import NotTaken, safe_name
from api.service.unpack import unpack
from api.service.worker import JobContext, JobRefused
from grouper.normalize import Edition
from grouper.output import table_csv
from grouper.proof import program_version
from reference_tables.problems import PROBLEM_SCHEMA, Problem, TablesRefused
from reference_tables.year_file import YearFile, load_year_file

CASES, YEAR_FILE, DECISIONS, PREPAID = "cases", "year_file", "decisions", "prepaid"


@contextmanager
def working(service: Service, context: JobContext) -> Iterator[Path]:
    """A folder of the job's own, gone afterwards."""
    folder = service.work / context.held.id
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    except QuotaUnfit as error:
        raise JobRefused([unfit("quota", f"过大，{error} 的分值为 0.0000")]) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def unfit(field: str, reason: str) -> Problem:
    """A value of a request that will not do (SV04)."""
    return Problem("SV04", {"field": field, "reason": reason}, field=field)


def needed(connection: sa.Connection, kind: str, name: str) -> DocumentInfo:
    """The latest version of a document. Raises NotTaken (SV03)."""
    found = latest(connection, kind, name)
    if found is None:
        raise NotTaken(absent_document(kind, name))
    return found


def all_needed(connection: sa.Connection, kind: str, names: Sequence[str]) -> None:
    """Are there documents of all these names? Raises NotTaken (SV03)."""
    for name in names:
        needed(connection, kind, name)


def documents_for(connection: sa.Connection, **names: Collection[str] | None) -> list[list[str | int]]:
    """What a job's arguments say of the documents it is to work by: those in force, and those named, by kind; None: all
    of the kind."""
    return standing(connection).used(names)


def chosen_documents(
    service: Service, connection: sa.Connection, chosen: Mapping[str, str], **names: Collection[str] | None
) -> list[list[str | int]]:
    """As `documents_for`, with what is `chosen` in the place of those in force. Raises TablesRefused (SV03)."""
    stand = standing(connection)
    return stand.used(names, documents_of(sources_of(stand, service.settings, chosen)))


def chosen_in(args: Mapping[str, Any], *kinds: str) -> dict[str, str]:
    """What a request names in the place of what is in force, by kind; what it does not name is left out."""
    return {kind: str(args[kind]) for kind in kinds if args[kind]}


def asked_with(service: Service, context: JobContext) -> tuple[Stand, Basis]:
    """The documents that the job's arguments name, and the basis by them, or by what was chosen. Raises
    TablesRefused."""
    args = context.held.args
    with service.database.read() as connection:
        stand = stand_of(connection, args["documents"])
        return stand, basis_of(service, connection, stand, args.get("chosen", NOTHING))


def lay(service: Service, stand: Stand, folder: Path, kind: str, name: str) -> Path:
    """A document in the folder. Raises NotTaken (SV03)."""
    return laid_out(service.files, there(stand, kind, name), folder)


def there(stand: Stand, kind: str, name: str) -> DocumentInfo:
    """A document by kind and name. Raises NotTaken (SV03)."""
    found = stand.latest(kind, name)
    if found is None:
        raise NotTaken(absent_document(kind, name))
    return found


def lay_source(service: Service, basis: Basis, folder: Path, kind: str) -> str | None:
    """What a basis has of a kind, as a core takes it: a file in a folder of its own, or the name of what is built in;
    None when there is none."""
    found = basis.sources.get(kind)
    return str(laid_out(service.files, found, folder / kind)) if isinstance(found, DocumentInfo) else found


def lay_cases(service: Service, stand: Stand, folder: Path, names: Sequence[str]) -> list[str]:
    """Case files unpacked, each in a folder of its own under the document's own name. Raises Unpackable."""
    found = [there(stand, CASES, name) for name in names]
    limit, made = service.settings.max_unpacked_bytes, []
    for at, item in enumerate(found):
        place = folder / "cases" / str(at)
        place.mkdir(parents=True)
        laid, name = unpack(service.files.path(item.sha256), place, safe_name(item.name), limit), file_name(item.name)
        workbook = laid.name.endswith(".xlsx") and not name.endswith(".xlsx")  # which is read by its name
        made.append(str(laid.rename(place / (f"{name}.xlsx" if workbook else name))))
    return made


def year_file_name(year: int) -> str:
    """How the year file of a year is called among the documents."""
    return f"{year}.toml"


def lay_year_file(service: Service, stand: Stand, folder: Path, year: int) -> YearFile:
    """A year's file with the lists that it may name beside it. Raises TablesRefused with its problems, SV04 when it
    names a file elsewhere."""
    for item in stand.all(DECISIONS):
        laid_out(service.files, item, folder)
    return opened_year_file(lay(service, stand, folder, YEAR_FILE, year_file_name(year)))


def opened_year_file(path: Path) -> YearFile:
    """A year file, the lists that it names beside it. Raises TablesRefused."""
    opened = load_year_file(path)
    beside = opened.decisions_path
    if beside is not None and beside.resolve().parent != path.parent.resolve():
        raise TablesRefused(path.name, [unfit("decisions", "只能写文件名，不能写文件夹")])
    return opened


def book_of(service: Service, year: int) -> Book:
    """A year's book. Raises NotTaken (SV03) when nothing of the year has been settled, BookRefused."""
    found = year_book(service, str(year))
    if found is None:
        raise NotTaken(absent_book(year))
    return found


class Reading(TypedDict):
    """How case files are read."""

    fmt: str
    edition: Edition


def reading(args: Mapping[str, Any]) -> Reading:
    """How the files of a request are read."""
    return {"fmt": str(args.get("format", "auto")), "edition": args.get("edition", "insurance")}


def reading_options(args: Mapping[str, Any]) -> list[str]:
    """As a command's options, none where they say the usual."""
    said = {"--format": (str(args.get("format", "auto")), "auto"),
            "--edition": (str(args.get("edition", "insurance")), "insurance")}  # fmt: skip
    return [word for option, (value, usual) in said.items() if value != usual for word in (option, value)]


def only_of_cases(args: Mapping[str, Any], names: Sequence[str], instead: str) -> None:
    """Refuse what a request says of case files when it gives none (`instead`: what it takes in their place). Raises
    NotTaken (SV04)."""
    usual = {"format": "auto", "edition": "insurance"}
    for name in names:
        if args[name] and args[name] != usual.get(name):
            raise NotTaken(unfit(name, f"只用于病例文件（cases）；{instead}"))


def plain_args(args: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked for, without the versions of the documents."""
    return {name: value for name, value in args.items() if name != "documents"}


def deciding(command: str, basis: Basis | None, **more: Any) -> dict[str, Any]:
    """What decides a result, by content."""
    program = {"name": "drgdip", "version": program_version()}
    return {"command": command, "program": program, "basis": None if basis is None else basis.about, **more}


class Kept:
    """A sink that holds problems, mended by routes and documents."""

    def __init__(self) -> None:
        self._frames = [pl.DataFrame(schema=PROBLEM_SCHEMA)]

    def write(self, frame: pl.DataFrame) -> None:
        self._frames.append(served(frame))

    @property
    def frame(self) -> pl.DataFrame:
        """All of them (PROBLEM_SCHEMA)."""
        return pl.concat(self._frames)

    def write_csv(self, folder: Path) -> None:
        """problems.csv in a folder."""
        (folder / "problems.csv").write_bytes(table_csv(self.frame))


def ending(context: JobContext, made: Made, stand: Stand, basis: Basis | None) -> Any:
    """The change that enters a run with the job's end, with what it was made with."""
    asker = Actor(context.held.created_by, "office")
    whole = replace(made, made_with=made_with(basis, stand))

    def change(connection: sa.Connection) -> Mapping[str, Any]:
        return {"run": add_run(connection, asker, context.held.id, whole)}

    return change
