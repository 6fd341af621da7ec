"""Entry point of the installed command: interrupted at any moment, also while modules load, it leaves quietly."""

from __future__ import annotations

import sys

_INTERRUPTED = 130  # 128 + SIGINT, as shells count


def main() -> None:
    """Run the command line; an interruption ends it with exit code 130."""
    try:
        # Loading the command takes a moment in which a person may already change their mind.
        from api.cli import main as command

        command.main()
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)


if __name__ == "__main__":
    main()
