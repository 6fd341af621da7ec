"""The command of a proof is what a shell reads back: quoted words, files apart by their folders."""

from __future__ import annotations

import shlex
from pathlib import Path

from grouper.repeat_command import command_line, file_words


def test_a_shell_reads_the_words_back() -> None:
    words = ["drgdip", "pay", "my cases.csv", "it's.csv", "$HOME.csv", "--reason", "补录 一月"]
    assert command_line(words) == "drgdip pay 'my cases.csv' 'it'\"'\"'s.csv' '$HOME.csv' --reason '补录 一月'"
    assert shlex.split(command_line(words)) == words


def test_files_are_named_without_folders_and_apart_with_as_few_as_needed() -> None:
    assert file_words(["/data/a/x.csv", "/data/b/y.csv"]) == {"/data/a/x.csv": "x.csv", "/data/b/y.csv": "y.csv"}
    alike = ["/data/jan/h1/x.csv", "/data/feb/h1/x.csv", "/data/y.csv"]
    assert list(file_words(alike).values()) == ["jan/h1/x.csv", "feb/h1/x.csv", "y.csv"]
    assert file_words(["/x.csv", "/a/x.csv"]) == {"/x.csv": "/x.csv", "/a/x.csv": "a/x.csv"}


def test_one_file_named_in_two_ways_is_one(tmp_path: Path) -> None:
    assert set(file_words([tmp_path / "x.csv", f"{tmp_path}/../{tmp_path.name}/x.csv"]).values()) == {"x.csv"}


def test_no_file_is_read_as_an_option() -> None:
    assert file_words(["/a/-o.csv", "-"]) == {"/a/-o.csv": "./-o.csv", "-": "-"}
