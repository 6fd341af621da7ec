"""What keeps a text from being TOML, in Chinese and with its line: Python's reader says it in English."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from functools import cache
from importlib import resources

_UNKNOWN = "此处不合 TOML 的格式"


@cache
def _faults() -> Sequence[tuple[tuple[str, ...], str]]:
    text = (resources.files("reference_tables") / "toml_faults.toml").read_text(encoding="utf-8")
    return tuple((tuple(item["begins"]), item["text"]) for item in tomllib.loads(text)["fault"])


def toml_fault(error: tomllib.TOMLDecodeError, text: str) -> tuple[str, int]:
    """(reason in Chinese, line) of what the reader found in `text`; the last line when it missed something there."""
    message = str(error)
    found = re.search(r"line (\d+)", message)
    line = int(found.group(1)) if found else len(text.rstrip("\n").split("\n"))
    return next((said for begins, said in _faults() if message.startswith(begins)), _UNKNOWN), line
