"""Points at which a test may let the process die, so that what a crash leaves behind can be looked at.

`DRGDIP_FAULT=name:3` kills the process the third time it passes the point `name`, as `kill -9` would. Without the
variable a point does nothing.
"""

from __future__ import annotations

import os
import signal

_passed = {"times": 0}


def point(name: str) -> None:
    """Die here if a test asks for it."""
    wanted, _, times = os.environ.get("DRGDIP_FAULT", "").partition(":")
    if name != wanted:
        return
    _passed["times"] += 1
    if _passed["times"] >= int(times or 1):
        os.kill(os.getpid(), signal.SIGKILL)
