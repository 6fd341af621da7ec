"""Reading a policy file: its head, its lists and sources, and every `[[set]]` block, all faults with their lines."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path as FolderPath
from typing import Any

from reference_tables.group_weights import built_in_weights
from reference_tables.manifest import DATA_LEVELS
from reference_tables.policy_schema import METHODS, Parameter, policy_schema
from reference_tables.policy_settings import Setting, ordered_scope
from reference_tables.policy_text import TomlLines
from reference_tables.policy_values import FloatText, Reader, day_fault, shown
from reference_tables.problems import Problem
from reference_tables.toml_faults import toml_fault


@dataclass(frozen=True, slots=True)
class PolicySource:
    """A document that values come from; `date` to the precision known."""

    title: str
    publisher: str = ""
    number: str = ""
    article: str = ""
    date: str = ""


@dataclass(frozen=True, slots=True)
class Header:
    """What a policy is. `scheme`: id of the grouping scheme, `weights`: id or path of a weight table, "" = none
    named. `effective_from`: the first day it holds, `effective_until`: the first day it no longer does; `dated`: both
    could be read."""

    id: str
    name: str
    region: str
    method: str
    scheme: str
    weights: str
    insurances: tuple[str, ...]
    tiers: tuple[str, ...]
    effective_from: date
    effective_until: date | None
    data_level: str
    statement: str
    sources: Mapping[str, PolicySource] = field(default_factory=dict)
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    file: str = ""
    dated: bool = True
    source_lines: Mapping[str, int] = field(default_factory=dict)
    list_lines: Mapping[str, int] = field(default_factory=dict)

    def canonical(self) -> dict[str, object]:
        """The head's content as JSON types."""
        return {
            "id": self.id, "name": self.name, "region": self.region, "method": self.method, "scheme": self.scheme,
            "weights": self.weights.replace("\\", "/").rsplit("/", 1)[-1], "insurances": list(self.insurances),
            "tiers": list(self.tiers), "from": str(self.effective_from), "until": str(self.effective_until),
            "data_level": self.data_level, "statement": self.statement,
            "sources": {
                name: [item.title, item.publisher, item.number, item.article, item.date]
                for name, item in sorted(self.sources.items())
            },
            "lists": {name: list(codes) for name, codes in sorted(self.lists.items())},
        }  # fmt: skip


Answer = tuple[Header | None, list[Setting], list[Problem], set[str]]
"""Head (None: cannot be used at all), the settings that could be read, problems, and the parameters of the others."""
_TEXTS = ("id", "name", "region", "method", "data_level", "statement")
_WORDS = ("insurances", "tiers")
_DATES = ("effective_from", "effective_until")
_DAYS = {*_DATES, "from", "until"}
_HEAD = {*_TEXTS, *_WORDS, *_DATES, "scheme", "weights", "sources", "lists", "set"}
_SET = {"key", "value", "for", "from", "until", "source", "article", "confidence", "suspect", "note"}
_SOURCE = ("title", "publisher", "number", "article", "date")
_MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")


def read_policy_text(text: str, file: str, folder: FolderPath | None = None) -> Answer:
    """What a TOML text says, as far as it can be read.

    `folder`: where the file of weights that the policy names is looked for.
    """
    lines = TomlLines(text.replace("\r\n", "\n"))
    problems = [
        Problem("PL03", {"key": item.name, "first": item.first}, file=file, row=item.line, field=item.name)
        for item in lines.twice
    ]
    try:
        data = tomllib.loads(lines.without_twice(_DAYS), parse_float=FloatText)
    except tomllib.TOMLDecodeError as error:
        reason, row = toml_fault(error, lines.text)
        return None, [], [*problems, Problem("PL02", {"reason": reason}, file=file, row=row)], set()
    header, settings, more, unread = read_policy_data(data, file, lines, folder)
    return header, settings, problems + more, unread


