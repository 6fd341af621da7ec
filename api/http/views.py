"""What cores show of cases and schemes as plain values, for answers whose shape is the core's own."""

from __future__ import annotations

from typing import Any

import orjson


def plain(value: Any) -> Any:
    """Views as plain values: decimals and dates as texts."""
    return orjson.loads(orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS, default=str))
