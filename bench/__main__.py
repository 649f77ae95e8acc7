"""`python -m bench WHAT`: runs one benchmark, prints its table and writes its JSON."""

import argparse
import asyncio
import json
import sys
from pathlib import Path

from bench import poll


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench")
    what = parser.add_subparsers(dest="what", required=True)
    polling = what.add_parser("poll", help="the poller and its store, beside a bare aiohttp loop")
    polling.add_argument("--tasks", type=int, default=20_000, help="waiting tasks (%(default)s)")
    polling.add_argument("--few", type=int, default=1_000, help="waiting tasks of the small run")
    polling.add_argument("--rounds", type=int, default=5, help="rounds of all three, in turn")
    polling.add_argument("--at-once", type=int, default=256, help="questions in flight")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    arguments = parser.parse_args()
    figures = asyncio.run(
        poll.measure(
            tasks=arguments.tasks, few=arguments.few, rounds=arguments.rounds, at_once=arguments.at_once
        )
    )
    print(poll.table(figures))
    if arguments.json:
        arguments.json.write_text(json.dumps(poll.as_json(figures), indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
