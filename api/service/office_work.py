"""What the jobs of the office share: a folder to work in, the documents they read laid out in it, a run at the end."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import sqlalchemy as sa

from api.core.book import INDEX, Book, BookRefused, open_book
from api.core.catalog_scores import QuotaUnfit
from api.service.audit import Actor
from api.service.basis import Basis, basis_of
from api.service.context import Service
from api.service.documents import KINDS, DocumentInfo, laid_out, latest, list_documents
from api.service.runs import Made, add_run
from api.service.submissions import NotTaken, safe_name
from api.service.unpack import Unpackable, unpack
from api.service.worker import JobContext, JobRefused
from grouper.catalog.history import HistoryRefused
from grouper.intake import IntakeError
from grouper.output import BOM
from grouper.proof import program_version
from reference_tables.problems import PROBLEM_SCHEMA, Problem, TablesRefused
from reference_tables.year_file import YearFile, load_year_file

CASES, YEAR_FILE, DECISIONS = "cases", "year_file", "decisions"
MOST_PROBLEMS = 200


@contextmanager
def working(service: Service, context: JobContext) -> Iterator[Path]:
    """A folder of the job's own, gone afterwards. What cannot be used ends the job with its problems."""
    folder = service.work / context.held.id
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    except (TablesRefused, BookRefused, HistoryRefused, IntakeError) as error:
        raise JobRefused(list(error.problems)[:MOST_PROBLEMS]) from None
    except Unpackable as error:
        raise JobRefused([error.problem]) from None
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
        raise NotTaken(Problem("SV03", {"what": KINDS[kind], "value": name}, value=name))
    return found


def all_needed(connection: sa.Connection, kind: str, names: Sequence[str]) -> None:
    """Are there documents of all these names? Raises NotTaken (SV03)."""
    for name in names:
        needed(connection, kind, name)


def basis_now(service: Service) -> Basis:
    """The basis that holds now. Raises TablesRefused."""
    with service.database.read() as connection:
        return basis_of(service, connection)


def lay(service: Service, folder: Path, kind: str, name: str) -> Path:
    """The latest version of a document in the folder."""
    with service.database.read() as connection:
        return laid_out(service.files, needed(connection, kind, name), folder)


def lay_latest(service: Service, folder: Path, kind: str) -> Path | None:
    """The document of a kind that was put last, in the folder; None when there is none."""
    with service.database.read() as connection:
        found = latest(connection, kind)
    return None if found is None else laid_out(service.files, found, folder)


def lay_cases(service: Service, folder: Path, names: Sequence[str]) -> list[str]:
    """Case files unpacked, each in a folder of its own. Raises Unpackable."""
    with service.database.read() as connection:
        found = [needed(connection, CASES, name) for name in names]
    limit, made = service.settings.max_unpacked_bytes, []
    for at, item in enumerate(found):
        place = folder / "cases" / str(at)
        place.mkdir(parents=True)
        made.append(str(unpack(service.files.path(item.sha256), place, safe_name(item.name), limit)))
    return made


def year_file_name(year: int) -> str:
    """How the year file of a year is called among the documents."""
    return f"{year}.toml"


def lay_year_file(service: Service, folder: Path, year: int) -> YearFile:
    """A year's file with the lists that it may name beside it. Raises TablesRefused with its problems, SV04 when it
    names a file elsewhere."""
    with service.database.read() as connection:
        found = needed(connection, YEAR_FILE, year_file_name(year))
        for item in {item.name: item for item in list_documents(connection, DECISIONS)}.values():
            laid_out(service.files, item, folder)
    return opened_year_file(laid_out(service.files, found, folder))


def opened_year_file(path: Path) -> YearFile:
    """A year file, the lists that it names beside it. Raises TablesRefused."""
    opened = load_year_file(path)
    beside = opened.decisions_path
    if beside is not None and beside.resolve().parent != path.parent.resolve():
        raise TablesRefused(path.name, [unfit("decisions", "只能写文件名，不能写文件夹")])
    return opened


def book_of(service: Service, year: int) -> Book:
    """A year's book. Raises NotTaken (SV03) when nothing of the year has been settled, BookRefused."""
    folder = service.books / str(year)
    if not (folder / INDEX).exists():
        raise NotTaken(Problem("SV03", {"what": "年度账册", "value": str(year)}))
    return open_book(folder)


def deciding(command: str, basis: Basis | None, **more: Any) -> dict[str, Any]:
    """What decides a result, by content."""
    program = {"name": "drgdip", "version": program_version()}
    return {"command": command, "program": program, "basis": None if basis is None else basis.about, **more}


class Kept:
    """A sink that holds problems."""

    def __init__(self) -> None:
        self._frames = [pl.DataFrame(schema=PROBLEM_SCHEMA)]

    def write(self, frame: pl.DataFrame) -> None:
        self._frames.append(frame)

    @property
    def frame(self) -> pl.DataFrame:
        """All of them (PROBLEM_SCHEMA)."""
        return pl.concat(self._frames)

    def write_csv(self, folder: Path) -> None:
        """problems.csv in a folder."""
        (folder / "problems.csv").write_bytes(BOM + self.frame.write_csv().encode())


def counted(problems: pl.DataFrame) -> list[dict[str, Any]]:
    """Problems by code: how many of each, no case named."""
    return problems.group_by("code", "level").agg(pl.len().alias("count")).sort("code", "level").to_dicts()


def ending(context: JobContext, made: Made) -> Any:
    """The change that enters a run with the job's end."""
    asker = Actor(context.held.created_by, "office")

    def change(connection: sa.Connection) -> Mapping[str, Any]:
        return {"run": add_run(connection, asker, context.held.id, made)}

    return change
