"""`python -m bot`."""

import gc
import sys


def start() -> int:
    """Import the program without looking for garbage, which is a tenth of the start: there is none yet."""
    gc.disable()
    from bot.cli.main import main

    gc.enable()
    return main()


if __name__ == "__main__":
    sys.exit(start())