def read_policy_data(
    data: Mapping[str, Any], file: str, lines: TomlLines | None = None, folder: FolderPath | None = None
) -> Answer:
    """As `read_policy_text`, from parsed TOML; lines are known only when given."""
    reading = _Reading(data, file, lines or TomlLines(""), folder or FolderPath())
    return reading.header(), reading.settings(), reading.problems, reading.unread


class _Reading:
    def __init__(self, data: Mapping[str, Any], file: str, lines: TomlLines, folder: FolderPath) -> None:
        self.data = data
        self.file = file
        self.lines = lines
        self.folder = folder
        self.problems: list[Problem] = []
        self.lists: dict[str, tuple[str, ...]] = {}
        self.unread: set[str] = set()

    def note(self, code: str, args: dict[str, str | int], *path: str | int) -> None:
        name = ".".join(str(part) for part in path)
        self.problems.append(Problem(code, args, file=self.file, row=self.lines.line(*path), field=name))

    def head_fault(self, reason: str, *path: str) -> None:
        self.note("PL04", {"key": ".".join(path), "reason": reason}, *path)

    def header(self) -> Header | None:
        """The head; the settings are checked against it even when it has faults. None without a known method."""
        for key in self.data:
            if key not in _HEAD:
                self.head_fault("不认识的项", key)
        texts = {key: self._head_text(key) for key in _TEXTS}
        for key, words in (("method", tuple(METHODS)), ("data_level", DATA_LEVELS)):
            if texts[key] and texts[key] not in words:
                self.head_fault(f"“{texts[key]}”不可用，可用值：{'、'.join(words)}", key)
        since = self._head_date("effective_from", required=True)
        until = self._head_date("effective_until", required=False)
        if since and until and until <= since:
            self.head_fault(f"应晚于 {since}", "effective_until")
        insurances, tiers = self._words("insurances", required=True), self._words("tiers", required=False)
        self.lists = self._lists()
        sources = self._sources()
        header = Header(
            **texts,
            scheme=self._head_text("scheme", required=False),
            weights=self._weights(),
            insurances=insurances,
            tiers=tiers,
            effective_from=since or date.min,
            effective_until=until,
            sources=sources,
            lists=self.lists,
            file=self.file,
            dated=since is not None and (until is None) == (self.data.get("effective_until") is None),
            source_lines={name: self.lines.line("sources", name) for name in sources},
            list_lines={name: self.lines.line("lists", name) for name in self.lists},
        )
        self.head = header
        return header if texts["method"] in METHODS else None

    def _head_text(self, key: str, *, required: bool = True) -> str:
        value = self.data.get(key)
        if value is None:
            if required:
                self.head_fault("缺少此项", key)
            return ""
        if not isinstance(value, str) or isinstance(value, FloatText) or not value.strip():
            self.head_fault(f"应为不空的文本，实际是 {shown(value)}", key)
            return ""
        return value

    def _weights(self) -> str:
        """The id of a built-in weight table, or the path of a weight file found from the policy's folder."""
        name = self._head_text("weights", required=False)
        if not name or name in built_in_weights():
            return name
        path = self.folder / name
        if not os.path.isfile(path):
            self.note("PL27", {"name": name, "known": "、".join(built_in_weights())}, "weights")
        return str(path)

    def _head_date(self, key: str, *, required: bool) -> date | None:
        value = self.data.get(key)
        if value is None and required:
            self.head_fault("缺少此项，写首日，如 2023-01-01", key)
        elif value is not None and (not isinstance(value, date) or isinstance(value, datetime)):
            self.head_fault(day_fault(value), key)
            return None
        return value

    def _words(self, key: str, *, required: bool) -> tuple[str, ...]:
        value = self.data.get(key)
        if value is None:
            if required:
                self.head_fault("缺少此项", key)
            return ()
        good = isinstance(value, list) and value and all(isinstance(item, str) and item.strip() for item in value)
        if not good or len(set(value)) != len(value):
            self.head_fault("应为不重复的文本列表", key)
            return ()
        return tuple(value)

    def _tables(self, key: str) -> dict[str, dict[str, Any]]:
        value = self.data.get(key, {})
        if not isinstance(value, dict):
            self.head_fault(f"应写成 [{key}.名称]", key)
            return {}
        good = {}
        for name, body in value.items():
            if isinstance(body, dict):
                good[name] = body
            else:
                self.head_fault(f"应写成 [{key}.{name}]", key, name)
        return good

    def _sources(self) -> dict[str, PolicySource]:
        sources = {}
        for name, body in self._tables("sources").items():
            for key in body:
                if key not in _SOURCE:
                    self.head_fault(f"不认识的项，可用：{'、'.join(_SOURCE)}", "sources", name, key)
            texts = {key: body[key] for key in _SOURCE if key in body}
            for key, value in texts.items():
                if not isinstance(value, str) or isinstance(value, FloatText):
                    self.head_fault(f"应为带引号的文本，实际是 {shown(value)}", "sources", name, key)
            if not texts.get("title"):
                self.head_fault("来源要有 title（文件或表的名称）", "sources", name)
            sources[name] = PolicySource(**{"title": "", **{key: str(value) for key, value in texts.items()}})
        return sources

    def _lists(self) -> dict[str, tuple[str, ...]]:
        lists = {}
        for name, body in self._tables("lists").items():
            codes: list[str] = body["codes"] if isinstance(body.get("codes"), list) else []
            good = bool(codes) and all(isinstance(code, str) and code for code in codes)
            if set(body) != {"codes"} or not good:
                self.head_fault("应只有 codes = [病组编码, …]", "lists", name)
                codes = []
            twice = sorted({code for code in codes if codes.count(code) > 1})
            if twice:
                self.head_fault(f"编码重复：{'、'.join(twice)}", "lists", name, "codes")
            lists[name] = tuple(codes)
        return lists

    def settings(self) -> list[Setting]:
        blocks = self.data.get("set", [])
        if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
            self.head_fault("应写成 [[set]]", "set")
            return []
        read = [self._setting(at, block) for at, block in enumerate(blocks)]
        return [setting for setting in read if setting is not None]

    def _setting(self, at: int, block: Mapping[str, Any]) -> Setting | None:
        before = len(self.problems)
        for key in block:
            if key not in _SET:
                self._set_fault(at, key, f"不认识的项，可用：{'、'.join(sorted(_SET))}")
        for key in ("key", "value", "source", "confidence"):
            if key not in block:
                self._set_fault(at, key, "缺少此项")
        for key in ("key", "source", "article", "confidence", "note"):
            if key in block and (not isinstance(block[key], str) or isinstance(block[key], FloatText)):
                self._set_fault(at, key, f"应为带引号的文本，实际是 {shown(block[key])}")
        if not isinstance(block.get("suspect", False), bool):
            self._set_fault(at, "suspect", "应为 true 或 false")
        parameter = self._parameter(at, block)
        if parameter is None:
            return None
        reader = Reader(parameter, self.lists)
        value = reader.read(block["value"]) if "value" in block else None
        for code, args in reader.faults:
            self.note(code, args, "set", at, "value")
        scope = self._scope(at, block, parameter)
        since, until = self._day(at, block, "from"), self._day(at, block, "until")
        self._provenance(at, block)
        if len(self.problems) > before:
            self.unread.add(parameter.key)
            return None
        line = self.lines.line("set", at)
        return Setting(
            key=parameter.key,
            value=value,
            raw=block["value"],
            scope=ordered_scope(scope),
            since=since,
            until=until,
            source=block["source"],
            article=block.get("article", ""),
            confidence=block["confidence"],
            suspect=block.get("suspect", False),
            note=block.get("note", ""),
            place=f"{self.file}:{line}" if line else self.file,
            line=line,
        )

    def _set_fault(self, at: int, key: str, reason: str) -> None:
        self.note("PL04", {"key": f"set[{at + 1}].{key}", "reason": reason}, "set", at, key)

    def _parameter(self, at: int, block: Mapping[str, Any]) -> Parameter | None:
        key = block.get("key")
        if not isinstance(key, str) or isinstance(key, FloatText):
            return None
        parameter = policy_schema().parameters.get(key)
        if parameter is None:
            self.note("PL05", {"key": key, "near": _nearest(key)}, "set", at, "key")
        elif self.head.method in METHODS and self.head.method not in parameter.methods:
            args: dict[str, str | int] = {
                "key": key, "label": parameter.label, "method": METHODS[self.head.method],
                "methods": "、".join(METHODS[name] for name in parameter.methods),
            }  # fmt: skip
            self.note("PL06", args, "set", at, "key")
        return parameter

    def _scope(self, at: int, block: Mapping[str, Any], parameter: Parameter) -> dict[str, str]:
        raw = block.get("for", {})
        if not isinstance(raw, dict) or (not raw and "for" in block):
            self._set_fault(at, "for", '应写成 { insurance = "职工", tier = "三级" }')
            return {}
        allowed = "、".join(parameter.scope) or "无（全区一个值）"
        scope = {}
        for name, value in raw.items():
            if name not in policy_schema().scopes:
                args: dict[str, str | int] = {"scope": name, "known": "、".join(policy_schema().scopes)}
                self.note("PL11", args, "set", at, "for")
            elif name not in parameter.scope:
                args = {"scope": name, "key": parameter.key, "label": parameter.label, "allowed": allowed}
                self.note("PL12", args, "set", at, "for")
            elif not isinstance(value, str) or isinstance(value, FloatText) or not value:
                self._set_fault(at, "for", f"{name} 应为文本，实际是 {shown(value)}")
            elif (known := self._known(name)) is not None and value not in known:
                args = {"scope": name, "value": value, "known": "、".join(known) or "无"}
                self.note("PL13", args, "set", at, "for")
            elif name == "month" and _MONTH.fullmatch(value) is None:
                self.note("PL13", {"scope": name, "value": value, "known": "YYYY-MM"}, "set", at, "for")
            else:
                scope[name] = value
        return scope

    def _known(self, name: str) -> Sequence[str] | None:
        if name == "insurance":
            return self.head.insurances or None
        if name == "tier":
            return self.head.tiers
        return tuple(self.lists) if name == "list" else None

    def _day(self, at: int, block: Mapping[str, Any], key: str) -> date | None:
        value = block.get(key)
        if value is None:
            return None
        if not isinstance(value, date) or isinstance(value, datetime):
            self._set_fault(at, key, day_fault(value))
            return None
        return value

    def _provenance(self, at: int, block: Mapping[str, Any]) -> None:
        source, confidence = block.get("source"), block.get("confidence")
        if isinstance(source, str) and source not in self.head.sources:
            args: dict[str, str | int] = {"source": source, "known": "、".join(self.head.sources) or "无"}
            self.note("PL17", args, "set", at, "source")
        words = policy_schema().confidences
        if isinstance(confidence, str) and confidence not in words:
            self.note("PL18", {"confidence": confidence, "known": "、".join(words)}, "set", at, "confidence")
        elif isinstance(confidence, str) and (confidence == "synthetic") != (self.head.data_level == "synthetic"):
            self.note("PL25", {"confidence": confidence, "level": self.head.data_level}, "set", at, "confidence")
        if block.get("suspect") is True and not block.get("note"):
            self.note("PL26", {"key": str(block.get("key"))}, "set", at, "suspect")


def _nearest(key: str) -> str:
    from difflib import get_close_matches

    return "、".join(get_close_matches(key, policy_schema().parameters, n=3)) or "没有；全部参数见政策模板"
