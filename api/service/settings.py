"""Settings of the service: from the environment (`DRGDIP_…`), from options of the command, else as here.

Limits are per request unless it says otherwise.
"""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from api.store.database import sqlite_url
from reference_tables.problems import Problem, TablesRefused

_PREFIX = "DRGDIP_"
_KINDS = {int: "整数", float: "数", bool: "true 或 false"}
_BOUNDS = {"ge": "不小于 {}", "gt": "大于 {}", "le": "不大于 {}"}
_LONGEST_SHOWN = 60


class Settings(BaseSettings):
    """What decides how the service runs; names in the environment are these with `DRGDIP_` before them."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, extra="ignore")

    data: Path = Field(default=Path("drgdip-data"), description="folder of the embedded database, files and year books")
    database_url: str = Field(default="", description="PostgreSQL URL; empty: SQLite in the data folder")
    host: str = Field(default="127.0.0.1", description="address to listen on; others than loopback need tokens")
    port: int = Field(default=8471, ge=0, le=65535)
    open_access: bool = Field(default=False, description="no tokens asked for; on loopback only")
    policy: str = Field(default="synthetic-city-drg-point", description="the policy that cases are paid by")
    scheme: str = Field(default="", description="grouping scheme; empty: as the policy says")
    max_body_bytes: int = Field(default=512 << 20, gt=0, description="largest body or file as sent")
    max_request_bytes: int = Field(default=1 << 20, gt=0, description="largest body of a request that is not a file")
    max_batch_bytes: int = Field(default=64 << 20, gt=0, description="largest body of many cases in one request")
    max_unpacked_bytes: int = Field(default=2 << 30, gt=0, description="largest file after unpacking")
    max_rows: int = Field(default=2_000_000, gt=0, description="most rows of a submission")
    max_cases: int = Field(default=10_000, gt=0, description="most cases of one request for grouping")
    requests_per_minute: int = Field(default=6_000, gt=0, description="of one token")
    head_seconds: float = Field(
        default=15.0, gt=0, le=86_400, description="a request's head has to be there after so long"
    )
    body_seconds: float = Field(
        default=30.0, gt=0, le=86_400, description="the rate of a body, or of an answer, is taken for so long"
    )
    body_rate: int = Field(
        default=1_000, gt=0, description="bytes of it that have to come, or to be taken, in a second"
    )
    connections: int = Field(default=800, gt=0, description="open connections of a server process")
    address_connections: int = Field(default=400, gt=0, description="open connections of it from one address")
    lease_seconds: float = Field(
        default=30.0, gt=0, le=86_400, description="a job whose worker is silent for so long is taken over"
    )
    processes: int = Field(default=1, ge=1, le=256, description="server processes on one port, with limits in common")
    workers: int = Field(default=1, ge=0, le=256, description="threads of the server that work on jobs")
    most_attempts: int = Field(default=5, gt=0, description="a job that dies so often is given up")

    @property
    def url(self) -> str:
        """The catalogue's database."""
        return self.database_url or sqlite_url(self.data)

    @property
    def is_loopback(self) -> bool:
        """Is the address one that only this machine reaches?"""
        return only_here(self.host)


def settings_of(**given: Any) -> Settings:
    """The settings, those `given` before those of the environment. Raises TablesRefused (SV86) with every one that
    will not do."""
    try:
        return Settings(**given)
    except ValidationError as error:
        names = dict.fromkeys(str(item["loc"][0]) for item in error.errors())
        values = {str(item["loc"][0]): str(item["input"])[:_LONGEST_SHOWN] for item in error.errors()}
    problems = [
        Problem("SV86", {"name": _PREFIX + name.upper(), "value": values[name], "range": _range(name)}, field=name)
        for name in names
    ]
    raise TablesRefused("settings", problems)


def _range(name: str) -> str:
    """What a setting may be, in Chinese."""
    field = Settings.model_fields[name]
    bounds = [
        text.format(value)
        for item in field.metadata
        for bound, text in _BOUNDS.items()
        if (value := getattr(item, bound, None)) is not None
    ]
    kind = next((text for kind, text in _KINDS.items() if field.annotation is kind), "文字")
    return "、".join(bounds) + (" 的" if bounds else "") + kind


def only_here(host: str) -> bool:
    """Is a host's name or address one that only this machine reaches?"""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
