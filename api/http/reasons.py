"""Why a request is not as described, in Chinese: the kinds of findings that the checking of requests knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_REASONS = {
    "missing": "必须给出",
    "extra_forbidden": "没有这一项",
    "json_invalid": "不是合法的 JSON",
    "string_type": "应为文本",
    "string_unicode": "不是合法的 Unicode 文本",
    "string_pattern_mismatch": "格式应为 {pattern}",
    "string_too_long": "最多 {max_length} 个字符",
    "string_too_short": "至少 {min_length} 个字符",
    "too_long": "最多 {max_length} 项",
    "too_short": "至少 {min_length} 项",
    "int_type": "应为整数",
    "int_parsing": "应为整数",
    "int_parsing_size": "整数超出范围",
    "int_from_float": "应为整数",
    "float_type": "应为数",
    "float_parsing": "应为数",
    "decimal_type": "应为十进制数",
    "decimal_parsing": "应为十进制数",
    "decimal_max_places": "最多 {decimal_places} 位小数",
    "finite_number": "应为有限的数",
    "bool_type": "应为 true 或 false",
    "bool_parsing": "应为 true 或 false",
    "greater_than": "应大于 {gt}",
    "greater_than_equal": "应不小于 {ge}",
    "less_than": "应小于 {lt}",
    "less_than_equal": "应不大于 {le}",
    "enum": "应为其中之一：{expected}",
    "literal_error": "应为其中之一：{expected}",
    "list_type": "应为列表",
    "dict_type": "应为对象",
    "model_type": "应为对象",
    "model_attributes_type": "应为对象",
    "date_from_datetime_parsing": "应为日期，如 2026-03-05",
    "date_parsing": "应为日期，如 2026-03-05",
}
_OTHER = "不是所要求的内容"


def reason_zh(found: Mapping[str, Any]) -> str:
    """A finding (`type`, `ctx`) as a Chinese text; own checks (`value_error`) say it themselves."""
    context = dict(found.get("ctx") or {})
    if found["type"] == "value_error":
        return str(context.get("error", _OTHER))
    text = _REASONS.get(found["type"], _OTHER)
    try:
        return text.format_map({name: str(value).replace(" or ", "、") for name, value in context.items()})
    except KeyError:
        return _OTHER
