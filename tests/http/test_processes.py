"""`drgdip serve --processes 2`: one service to those who ask, whichever process answers and whichever dies."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from processes import Client, end, free_port, is_alive, launched, wait_for
from small_service import SETUP

from api.service.context import open_service
from api.service.roles import Role
from api.service.settings import Settings
from api.service.tokens import create_token
from tests.unit.pay_examples import HEADER, row


def _until(found: Callable[[], Any]) -> Any:
    for _ in range(3000):
        if value := found():
            return value
        time.sleep(0.02)
    raise AssertionError("it does not come")


def test_processes_are_one_service(tmp_path: Path) -> None:
    data, log = tmp_path / "data", tmp_path / "processes.log"
    service = open_service(Settings(data=data))
    with service.database.write() as connection:
        office, other = (create_token(connection, SETUP, Role.OFFICE) for _ in range(2))
        hospital = create_token(connection, SETUP, Role.HOSPITAL, hospital_id="H1")
    service.close()
    port = free_port()

    def servers() -> list[int]:
        text = log.read_text(encoding="utf-8")
        return [int(item) for item in re.findall(r"Started server process \[(\d+)\]", text) if is_alive(int(item))]

    def ask(path: str, token: str, process: int, others: list[int]) -> tuple[int, str]:
        """What one process answers; the others are halted meanwhile."""
        for other in others:
            os.kill(other, signal.SIGSTOP)
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
            answer = connection.getresponse()
            text = answer.read().decode()
            connection.close()
            return answer.status, text
        finally:
            for other in others:
                os.kill(other, signal.SIGCONT)

    with launched(tmp_path) as launcher:
        env = {"DRGDIP_DATA": str(data), "DRGDIP_REQUESTS_PER_MINUTE": "24"}
        keeper = launcher.start("serve", "--port", str(port), "--processes", "2", env=env)
        try:
            one, two = _until(lambda: found if len(found := servers()) == 2 else None)
            codes = [ask("/v1/problems", hospital, *turn)[0] for turn in ((one, [two]), (two, [one])) * 13]
            assert codes == [200] * 24 + [429] * 2  # in both together
            counted = ask("/metrics", office, one, [two])[1]
            assert re.findall(r'requests_total\{.*"/v1/problems",status="(\d+)"\} (\S+)', counted) == [
                ("200", "24.0"), ("429", "2.0"),
            ]  # fmt: skip
            assert 'seconds_bucket{le="+Inf",route="/v1/problems"} 26.0' in counted
            end(one)
            new = _until(lambda: [item for item in servers() if item != two])[0]
            assert ask("/v1/problems", hospital, new, [two])[0] == 429
            counted = ask("/metrics", office, new, [two])[1]
            assert 'route="/v1/problems",status="429"} 3.0' in counted
            client = Client(port, other)
            sent = client.json("POST", "/v1/submissions?month=2025-03&hospital=H1", (HEADER + row("A1")).encode())
            assert client.job(sent["job_id"])["state"] == "done"
        finally:
            end(keeper, signal.SIGTERM)
    for process in (two, new):
        wait_for(process)
    with socket.socket() as free:
        free.bind(("127.0.0.1", port))
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines() if line[0] == "{"]
    died = [line for line in lines if line["logger"] == "drgdip.processes"]
    assert [(line["process"], line["code"], line["level"]) for line in died] == [(one, -9, "ERROR")]
