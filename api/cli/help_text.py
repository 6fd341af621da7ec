"""How `--help` is set: titles in Chinese, and no text cut short.

Typer cuts what has no blank to break at, as Chinese sentences and lists of columns have none, at the width of the
terminal; here such text goes on in the next line.
"""

from __future__ import annotations

from typing import Any

from rich.text import Text
from typer import rich_utils

_SAID = {"Show this message and exit.": "显示这份说明"}


def chinese_help() -> None:
    """Set the texts and the breaking of lines for every command."""
    rich_utils.ARGUMENTS_PANEL_TITLE = "参数"
    rich_utils.OPTIONS_PANEL_TITLE = "选项"
    rich_utils.COMMANDS_PANEL_TITLE = "命令"
    rich_utils.ERRORS_PANEL_TITLE = "用法错误"
    rich_utils.REQUIRED_LONG_STRING = "[必填]"
    rich_utils.DEFAULT_STRING = "[默认：{}]"
    rich_utils.RICH_HELP = "用法见 [blue]'{command_path} {help_option}'[/]"
    rich_utils.ABORTED_TEXT = "已中止"
    setattr(rich_utils, "_make_rich_text", _folded)  # noqa: B010 - a function of typer's own is no name to assign to
    setattr(rich_utils, "Text", _Folding)  # noqa: B010


_made = rich_utils._make_rich_text


class _Folding(Text):
    """Text that goes on in the next line."""

    def __init__(self, *parts: Any, **more: Any) -> None:
        super().__init__(*parts, **{"overflow": "fold", **more})


def _folded(*, text: str, **more: Any) -> Any:
    found = _made(text=_SAID.get(text, text), **more)
    if isinstance(found, Text):
        found.overflow = "fold"
    return found
