"""Entry point of `python -m bot`."""

import sys

from bot.process import imports


def start() -> int:
    """Import the command line, and run it."""
    with imports():
        from bot.cli.main import main
    return main()


if __name__ == "__main__":
    sys.exit(start())
