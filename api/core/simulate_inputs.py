"""Every file that a simulation read, by content, and those that must lie beside the ones its command names."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from api.core.simulate import Simulation
from api.core.simulate_shrink import OWN_CASES
from grouper.proof import file_sha256
from grouper.repeat_command import file_words
from reference_tables.group_weights import built_in_weights
from reference_tables.packs import built_in_packs
from reference_tables.policy import find_policies
from reference_tables.reform import find_reforms
from reference_tables.year_file import find_year_files

_SWITCHED = {"policy": "改革后的政策", "scheme": "改革后的分组方案", "weights": "改革后的权重表"}
_ROLES = {
    "policy": "政策", "reform": "改革方案", "year-file": "年度文件", "scheme": "分组方案", "weights": "权重表",
    "decisions": "特例单议评议结果", "hospitals": "医疗机构名册", "separate": "另行支付的费用", "prepaid": "年内已付",
}  # fmt: skip
Named = Sequence[tuple[str, str]]
"""Options of the command and what was given for each; a built-in name has no file."""


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file (of a folder: all its files, as one) that decided the result. `name` as the command or the file that names
    it (`by`, "" = the command) has it."""

    role: str
    name: str
    sha256: str
    by: str = ""

    def as_json(self) -> dict[str, str]:
        """For the proof."""
        return {"role": self.role, "name": self.name, "sha256": self.sha256, "named_by": self.by}


def command_files(simulation: Simulation, named: Named) -> list[tuple[str, Path]]:
    """Role and place of the files that the command names, cases first."""
    request = simulation.request
    found = [("病例", Path(path)) for path in sorted(request.cases)]
    lists = [(name, str(path)) for name, path in request.lists.items()]
    weights = [("weights", request.weights)] if request.weights else []
    built_in = {
        "policy": find_policies(), "reform": find_reforms(), "year-file": find_year_files(),
        "weights": built_in_weights(), "scheme": built_in_packs(),
    }  # fmt: skip
    return found + [
        (_ROLES[name], Path(value))
        for name, value in dict.fromkeys([*named, *weights, *lists])
        if value not in built_in.get(name, ()) and Path(value).exists()
    ]


def input_files(simulation: Simulation, named: Named) -> list[InputFile]:
    """The files of the command, then those that they name."""
    of_command = command_files(simulation, named)
    words = file_words(path for _, path in of_command)
    found = [InputFile(role, words[str(path)], _sha256(path)) for role, path in of_command]
    return found + _beside(simulation)


def beside_text(files: Iterable[InputFile]) -> str:
    """What must lie beside the files of the command, in Chinese; "" when nothing must."""
    parts = [f"{item.name}（{item.role}，{item.by} 所指）" for item in files if item.by]
    return f"{'、'.join(parts)}，按指向它的文件所写的相对位置放置" if parts else ""


def _beside(simulation: Simulation) -> list[InputFile]:
    """The files that year file, policies and reforms name, each once."""
    request, year = simulation.request, simulation.year_file
    found: list[InputFile] = []
    if year is not None and year.decisions_path is not None and request.decisions is None:
        found.append(InputFile(_ROLES["decisions"], year.decisions, file_sha256(year.decisions_path), year.file))
    before = simulation.before.policy
    if not request.weights and before.weights and (table := Path(before.weights)).is_file():
        found.append(InputFile(_ROLES["weights"], table.name, file_sha256(table), before.header.file))
    for reform in request.reforms:
        if not reform.folder:
            continue
        folder = Path(reform.folder)
        for name, role in _SWITCHED.items():
            word = "" if reform.switch is None else str(getattr(reform.switch, name))
            if word and (folder / word).exists():
                found.append(InputFile(role, word, _sha256(folder / word), reform.file))
        for solve in reform.solves:
            history = [word for word in solve.fields.get("history") or () if word != OWN_CASES]
            found += [
                InputFile("测算权重的病例", word, file_sha256(folder / word), reform.file)
                for word in history
                if (folder / word).is_file()
            ]
    return list(dict.fromkeys(found))


def _sha256(place: Path) -> str:
    """Of a file, or of the names and checksums of all files of a folder."""
    if place.is_file():
        return file_sha256(place)
    lines = (f"{path.relative_to(place).as_posix()} {file_sha256(path)}\n" for path in sorted(place.rglob("*"))
             if path.is_file())  # fmt: skip
    return hashlib.sha256("".join(lines).encode()).hexdigest()
