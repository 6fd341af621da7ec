"""Reading a reform file: its head, lists and sources, every change, and what is to be solved, grown and tried; all
faults with their lines."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from difflib import get_close_matches
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from typing import Any

from reference_tables.manifest import DATA_LEVELS
from reference_tables.policy_file import PolicySource
from reference_tables.policy_schema import Parameter, policy_schema
from reference_tables.policy_text import TomlLines
from reference_tables.policy_values import FloatText, Reader, day_fault, shown
from reference_tables.problems import Level, Problem
from reference_tables.reform_fields import FieldReader, Scoped, is_text, number_of, repeated
from reference_tables.reform_parts import Change, Growth, Reform, Solve, Sweep, Switch
from reference_tables.reform_schema import BlockKind, reform_schema
from reference_tables.toml_faults import toml_fault

_DAYS = {"from", "until"}
_TEXTS = ("id", "name", "data_level", "statement")
_HEAD = {*_TEXTS, "policies", "sources", "lists", "change", "switch", "solve", "growth", "sweep"}
_CHANGE = {"key", "action", "value", "for", "from", "until", "source", "article", "note"}
_SOURCE = ("title", "publisher", "number", "article", "date")
_SWITCH = ("policy", "scheme", "weights")
_ID = re.compile(r"[a-z0-9][a-z0-9-]*")


def read_reform_text(text: str, file: str, folder: Path) -> tuple[Reform | None, list[Problem]]:
    """The reform of a TOML text, None when it cannot be used at all, and every problem of it."""
    lines = TomlLines(text.replace("\r\n", "\n"))
    problems = [
        Problem("RF03", {"key": item.name, "first": item.first}, file=file, row=item.line, field=item.name)
        for item in lines.twice
    ]
    try:
        data = tomllib.loads(lines.without_twice(_DAYS), parse_float=FloatText)
    except tomllib.TOMLDecodeError as error:
        reason, row = toml_fault(error, lines.text)
        return None, [*problems, Problem("RF02", {"reason": reason}, file=file, row=row)]
    reading = _Reading(data, file, lines, folder)
    reform = reading.reform()
    found = sorted([*problems, *reading.problems], key=lambda problem: problem.row)
    warnings = tuple(problem for problem in found if problem.level is not Level.ERROR)
    return replace(reform, problems=warnings), found


def content_checksum(reform: Reform) -> str:
    """sha256 of what a reform says: not of comments, spelling of numbers or the place of the file."""
    content = [
        reform.id, reform.name, reform.data_level, reform.statement, list(reform.policies),
        {name: [item.title, item.publisher, item.number, item.article, item.date]
         for name, item in sorted(reform.sources.items())},
        {name: list(codes) for name, codes in sorted(reform.lists.items())},
        [item.canonical() for item in reform.changes],
        reform.switch.canonical() if reform.switch else None,
        [item.canonical() for item in reform.solves],
        [item.canonical() for item in reform.growths],
        [item.canonical() for item in reform.sweeps],
    ]  # fmt: skip
    return sha256(json.dumps(content, ensure_ascii=False, sort_keys=True).encode("utf-8")).hexdigest()


class _Reading:
    def __init__(self, data: Mapping[str, Any], file: str, lines: TomlLines, folder: Path) -> None:
        self.data, self.file, self.lines, self.folder = data, file, lines, folder
        self.problems: list[Problem] = []
        self.lists: dict[str, tuple[str, ...]] = {}
        self.sources: dict[str, PolicySource] = {}

    def note(self, code: str, args: dict[str, str | int], *path: str | int) -> None:
        """A problem at a path of the file."""
        name = ".".join(str(part + 1) if isinstance(part, int) else part for part in path)
        # What is missing from the head has no line of its own: the head begins the file.
        self.problems.append(Problem(code, args, file=self.file, row=self.lines.line(*path) or 1, field=name))

    def fault(self, reason: str, *path: str | int) -> None:
        """RF04: something is not written as it should be."""
        name = ".".join(f"[{part + 1}]" if isinstance(part, int) else part for part in path).replace(".[", "[")
        self.note("RF04", {"key": name, "reason": reason}, *path)

    def place(self, *path: str | int) -> str:
        """file:line of a path."""
        line = self.lines.line(*path)
        return f"{self.file}:{line}" if line else self.file

    def reform(self) -> Reform:
        for key in self.data:
            if key not in _HEAD:
                near = get_close_matches(key, _HEAD, n=1)
                self.fault("不认识的项" + (f"，相近的有 {near[0]}" if near else ""), key)
        texts = {key: self._text(key, required=key != "statement") for key in _TEXTS}
        if texts["data_level"] and texts["data_level"] not in DATA_LEVELS:
            self.fault(f"“{texts['data_level']}”不可用，可用值：{'、'.join(DATA_LEVELS)}", "data_level")
        if texts["id"] and not _ID.fullmatch(texts["id"]):
            self.fault("只用小写字母、数字和连字符", "id")
        self.lists, self.sources = self._lists(), self._sources()
        reform = Reform(
            id=texts["id"], name=texts["name"], file=self.file, sha256="", data_level=texts["data_level"],
            statement=texts["statement"], policies=self._policies(), sources=self.sources, lists=self.lists,
            changes=tuple(filter(None, (self._change(at, body) for at, body in self._blocks("change")))),
            switch=self._switch(),
            solves=tuple(filter(None, (self._solve(at, body) for at, body in self._blocks("solve")))),
            growths=tuple(filter(None, (self._growth(at, body) for at, body in self._blocks("growth")))),
            sweeps=tuple(filter(None, (self._sweep(at, body) for at, body in self._blocks("sweep")))),
            folder=str(self.folder),
            lines={key: self.lines.line(key) for key in (*_TEXTS, "policies") if key in self.data},
        )  # fmt: skip
        parts = (reform.changes, reform.switch, reform.solves, reform.growths, reform.sweeps)
        if not self.problems and not any(parts):
            self.note("RF50", {"id": reform.id})
        return replace(reform, sha256=content_checksum(reform))

    def _text(self, key: str, *, required: bool = True) -> str:
        value = self.data.get(key)
        if value is None:
            if required:
                self.fault("缺少此项", key)
            return ""
        if not is_text(value):
            self.fault(f"应为不空的文本，实际是 {shown(value)}", key)
            return ""
        return str(value)

    def _policies(self) -> tuple[str, ...]:
        value = self.data.get("policies", [])
        if not isinstance(value, list) or not all(map(is_text, value)):
            self.fault('应为政策编号的列表，如 ["synthetic-city-dip"]', "policies")
            return ()
        if twice := repeated(value):
            self.fault(f"编号重复：{twice}", "policies")
        return tuple(value)

    def _tables(self, key: str) -> dict[str, dict[str, Any]]:
        value = self.data.get(key, {})
        if not isinstance(value, dict) or not all(isinstance(body, dict) for body in value.values()):
            self.fault(f"应写成 [{key}.名称]", key)
            return {}
        return value

    def _lists(self) -> dict[str, tuple[str, ...]]:
        lists = {}
        for name, body in self._tables("lists").items():
            codes: list[Any] = body["codes"] if isinstance(body.get("codes"), list) else []
            if set(body) != {"codes"} or not all(map(is_text, codes)):
                self.fault("应只有 codes = [病组编码, …]", "lists", name)
                codes = []
            elif not codes:
                self.note("RF24", {"what": f"清单 {name}", "reason": "没有病组"}, "lists", name)
            if twice := repeated(codes):
                self.fault(f"编码重复：{twice}", "lists", name, "codes")
            lists[name] = tuple(codes)
        return lists

    def _sources(self) -> dict[str, PolicySource]:
        sources = {}
        for name, body in self._tables("sources").items():
            for key in body:
                if key not in _SOURCE:
                    self.fault(f"不认识的项，可用：{'、'.join(_SOURCE)}", "sources", name, key)
                elif not is_text(body[key]):
                    self.fault(f"应为带引号的文本，实际是 {shown(body[key])}", "sources", name, key)
            if not body.get("title"):
                self.fault("来源要有 title（文件或表的名称）", "sources", name)
            texts = {key: str(body[key]) for key in _SOURCE if key in body}
            sources[name] = PolicySource(**{"title": "", **texts})
        return sources

    def _blocks(self, key: str) -> list[tuple[int, Mapping[str, Any]]]:
        blocks = self.data.get(key, [])
        if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
            self.fault(f"应写成 [[{key}]]", key)
            return []
        return list(enumerate(blocks))

    # ---- changes

    def _change(self, at: int, block: Mapping[str, Any]) -> Change | None:
        before = len(self.problems)
        for key in block:
            if key not in _CHANGE:
                self.fault(f"不认识的项，可用：{'、'.join(sorted(_CHANGE))}", "change", at, key)
        for key in ("key", "action", "value"):
            if key not in block:
                self.fault("缺少此项", "change", at, key)
        for key in ("source", "article", "note"):
            if key in block and not is_text(block[key]):
                self.fault(f"应为带引号的文本，实际是 {shown(block[key])}", "change", at, key)
        if is_text(block.get("source")) and block["source"] not in self.sources:
            self.fault(f"来源“{block['source']}”没有定义，补上 [sources.{block['source']}]", "change", at, "source")
        parameter = self.parameter(block.get("key"), "change", at, "key")
        action = self._action(block.get("action"), at)
        scoped = self.scope(block.get("for"), parameter, "change", at, "for")
        since, until = (self._day(at, block, key) for key in ("from", "until"))
        if since and until and until <= since:
            self.fault(f"应晚于 {since}（until 为不再适用的第一天）", "change", at, "until")
        if parameter is None or not action or "value" not in block:
            return None
        value = self._value(at, parameter, action, block["value"])
        if len(self.problems) > before:
            return None
        return Change(
            parameter.key, action, value, block["value"], scoped.pairs, scoped.groups, since, until,
            block.get("source", ""), block.get("article", ""), block.get("note", ""),
            self.place("change", at), self.lines.line("change", at),
        )  # fmt: skip

    def parameter(self, key: object, *path: str | int) -> Parameter | None:
        """The parameter of that name; RF05 when there is none."""
        if not is_text(key):
            if key is not None:
                self.fault(f"应为带引号的文本，实际是 {shown(key)}", *path)
            return None
        known = policy_schema().parameters
        if key not in known:
            near = "、".join(get_close_matches(str(key), known, n=3)) or "没有；全部参数见政策模板"
            self.note("RF05", {"key": str(key), "near": near}, *path)
        return known.get(str(key))

    def scope(self, raw: object, parameter: Parameter | None, *path: str | int) -> Scoped:
        """What `for` says, checked against what the parameter may differ by (None: whatever a case has)."""
        reader = FieldReader(lambda reason: self.fault(reason, *path))
        scoped = reader.scope(raw)
        if parameter is None:
            return scoped
        for name in scoped.unfit(parameter):
            allowed = "、".join(Scoped.allowed(parameter)) or "无（全区一个值）"
            args: dict[str, str | int] = {
                "scope": name, "key": parameter.key, "label": parameter.label, "allowed": allowed,
            }  # fmt: skip
            self.note("RF07", args, *path)
        return scoped

    def _action(self, raw: object, at: int) -> str:
        actions = reform_schema().actions
        if raw is None:
            return ""
        if not is_text(raw) or raw not in actions:
            self.fault(f"不能是“{shown(raw)}”，可用值：{'、'.join(actions)}", "change", at, "action")
            return ""
        return str(raw)

    def _value(self, at: int, parameter: Parameter, action: str, raw: object) -> Any:
        if action == "set":
            if parameter.type == "groups" and is_text(raw) and raw not in self.lists:
                return raw  # a list of the policy, known once there is one
            reader = Reader(parameter, self.lists)
            value = reader.read(raw)
            for code, args in reader.faults:
                self.note(code, args, "change", at, "value")
            if parameter.type == "groups" and isinstance(raw, list) and (twice := repeated(value or ())):
                self.fault(f"病组重复：{twice}", "change", at, "value")
            return value
        schema = reform_schema()
        if parameter.type not in schema.scalable:
            args = {"key": parameter.key, "label": parameter.label, "action": schema.actions[action]}
            self.note("RF08", args, "change", at, "action")
            return None
        value = number_of(raw)
        if value is None:
            self.fault(f'应为带引号的十进制数，如 "1.05"，实际是 {shown(raw)}', "change", at, "value")
        elif action == "scale" and value < 0:
            self.fault("系数不能小于 0", "change", at, "value")
        return value

    def _day(self, at: int, block: Mapping[str, Any], key: str) -> date | None:
        value = block.get(key)
        if value is None:
            return None
        if not isinstance(value, date) or isinstance(value, datetime):
            self.fault(day_fault(value), "change", at, key)
            return None
        return value

    # ---- switch, solve, growth, sweep

    def _switch(self) -> Switch | None:
        body = self.data.get("switch")
        if body is None:
            return None
        if not isinstance(body, dict) or not body:
            self.fault(f"应写成 [switch]，可写 {'、'.join(_SWITCH)}", "switch")
            return None
        for key, value in body.items():
            if key not in _SWITCH:
                self.fault(f"不认识的项，可用：{'、'.join(_SWITCH)}", "switch", key)
            elif not is_text(value):
                self.fault(f"应为不空的文本，实际是 {shown(value)}", "switch", key)
        names = {key: str(body.get(key, "")) for key in _SWITCH}
        return Switch(**names, lines=tuple((key, self.lines.line("switch", key)) for key in _SWITCH if key in body))

    def _kind(self, kinds: Mapping[str, BlockKind], block: Mapping[str, Any], *path: str | int) -> BlockKind | None:
        kind = block.get("kind")
        found = kinds.get(str(kind)) if is_text(kind) else None
        if found is None:
            said = "缺少此项" if kind is None else f"不能是“{shown(kind)}”"
            self.fault(f"{said}，可用值：{'、'.join(kinds)}", *path, "kind")
        return found

    def _fields(self, kind: BlockKind, block: Mapping[str, Any], *path: str | int) -> dict[str, Any] | None:
        """The fields of a block, `for` as scope and groups; None with at least one fault."""
        before = len(self.problems)
        for key in block:
            if key != "kind" and key not in kind.fields:
                self.fault(f"不认识的项，可用：{'、'.join(kind.fields)}", *path, key)
        found: dict[str, Any] = {}
        parameter = None
        for name, field in kind.fields.items():
            where = (*path, name)
            if name not in block:
                if field.required:
                    self.fault(f"缺少此项（{field.label}）", *where)
                if field.type == "scope":
                    found |= {"scope": (), "groups": ()}
                else:
                    found[name] = tuple(field.default) if isinstance(field.default, list) else field.default
            elif field.type == "parameter":
                parameter = self.parameter(block[name], *where)
                found[name] = None if parameter is None else parameter.key
            elif field.type == "scope":
                scoped = self.scope(block[name], parameter, *where)
                found |= {"scope": scoped.pairs, "groups": scoped.groups}
            else:
                reader = FieldReader(lambda reason, where=where: self.fault(reason, *where))  # type: ignore[misc]
                found[name] = reader.value(field, block[name])
        return found if len(self.problems) == before else None

    def _scaled(self, found: Mapping[str, Any], *path: str | int) -> bool:
        """Can the number of this block work on its parameter? RF08 when not."""
        parameter = policy_schema().parameters[found["key"]]
        action = found.get("action", "scale")
        numbers = {"decimal", "money", "integer"}
        if parameter.type in numbers or (action != "set" and parameter.type in reform_schema().scalable):
            return True
        args: dict[str, str | int] = {
            "key": parameter.key, "label": parameter.label, "action": reform_schema().actions[action],
        }  # fmt: skip
        self.note("RF08", args, *path, "key")
        return False

    def _solve(self, at: int, block: Mapping[str, Any]) -> Solve | None:
        path = ("solve", at)
        kind = self._kind(reform_schema().solve, block, *path)
        found = None if kind is None else self._fields(kind, block, *path)
        if kind is None or found is None or ("key" in found and not self._scaled(found, *path)):
            return None
        k = found.get("k")
        if k is not None and k != "estimate" and (number_of(k) or Fraction(-1)) < 0:
            self.fault(f'应为例数，如 "30"，或 estimate，实际是 {k}', *path, "k")
            return None
        return Solve(kind.name, found, self.place(*path), self.lines.line(*path))

    def _growth(self, at: int, block: Mapping[str, Any]) -> Growth | None:
        path = ("growth", at)
        kind = self._kind(reform_schema().growth, block, *path)
        found = None if kind is None else self._fields(kind, block, *path)
        if kind is None or found is None:
            return None
        factor = found["share"] if "share" in found else found["factor"]
        line = self.lines.line(*path)
        return Growth(kind.name, factor, found["scope"], found["groups"], found["years"], self.place(*path), line)

    def _sweep(self, at: int, block: Mapping[str, Any]) -> Sweep | None:
        path = ("sweep", at)
        found = self._fields(reform_schema().sweep, block, *path)
        if found is None or not self._scaled(found, *path):
            return None
        start, stop = found["start"], found["stop"]
        if start == stop:
            self.fault(f"与 start 相同（{shown(stop)}），没有可试的区间", *path, "stop")
        if found["action"] == "scale" and min(start, stop) < 0:
            self.fault("系数不能小于 0", *path, "start" if start < 0 else "stop")
        if start == stop or (found["action"] == "scale" and min(start, stop) < 0):
            return None
        return Sweep(**found, place=self.place(*path), line=self.lines.line(*path))
