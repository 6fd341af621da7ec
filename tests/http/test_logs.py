"""What server and worker write while they run as processes: lines of JSON, each with what it is about, none with what
was sent."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from processes import Client, end, free_port, launched
from small_service import SETUP
from typer.testing import CliRunner

from api.cli.console import Exit
from api.cli.main import app
from api.service.context import open_service
from api.service.roles import Role
from api.service.settings import Settings
from api.service.tokens import create_token
from tests.unit.pay_examples import HEADER, row

_PERSONAL = ("张三丰", "110101199003078515", "13800138000", "BA20250017", "secret-in-the-query")


def test_server_and_worker_log_lines_of_json_without_anything_sent(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    service = open_service(Settings(data=data))
    with service.database.write() as connection:
        token = create_token(connection, SETUP, Role.HOSPITAL, hospital_id="H1")
    service.close()
    name, number, phone, case, secret = _PERSONAL
    header = HEADER.strip() + ",patient_name,id_number,phone\n"
    body = header + row(case, sex="男人", age_years=number).strip() + f",{name},{number},{phone}\n"
    port = free_port()
    env = {"DRGDIP_DATA": str(data)}
    with launched(tmp_path) as launcher:
        processes = [
            launcher.start("serve", "--port", str(port), "--workers", "0", env=env), launcher.start("worker", env=env),
        ]  # fmt: skip
        try:
            client = Client(port, token)
            sent = client.json("POST", "/v1/submissions?month=2025-03", body.encode())
            assert client.job(sent["job_id"])["state"] == "done"
            broken = f'{{"case_id": "{case}", "sex": "{name}"}}'.encode()
            assert client.ask("POST", "/v1/group", broken)[0] == 422
            assert client.ask("POST", "/v1/group", broken[:-1])[0] == 422
            assert client.ask("GET", f"/v1/policies/{number}")[0] == 404
            assert client.ask("GET", f"/v1/codes?q={phone}&token={secret}")[0] == 422
            assert client.ask("GET", f"/{secret}")[0] == 404
            assert Client(port, f"drgdip_{secret}").ask("GET", "/v1/codes?q=I63")[0] == 401
        finally:
            for process in processes:
                end(process, signal.SIGTERM)
    lines = (tmp_path / "processes.log").read_text(encoding="utf-8").splitlines()
    told = [json.loads(line) for line in lines]
    assert [line["address"] for line in told if line["logger"] == "drgdip.serve"] == [f"http://127.0.0.1:{port}"]
    assert all({"at", "level", "logger", "message"} <= line.keys() for line in told)
    requests = [line for line in told if line["logger"] == "drgdip.http"]
    assert {line["status"] for line in requests} >= {200, 202, 401, 404, 422}
    assert all(line["request_id"] and line["route"] for line in requests)
    assert [line["job"] for line in told if line["logger"] == "drgdip.worker"] == [sent["job_id"]]
    text = "\n".join(lines)
    assert not [word for word in (*_PERSONAL, token, token.rsplit("_", 1)[1]) if word in text]


@pytest.mark.parametrize("url", ["nonsense", "nonsense://u:secret@h/d", "postgresql+none://u:secret@h/d"])
def test_a_database_url_that_is_none_is_told_without_its_password(tmp_path: Path, url: str) -> None:
    done = CliRunner().invoke(app, ["worker", "--data", str(tmp_path / "none")], env={"DRGDIP_DATABASE_URL": url})
    assert isinstance(done.exception, SystemExit)
    assert done.exit_code == Exit.ENVIRONMENT
    assert "DRGDIP_DATABASE_URL" in done.output
    assert "secret" not in done.output
