"""Why a request is not as described, in Chinese: the kinds of findings that the checking of requests knows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_REASONS = {
    "missing": "必须给出",
    "extra_forbidden": "没有这一项",
    "json_invalid": "不是合法的 JSON",
    "string_type": "应为文本",
    "string_unicode": "不是合法的 Unicode 文本",
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
_PATTERN = "string_pattern_mismatch"
_FORMS: Mapping[str, str] = {
    r"^20[0-9]{2}-(0[1-9]|1[0-2])$": "月份，如 2026-03",
    r"^(20[0-9]{2}-(0[1-9]|1[0-2]))?$": "月份，如 2026-03，或空",
    r"^[a-z]+_[0-9a-f]+$": "服务给出的编号，如 job_5d1f0c2b9a7e4c3d8f6a1b20",
    r"^[\w][\w.\-]*$": "名称，由字母、汉字、数字、下划线、点、连字符组成，不以点和连字符开头，如 2026.toml",
    r"^[a-z_]+$": "小写字母和下划线，如 adjustment",
    r"^[0-9]{1,12}(\.[0-9]{1,2})?$": "金额（元），不为负，至多 12 位整数、两位小数，如 1234.50",
    r"(^[0-9]{1,12}(\.[0-9]{1,2})?$)|(^$)": "金额（元），不为负，至多 12 位整数、两位小数，如 1234.50，或空",
    r"^[0-9]{1,3}(\.[0-9]{1,4})?$": "月数，不为负，至多 3 位整数、4 位小数，如 15.2",
    r"^[0-9]{1,4}(\.[0-9]{1,6})?$": "得分，不为负，至多 6 位小数，如 96.5",
    r"^[0-9]{1,9}(\.[0-9]{1,6})?$": "数，不为负，至多 9 位整数、6 位小数，如 0.7",
}
"""The patterns that values are held to, in words with an example."""
_ONE_OF = re.compile(r"\^\(([\w|]+)\)\$", re.ASCII)


def form_zh(pattern: str) -> str:
    """What a value held to a pattern looks like, in Chinese. Raises KeyError for a pattern without words."""
    words = _ONE_OF.fullmatch(pattern)
    return f"其中之一：{'、'.join(words[1].split('|'))}" if words else _FORMS[pattern]


def reason_zh(found: Mapping[str, Any]) -> str:
    """A finding (`type`, `ctx`) as a Chinese text; own checks (`value_error`) say it themselves."""
    context = dict(found.get("ctx") or {})
    if found["type"] == "value_error":
        return str(context.get("error", _OTHER))
    text = _REASONS.get(found["type"], _OTHER)
    try:
        if found["type"] == _PATTERN:
            return f"应为{form_zh(context['pattern'])}"
        return text.format_map({name: str(value).replace(" or ", "、") for name, value in context.items()})
    except KeyError:
        return _OTHER
