"""`drgdip serve` and its kin where the machine does not let them: exit code 4, in Chinese, with what to do."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from typer.testing import CliRunner

from api.cli.main import app

runner = CliRunner()


def test_a_database_that_cannot_be_used(tmp_path: Path) -> None:
    assert runner.invoke(app, ["audit", "verify", "--data", str(tmp_path)]).exit_code == 0
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
