"""A reform to fill in: every kind of block with all its keys, as Chinese comments made from the reform schema."""

from __future__ import annotations

from reference_tables.policy_values import shown
from reference_tables.reform_schema import BlockKind, Field, reform_schema

_HEAD = """\
# 改革方案。写好后用 drgdip reform check 校验，用 drgdip simulate --reform 试算。小数都加引号，日期不加引号。
id = "my-reform"
name = "方案名称"
data_level = "local"
statement = "一句话说明：依据、用途"
# policies = ["synthetic-city-drg-rate"]      # 只用于这些政策时写

[[change]]                                    # 可写多个，按次序生效
key = "weight"                                # 政策的任何参数，见 drgdip policy list --parameters
action = "scale"                              # set 设为，scale 乘以，add 加上
value = "1.05"
for = { type = "surgical" }                   # 不写为全部；可写 insurance、tier、hospital、group、list、month、
                                              # mdc、type（surgical、procedure、medical）、groups = ["BR23", "DT19"]
# from = 2026-07-01                           # 可写起止；until 为不再适用的第一天

# [switch]                                    # 换政策、分组方案、权重表
# policy = "synthetic-city-dip"
# scheme = "my-dip-folder"
"""
_TYPES = {
    "decimal": "小数，加引号", "integer": "整数", "boolean": "true 或 false", "text": "文字", "texts": "文字，可为列表",
    "parameter": "政策的参数", "scope": "写法同 [[change]] 的 for",
}  # fmt: skip
_EXAMPLES = {
    "key": '"base_rate"', "for": '{ tier = "三级" }', "digits": "6", "tolerance": '"0.01"', "value": '"0"',
    "pool": '"职工"', "low": '"-0.05"', "high": '"0.05"', "factor": '"1.03"', "share": '"0.05"', "start": '"0.95"',
    "stop": '"1.05"', "steps": "11",
}  # fmt: skip
"""Of keys without a default."""


def _block(head: str, kind: BlockKind, *, named: bool) -> str:
    """One commented block: what it does, then each key with its meaning, unit, range and default."""
    first, *more = [f"{sentence}。" for sentence in kind.meaning.split("。") if sentence]
    lines = [f"# {head}  # {kind.label}：{first}", *(f"#   {sentence}" for sentence in more)]
    lines += [f'# kind = "{kind.name}"'] if named else []
    return "\n".join([*lines, *(_line(item) for item in kind.fields.values())]) + "\n"


def _line(item: Field) -> str:
    """One key with the value that holds without it."""
    said = [item.label, "、".join(item.values) if item.values else _TYPES.get(item.type, "")]
    said += [f"不小于 {shown(item.minimum)}"] if item.minimum is not None else []
    said += [f"不大于 {shown(item.maximum)}"] if item.maximum is not None else []
    said += ["必填"] if item.required else ["可不写，默认为所写的值"] if item.default is not None else ["可不写"]
    return f"# {item.name} = {_value(item)}  # {'；'.join(part for part in said if part)}"


def _value(item: Field) -> str:
    default = item.default
    if default is None:
        return f'"{item.values[0]}"' if item.values else _EXAMPLES[item.name]
    if isinstance(default, bool):
        return "true" if default else "false"
    if isinstance(default, int):
        return str(default)
    if isinstance(default, list | tuple):
        return "[" + ", ".join(f'"{part}"' for part in default) + "]"
    return f'"{default}"'


def _template() -> str:
    schema = reform_schema()
    blocks = [_block("[[solve]]", kind, named=True) for kind in schema.solve.values()]
    blocks += [_block("[[growth]]", kind, named=True) for kind in schema.growth.values()]
    blocks.append(_block("[[sweep]]", schema.sweep, named=False))
    return "\n".join([_HEAD, *blocks])


REFORM_TEMPLATE = _template()
