"""`python -m bench WHAT`: runs one benchmark, prints its table and writes its JSON."""

import argparse
import asyncio
import json
import sys
from pathlib import Path

from bench import poll, process


def main() -> int:
    arguments = _arguments()
    if arguments.what == "poll":
        polled = asyncio.run(
            poll.measure(
                tasks=arguments.tasks, few=arguments.few, rounds=arguments.rounds, at_once=arguments.at_once
            )
        )
        table, figures = poll.table(polled), poll.as_json(polled)
    else:
        whole = asyncio.run(process.measure(tasks=arguments.tasks))
        table, figures = process.table(whole), process.as_json(whole)
    print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the figures there")
    what = parser.add_subparsers(dest="what", required=True)
    polling = what.add_parser("poll", help="the poller and its store, beside a bare aiohttp loop")
    polling.add_argument("--tasks", type=int, default=20_000, help="waiting tasks (%(default)s)")
    polling.add_argument("--few", type=int, default=1_000, help="tasks of the small run (%(default)s)")
    polling.add_argument("--rounds", type=int, default=5, help="of all three, in turn (%(default)s)")
    polling.add_argument("--at-once", type=int, default=256, help="questions in flight (%(default)s)")
    whole = what.add_parser("process", help="start-up, memory, and answers under full polling")
    whole.add_argument("--tasks", type=int, default=2_000, help="waiting tasks (%(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
