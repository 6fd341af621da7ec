"""One profile for all property tests: no time limit on an example, since a machine may be busy."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("drgdip", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("drgdip")
