"""Starts the service's commands as processes of their own, quickly: everything is imported once, then forked.

Reads one JSON line for each process (`args`, `env`, `log`) and answers with its process id. Nothing of polars has run
before the fork, so that its threads are the child's own.
"""

from __future__ import annotations

import json
import os
import signal
import sys


def main() -> None:
    """Serve requests from the standard input until it ends."""
    import uvicorn  # noqa: F401

    import api.http.app
    import api.service.handlers  # noqa: F401
    from api.cli.main import app

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the dead need no one to wait for them
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if child == 0:
            os.setsid()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.environ.update(asked["env"])
            log = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            nothing = os.open(os.devnull, os.O_RDONLY)
            for handle, place in ((nothing, 0), (log, 1), (log, 2)):
                os.dup2(handle, place)
            code = 1
            try:
                app(asked["args"], standalone_mode=True)
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 1
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                if "done" in asked:
                    with open(asked["done"], "w", encoding="ascii") as stream:
                        stream.write(str(code))
                os._exit(code)
        print(child, flush=True)


if __name__ == "__main__":
    main()
