"""What produced a result: versions and checksums, so that anyone can produce the same bytes again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

import orjson

from grouper.intake import SourceInfo
from grouper.repeat_command import command_line, file_words
from grouper.schemes import Scheme
from reference_tables.codes import load_code_books


def program_version() -> str:
    """The installed version of drgdip."""
    return metadata.version("drgdip")


def file_sha256(path: Path) -> str:
    """sha256 (hex) of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def proof_of(
    sources: Sequence[SourceInfo],
    scheme: Scheme,
    options: Mapping[str, str | bool],
    output: Path,
    command: str = "group",
    tables: Mapping[str, str] | None = None,
) -> dict[str, object]:
    """The proof of one run of a command over case files and a scheme.

    `run_id` is the sha256 of everything that decides the result (inputs by content, pack, code books,
    options, program version), so the same inputs give the same id; `output.sha256` is what they gave.
    `tables`: sha256 of further tables by option.
    """
    pack = scheme.pack
    books = load_code_books()
    deciding: dict[str, object] = {
        "program": {"name": "drgdip", "version": program_version()},
        "pack": {"id": pack.id, "version": pack.version, "sha256": pack.sha256, "data_level": pack.data_level},
        "code_books": {"diagnosis": books.diagnosis.edition, "procedure": books.procedure.edition},
        "options": dict(options),
        "inputs": [
            {"name": Path(source.path).name, "sha256": source.sha256, "format": source.format} for source in sources
        ],
    }
    if tables:
        deciding["tables"] = dict(tables)
    run_id = hashlib.sha256(orjson.dumps(deciding, option=orjson.OPT_SORT_KEYS)).hexdigest()
    names = file_words(source.path for source in sources)
    words = ["drgdip", *command.split(), *(names[source.path] for source in sources)]
    for key, value in options.items():
        words += [f"--{key}"] if value is True else [] if value is False else [f"--{key}", str(value)]
    return {
        "run_id": run_id,
        **deciding,
        "output": {"name": output.name, "sha256": file_sha256(output)},
        "recompute": command_line([*words, "-o", output.name]),
    }
