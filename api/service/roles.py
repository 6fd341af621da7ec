"""Who may what."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """A hospital its own, the office all of the region, policy staff no single case, admin the tokens as well."""

    HOSPITAL = "hospital"
    OFFICE = "office"
    POLICY = "policy"
    ADMIN = "admin"
