"""Rules about the tree itself: length, words that must not be in it, nothing lying about unused."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("reference_tables", "grouper", "budget", "api", "benchmarks", "examples", "tests")
MAX_LINES = 400
TEXT = {".py", ".toml", ".md", ".csv", ".cfg", ".txt", ".lock", ".html", ".json", ""}


def tracked() -> list[Path]:
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, capture_output=True, check=True,
        ).stdout.decode()  # fmt: skip
        names = [name for name in listed.split("\0") if name]
    except (OSError, subprocess.CalledProcessError):  # an unpacked archive without history
        names = [str(path.relative_to(ROOT)) for package in PACKAGES for path in (ROOT / package).rglob("*")]
    return [ROOT / name for name in names if (ROOT / name).is_file() and "__pycache__" not in name]


@pytest.fixture(scope="module")
def files() -> list[Path]:
    found = tracked()
    assert len(found) > 50
    return found


def test_every_module_stays_readable(files: list[Path]) -> None:
    long = {
        str(path.relative_to(ROOT)): count
        for path in files
        if path.suffix == ".py" and (count := len(path.read_text(encoding="utf-8").splitlines())) > MAX_LINES
    }
    assert not long


def test_every_module_says_its_one_job(files: list[Path]) -> None:
    mute = [
        str(path.relative_to(ROOT))
        for path in files
        if path.suffix == ".py"
        and (text := path.read_text(encoding="utf-8")).strip()
        and not text.lstrip().startswith('"""')
    ]
    assert not mute


def test_no_machine_path_no_index_host_no_secret(files: list[Path]) -> None:
    words = re.compile(
        r"/work/"
        + r"main|/root"
        + r"/|/tmp"
        + r"/venv|files\.python"
        + r"hosted|pypi\."
        + r"org|BEGIN [A-Z ]*PRIVATE KEY"
    )
    hits = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in files
        if path.suffix in TEXT and (match := words.search(path.read_text(encoding="utf-8", errors="replace")))
    ]
    assert not hits


def test_every_pack_file_is_in_a_manifest(files: list[Path]) -> None:
    folder = ROOT / "reference_tables" / "packs"
    for pack in [path for path in folder.iterdir() if path.is_dir()]:
        listed = set(tomllib.loads((pack / "manifest.toml").read_text(encoding="utf-8"))["files"])
        assert {path.name for path in pack.iterdir()} - {"manifest.toml"} == listed


def test_nothing_is_left_for_later(files: list[Path]) -> None:
    words = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
    hits = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in files
        if path.suffix == ".py"
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if words.search(line)
    ]
    assert not hits


def test_no_timed_assertion(files: list[Path]) -> None:
    hits = [
        str(path.relative_to(ROOT))
        for path in files
        if path.name.startswith("test_") and path.suffix == ".py" and path != Path(__file__)
        and re.search(r"perf_counter|time\.time\(|monotonic\(", path.read_text(encoding="utf-8"))
    ]  # fmt: skip
    assert not hits
