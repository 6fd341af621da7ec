"""The README's own walk through a year, with curl and with the generated client, against the server that it starts."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from processes import free_port

ROOT = Path(__file__).resolve().parents[2]
READMES = ("README.md", "README.zh-CN.md")
_FENCE = re.compile(r"^```(bash|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_REMARK = re.compile(r"\s+# .*$", re.MULTILINE)


def blocks(name: str) -> list[tuple[str, str]]:
    """The service section's blocks that are meant to be run: language and text."""
    text = (ROOT / name).read_text(encoding="utf-8")
    begin = text.index("\n## Service\n" if name == "README.md" else "\n## 服务\n")
    return _FENCE.findall(text, begin, text.index("\n## ", begin + 1))


def script(port: int) -> str:
    """The walk as one script: every command is shown before its answer, the first that fails ends it."""
    parts = ["set -euo pipefail\n"]
    for language, text in blocks("README.md"):
        told = text.replace("DRGDIP_PORT=8471", f"DRGDIP_PORT={port}")
        told = told.replace("drgdip serve &\n", "drgdip serve 2> serve.log &\nSERVER=$!\ntrap 'kill -9 $SERVER' EXIT\n")
        parts.append(told if language == "bash" else f"echo 'From Python:'\npython3 - <<'END'\n{told}END\n")
    return "".join([*parts, 'wait "$SERVER"\ntrap - EXIT\n'])


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder that the walk was made in, and what it told."""
    if shutil.which("curl") is None or shutil.which("bash") is None:
        pytest.skip("the walk needs bash and curl")
    folder = tmp_path_factory.mktemp("walk")
    (folder / "examples").symlink_to(ROOT / "examples")
    plain = {name: value for name, value in os.environ.items() if not name.startswith("DRGDIP_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    process = subprocess.Popen(
        ["bash", "-c", script(free_port())], cwd=folder, env={**plain, "PATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    try:
        told = process.communicate(timeout=600)[0].decode()
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    assert process.returncode == 0, told
    return folder, told


def test_the_walk_tells_what_the_readme_says(walked: tuple[Path, str]) -> None:
    _, told = walked
    assert '"accepted":4,"rejected":1,"rows":5' in told
    assert "性别缺失或无效" in told
    assert '"case_id":"H1-015"' in told
    assert re.search(r"^locked$", told, re.MULTILINE)
    assert '"broken":null' in told
    assert "审计链完整" in told


def test_the_walk_leaves_the_files_it_names(walked: tuple[Path, str]) -> None:
    folder, _ = walked
    assert (folder / "H1-2026-01-results.xlsx").read_bytes()[:2] == b"PK"
    assert "合成市第一医院" in (folder / "H1-2026-01.html").read_text(encoding="utf-8")
    cleared = (folder / "H1-2026.html").read_text(encoding="utf-8")
    assert "H2" not in cleared
    assert "超出名额的特例单议" in cleared
    assert "改按病组（病种）支付：H1-023" in cleared
    rows = (folder / "2026-01.csv").read_text(encoding="utf-8-sig").splitlines()
    assert {line.split(",")[0] for line in rows[1:]} == {"H1", "H2"}
    with tarfile.open(folder / "service.tar") as packed:
        assert "manifest.json" in packed.getnames()
    assert (folder / "restored" / "books" / "2026").is_dir()


def test_the_generated_client_sees_the_hospital_s_own(walked: tuple[Path, str]) -> None:
    _, told = walked
    lines = told[told.index("From Python:") :].splitlines()
    assert {"2026-01 new 4 1", "2026-01 correction 1 0", "2026-02 new 4 0"} <= set(lines)
    assert "'code': 'I63.900'" in told


def test_both_readmes_walk_the_same_way() -> None:
    plain = [[(language, _REMARK.sub("", text)) for language, text in blocks(name)] for name in READMES]
    assert len(plain[0]) > 5
    assert plain[0] == plain[1]
