"""`--help` of every command: in Chinese, and nothing cut short in a narrow terminal."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from api.cli.main import app


def commands() -> Iterator[tuple[str, ...]]:
    """Every command as it is typed."""
    waiting: list[tuple[tuple[str, ...], object]] = [((), get_command(app))]
    while waiting:
        words, command = waiting.pop()
        yield words
        waiting += [((*words, name), below) for name, below in getattr(command, "commands", {}).items()]


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
@pytest.mark.parametrize("columns", ["80", "120"])
def test_no_text_is_cut(words: tuple[str, ...], columns: str) -> None:
    done = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": columns, "TERMINAL_WIDTH": columns})
    assert done.exit_code == 0
    assert "…" not in done.stdout
    assert "Show this message" not in done.stdout


def test_headers_of_lists_are_whole() -> None:
    done = CliRunner().invoke(app, ["pay", "--help"], env={"COLUMNS": "80", "TERMINAL_WIDTH": "80"})
    said = "".join(line.strip("│ ").split("  ")[-1].strip() for line in done.stdout.splitlines())
    for header in ("hospital_id,name,tier,county_group", "case_id,decision,amount", "case_id,amount"):
        assert header in said
