"""What a library writes to the standard error of server and worker: a line of JSON tells of it, without its text."""

from __future__ import annotations

import json
import subprocess
import sys

_PROGRAM = """
import logging, os, sys
from api.service.logs import keep_others_out, log_as_json
log_as_json()
keep_others_out()
logging.getLogger("drgdip").info("begun")
place = "crates/reader/src/page.rs:12:3"
os.write(2, f"\\nthread '<unnamed>' (7) panicked at {place}:\\ninvalid 张三丰 110101199003078515\\n".encode())
sys.stdin.readline()
print("病例 BA20250017", file=sys.stderr, flush=True)
sys.stdin.readline()
"""


def test_only_that_something_was_written_is_told() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        told = [json.loads(process.stderr.readline()) for _ in range(2)]
        process.stdin.write("\n")
        process.stdin.flush()
        told.append(json.loads(process.stderr.readline()))
        process.stdin.close()
        assert process.stderr.read() == ""
    assert [line["message"] for line in told] == ["begun", *["a library wrote to the standard error"] * 2]
    assert (told[1]["lines"], told[1]["place"]) == (3, "crates/reader/src/page.rs:12:3")
    assert (told[2]["lines"], "place" in told[2]) == (1, False)
    assert all(line.keys() <= {"at", "level", "logger", "message", "lines", "place"} for line in told)
