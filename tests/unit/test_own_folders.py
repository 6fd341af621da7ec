"""What killed processes leave of patients is taken away, and nothing that a process still holds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from base64 import urlsafe_b64encode
from pathlib import Path

from api.service.holders import this_process
from api.service.own_folders import Sweeper, own_folder, sweep

_WRITES = """
import sys, time
from pathlib import Path
from api.service.own_folders import own_folder
own = own_folder(Path(sys.argv[1]))
(own / "job").mkdir()
(own / "job" / "cases.csv").write_text("patients")
print(own.name, flush=True)
time.sleep(600)
"""


def _named(holder: str) -> str:
    return "of." + urlsafe_b64encode(holder.encode()).decode().rstrip("=")


def _names(place: Path) -> set[str]:
    return {path.name for path in place.iterdir()}


def test_the_folder_of_a_killed_process_goes_and_that_of_a_living_one_stays(tmp_path: Path) -> None:
    mine = own_folder(tmp_path)
    (mine / "cases.csv").write_text("patients")
    with subprocess.Popen([sys.executable, "-c", _WRITES, str(tmp_path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        name = other.stdout.readline().strip()
        sweeper = Sweeper([tmp_path])
        assert _names(tmp_path) == {mine.name, name}
        assert (tmp_path / name / "job" / "cases.csv").exists()
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
        sweep(tmp_path)
        assert _names(tmp_path) == {mine.name}
        assert _names(mine) == {"cases.csv"}
        sweeper.end()  # what is in use stays
        assert _names(mine) == {"cases.csv"}
    (mine / "cases.csv").unlink()
    Sweeper([tmp_path]).end()
    assert _names(tmp_path) == set()


def test_what_nobody_knows_the_holder_of_goes_once_it_is_old(tmp_path: Path) -> None:
    machine, number, start = this_process().rsplit(" ", 2)
    others = _named(f"another-{machine} {number} {start}")
    nobodys = _named("")
    for folder in (tmp_path, tmp_path / others, tmp_path / nobodys):
        (folder / "new").mkdir(parents=True)
        (folder / "old").mkdir()
        (folder / "old" / "cases.csv").write_text("patients")
        (folder / "half").write_text("patients")
        for name in ("old", "half"):
            os.utime(folder / name, (0, 0))
    os.utime(tmp_path / others, (0, 0))
    (tmp_path / "of.!!!").mkdir()
    sweep(tmp_path)
    assert _names(tmp_path) == {"new", others, nobodys, "of.!!!"}
    assert _names(tmp_path / others) == _names(tmp_path / nobodys) == {"new"}
