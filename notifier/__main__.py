"""`python -m notifier`: the command line."""

from __future__ import annotations

import signal
import sys


def main() -> None:
    """Run the command line. Whoever interrupts it while it still loads gets no traceback."""
    try:
        from notifier.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


if __name__ == "__main__":
    main()
