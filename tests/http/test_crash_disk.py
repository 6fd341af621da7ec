"""A disk that really is full, byte by byte: a small file system of its own in memory, filled up to some rest."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from processes import Launcher, launched
from test_trouble import started

_SIZE = 24 << 20
_RESTS = (0, 4_096, 12_288, 40_960, 131_072)
"""Bytes left free, in turn: from nothing at all to what an upload still fits in, but not all that comes of it."""


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    with launched(tmp_path_factory.mktemp("processes")) as made:
        yield made


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder with a small disk of its own. Skips where none may be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "tmpfs", str(place)]
    try:
        done = subprocess.run(mount, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("no mount")
    if done.returncode:
        pytest.skip("may not mount a file system")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(ballast: Path, rest: int) -> None:
    """Let the ballast take everything but so many bytes; anew where the service took some of them meanwhile."""
    for _ in range(100):
        ballast.unlink(missing_ok=True)
        with ballast.open("wb", buffering=0) as stream, suppress(OSError):
            found = os.statvfs(ballast.parent)
            os.posix_fallocate(stream.fileno(), 0, max(1, found.f_bavail * found.f_frsize - rest))
            return
    raise AssertionError("the disk is never filled")


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.long)])
def test_a_disk_without_room(kind: str, tmp_path: Path, small_disk: Path, launcher: Launcher) -> None:
    data, ballast = small_disk / "data", small_disk / "ballast"
    data.mkdir()
    with started(kind, tmp_path, data, launcher) as running:
        first = running.submit("H1")[1]
        answers = []
        for rest in _RESTS:
            fill(ballast, rest)
            status, told = running.submit("H2", key="again")
            answers.append(status)
            assert (status, told.get("code")) in {(503, "SV21"), (202, None), (200, None)}, told
            assert running.once("office", "GET", "/readyz")[0] in {200, 503}
            assert running.once("office", "GET", "/healthz")[0] == 200
            assert running.once("H1", "GET", f"/v1/submissions/{first['id']}")[0] in {200, 503}
        assert answers[0] == 503
        ballast.unlink()
        status, told = running.submit("H2", key="again")
        assert status in {200, 202}, told
        running.finish()
