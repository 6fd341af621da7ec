"""A folder of results that appears only when it is complete, with the proof of what made it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import orjson

from grouper.proof import file_sha256

PROOF = "proof.json"


@contextmanager
def beside(output: Path) -> Iterator[Path]:
    """A folder beside `output` to write to; nothing of it stays when the work inside fails. It is for the caller to
    give it its name (`appear`)."""
    place = output.with_name(f".{output.name}.{os.getpid()}.partial")
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def appear(place: Path, output: Path) -> None:
    """Give a complete folder its name; an empty folder of that name makes way. Raises OSError."""
    if output.exists():
        output.rmdir()
    place.replace(output)


def write_proved(
    output: Path,
    run_id: str,
    deciding: Mapping[str, object],
    recompute: str,
    write: Callable[[Path], Mapping[str, object]],
) -> None:
    """Have results written and add their proof: run id, what decided them, checksums of all files, the command.

    `write` fills the folder it is given and tells what else the proof says. Raises OSError when the place cannot be
    written; then nothing is there.
    """
    with beside(output) as place:
        place.mkdir(parents=True)
        more = write(place)
        files = sorted(path for path in place.rglob("*") if path.is_file())
        outputs = {path.relative_to(place).as_posix(): file_sha256(path) for path in files}
        proof = {"run_id": run_id, **deciding, **more, "outputs": outputs, "recompute": recompute}
        (place / PROOF).write_bytes(orjson.dumps(proof, option=orjson.OPT_INDENT_2) + b"\n")
        appear(place, output)
