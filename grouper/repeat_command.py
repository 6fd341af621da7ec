"""The command that repeats a run beside its files, as a shell reads it: words quoted, files by name.

The files of a run are laid into one folder and the command is run there. Two files of one name keep as much of their
folders as tells them apart, and are laid into folders of those names.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path


def command_line(words: Iterable[object]) -> str:
    """Words as one line that a POSIX shell splits into just these words."""
    return shlex.join(str(word) for word in words)


def file_words(paths: Iterable[str | Path]) -> dict[str, str]:
    """How a command names each path (as given, text): its own name, and of paths that share it with another place the
    last folders too, as few as tell them all apart; the whole path where folders run out. A name that would be read as
    an option gets ./ before it; - alone, standard input, stays."""
    given = list(dict.fromkeys(str(path) for path in paths))
    parts = {path: Path(path).absolute().resolve().parts for path in given}
    sharing: dict[str, set[tuple[str, ...]]] = {}
    for path in given:
        sharing.setdefault(Path(path).name, set()).add(parts[path])
    found = {}
    for path in given:
        name = Path(path).name
        others = sharing[name]
        least = 1
        while len({other[-least:] for other in others}) < len(others):
            least += 1
        shown = name if least == 1 else "/".join(parts[path][-least:]).replace("//", "/")
        found[path] = f"./{shown}" if shown.startswith("-") and path != "-" else shown
    return found
