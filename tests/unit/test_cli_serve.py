"""`drgdip serve` and its kin where the machine does not let them: exit code 4, in Chinese, with what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from api.cli.main import app, main
from api.service.basis import check_settings
from api.service.documents import DocumentInfo, Stand
from api.service.settings import settings_of
from reference_tables.problems import TablesRefused

runner = CliRunner()


def test_a_service_is_looked_at_only_where_there_is_one(tmp_path: Path) -> None:
    place = tmp_path / "mistyped"
    for words in (["audit", "verify"], ["token", "list"], ["token", "revoke", "x"], ["backup", str(tmp_path / "b")]):
        done = runner.invoke(app, [*words, "--data", str(place)])
        assert (done.exit_code, "SV87" in done.stderr, done.stdout) == (4, True, ""), done.output
    assert list(tmp_path.iterdir()) == []
    made = [runner.invoke(app, ["token", "create", "--role", "office", "--data", str(place)]) for _ in range(2)]
    assert [("已新建" in item.stderr, item.exit_code) for item in made] == [(True, 0), (False, 0)]
    assert runner.invoke(app, ["audit", "verify", "--data", str(place)]).exit_code == 0


def test_settings_that_will_not_do(tmp_path: Path) -> None:
    given = {"DRGDIP_PORT": "99999", "DRGDIP_MAX_ROWS": "abc", "DRGDIP_LEASE_SECONDS": "0", "DRGDIP_OPEN_ACCESS": "?"}
    done = runner.invoke(app, ["token", "list", "--data", str(tmp_path)], env=given)
    assert (done.exit_code, list(tmp_path.iterdir())) == (4, []), done.output
    lines = [line.partition("（")[0] for line in done.stderr.splitlines() if "SV86" in line]
    ranges = {"PORT": "不小于 0、不大于 65535 的整数", "MAX_ROWS": "大于 0 的整数", "OPEN_ACCESS": "true 或 false",
              "LEASE_SECONDS": "大于 0、不大于 86400 的数"}  # fmt: skip
    assert sorted(lines) == sorted(
        f"  [错误 SV86] 设置 DRGDIP_{name} 的值“{given[f'DRGDIP_{name}']}”不能用：应为 {text}"
        for name, text in ranges.items()
    )


def test_a_policy_of_the_settings_that_there_is_not(tmp_path: Path) -> None:
    for name, code in (("policy", "PL01"), ("scheme", "TB01")):
        with pytest.raises(TablesRefused) as told:
            check_settings(Stand(), settings_of(data=tmp_path, **{name: "nosuch"}))
        assert [problem.code for problem in told.value.problems] == [code]
    put = DocumentInfo("policy", "p.toml", 1, "0" * 64, "text/plain", "", "", "")
    check_settings(Stand((put,)), settings_of(data=tmp_path, policy="nosuch"))


def test_a_postgres_that_cannot_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("psycopg")
    monkeypatch.setenv("DRGDIP_DATABASE_URL", "postgresql+psycopg://drgdip:geheim@127.0.0.1:1/drg")
    packed = tmp_path / "b.tar"
    packed.write_bytes(b"")
    create = ["token", "create", "--role", "office", "--data", str(tmp_path / "data")]
    done = runner.invoke(app, create)
    assert (done.exit_code, "PostgreSQL 127.0.0.1:1/drg" in done.stderr) == (4, True), done.output
    assert "geheim" not in done.output
    monkeypatch.setenv("DRGDIP_DATABASE_URL", "geheim")
    for words in (create, ["restore", str(packed), "--data", str(tmp_path / "data")]):
        done = runner.invoke(app, words)
        assert (done.exit_code, "DRGDIP_DATABASE_URL" in done.stderr, "geheim" in done.output) == (4, True, False)


def test_a_database_that_cannot_be_used(tmp_path: Path) -> None:
    assert runner.invoke(app, ["token", "create", "--role", "office", "--data", str(tmp_path)]).exit_code == 0
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'drgdip.sqlite'}")
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    later = runner.invoke(app, ["audit", "verify", "--data", str(tmp_path)])
    assert (later.exit_code, "9999" in later.output) == (4, True), later.output
    for path in tmp_path.glob("drgdip.sqlite*"):
        path.unlink()
    (tmp_path / "drgdip.sqlite").write_bytes(b"no database " * 1000)
    broken = runner.invoke(app, ["audit", "verify", "--data", str(tmp_path)])
    assert (broken.exit_code, "drgdip restore" in broken.output.replace("\n", " ")) == (4, True), broken.output


def test_a_name_that_no_file_can_have(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["group", "中" * 86], ["book", "verify", "中" * 86]):
        monkeypatch.setattr("sys.argv", ["drgdip", *words])
        with pytest.raises(SystemExit) as left:
            main()
        assert (left.value.code, "文件名太长" in capsys.readouterr().err) == (2, True)
