"""The READMEs name every setting of the service, with the value it has when nobody sets it, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from api.service.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
_ROW = re.compile(r"^\| `DRGDIP_([A-Z_]+)` \| (?:`([^`]*)`)? ?\| (.+) \|$", re.MULTILINE)


def _text(value: object) -> str:
    """A value as one writes it in the environment."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_every_setting_is_documented(name: str) -> None:
    told = [(key, default) for key, default, _ in _ROW.findall((ROOT / name).read_text(encoding="utf-8"))]
    fields = Settings.model_fields.items()
    assert told == [(key.upper(), _text(field.default)) for key, field in fields]
