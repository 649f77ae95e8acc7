"""`python -m bench WHAT`: runs one benchmark, prints its table and writes its JSON."""

import argparse
import asyncio
import importlib
import json
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from bench import explore, fit, fuzz, loop, process
from bench.databases import Kind
from bench.deliver import at_once, slow_links
from bench.poll import one_process, workers
from bench.soak import soak, tally

Outcome = tuple[str, dict[str, object]]


def main() -> int:
    arguments = _arguments()
    with asyncio.Runner(loop_factory=_uvloop() if getattr(arguments, "uvloop", False) else None) as runner:
        table, figures = runner.run(MEASURE[arguments.what](arguments))
    print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 1 if figures.get("failed") else 0


async def _poll(arguments: argparse.Namespace) -> Outcome:
    figures = await one_process.measure(
        one_process.Plan(
            tasks=arguments.tasks,
            kinds=list(Kind) if arguments.postgres or arguments.workers else [Kind.SQLITE],
            polls=arguments.polls,
            rounds=arguments.rounds,
            at_once=arguments.at_once,
        )
    )
    table, as_json = one_process.table(figures), one_process.as_json(figures)
    if not arguments.workers:
        return table, as_json
    several = await workers.measure(arguments.workers)
    return f"{table}\n{workers.table(several)}", as_json | {"workers": workers.as_json(several)}


async def _loop(arguments: argparse.Namespace) -> Outcome:
    figures = await loop.measure(count=arguments.tasks, naive=arguments.naive, seconds=arguments.seconds)
    return loop.table(figures), loop.as_json(figures)


async def _deliver(arguments: argparse.Namespace) -> Outcome:
    if arguments.slow:
        slow = await slow_links.measure()
        return slow_links.table(slow), slow_links.as_json(slow)
    figures = await at_once.measure(
        videos=arguments.videos, size=arguments.size * 1024**2, rounds=arguments.rounds
    )
    return at_once.table(figures), at_once.as_json(figures)


async def _process(arguments: argparse.Namespace) -> Outcome:
    figures = await process.measure(tasks=arguments.tasks)
    return process.table(figures), process.as_json(figures)


async def _soak(arguments: argparse.Namespace) -> Outcome:
    counted = await soak.measure(
        seconds=arguments.minutes * 60,
        seed=arguments.seed,
        work=arguments.work,
        chat=arguments.chat,
        report=_print_line,
    )
    return tally.table(counted), tally.as_json(counted)


async def _explore(arguments: argparse.Namespace) -> Outcome:
    plan = explore.Plan(
        minutes=arguments.minutes,
        seed=arguments.seed,
        processes=arguments.processes,
        scenarios=arguments.scenario,
        replay=arguments.replay,
    )
    explored = await explore.measure(plan, report=_print_line)
    return explore.table(explored), explore.as_json(explored)


async def _fuzz(arguments: argparse.Namespace) -> Outcome:
    fuzzed = await fuzz.measure(cases=arguments.cases)
    return fuzz.table(fuzzed), fuzz.as_json(fuzzed)


async def _fit(arguments: argparse.Namespace) -> Outcome:
    figures = await fit.measure()
    return fit.table(figures), fit.as_json(figures)


def _uvloop() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        made: Callable[[], asyncio.AbstractEventLoop] = importlib.import_module("uvloop").new_event_loop
    except ImportError:
        sys.exit("uvloop is not installed here: pip install uvloop")
    return made


def _print_line(line: str) -> None:
    print(line, flush=True)


MEASURE: dict[str, Callable[[argparse.Namespace], Coroutine[Any, Any, Outcome]]] = {
    "poll": _poll,
    "loop": _loop,
    "deliver": _deliver,
    "process": _process,
    "soak": _soak,
    "explore": _explore,
    "fuzz": _fuzz,
    "fit": _fit,
}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the figures there")
    what = parser.add_subparsers(dest="what", required=True)
    polling = what.add_parser("poll", help="what a poll costs, beside a bare aiohttp loop")
    polling.add_argument(
        "--tasks",
        type=int,
        nargs="+",
        default=[1_000, 20_000, 100_000],
        help="sizes of the table of waiting tasks (%(default)s)",
    )
    polling.add_argument("--postgres", action="store_true", help="measure PostgreSQL as well")
    polling.add_argument(
        "--workers",
        type=int,
        nargs="+",
        help="--postgres, and so many processes over one, such as 1 2 4",
    )
    polling.add_argument("--polls", type=int, default=20_000, help="polls of one run (%(default)s)")
    polling.add_argument("--rounds", type=int, default=5, help="runs of each, in turn (%(default)s)")
    polling.add_argument("--uvloop", action="store_true", help="use uvloop, which must be installed")
    polling.add_argument("--at-once", type=int, default=256, help="polls in flight (%(default)s)")
    looping = what.add_parser("loop", help="how many tasks are polled in time, beside a simple loop")
    looping.add_argument("--tasks", type=int, default=100_000, help="tasks of the bot (%(default)s)")
    looping.add_argument("--naive", type=int, default=50, help="tasks of the simple loop (%(default)s)")
    looping.add_argument("--seconds", type=float, default=90, help="length of the bot's run (%(default)s)")
    delivering = what.add_parser(
        "deliver", help="how fast many videos at once are posted, beside a bare loop"
    )
    delivering.add_argument("--videos", type=int, default=50, help="videos (%(default)s)")
    delivering.add_argument("--size", type=int, default=15, help="MiB of each video (%(default)s)")
    delivering.add_argument("--rounds", type=int, default=3, help="runs of both, in turn (%(default)s)")
    delivering.add_argument("--slow", action="store_true", help="instead: good videos beside 200 slow links")
    whole = what.add_parser(
        "process", help="start-up, memory, and time to acknowledge a command under full polling"
    )
    whole.add_argument("--tasks", type=int, default=2_000, help="waiting tasks (%(default)s)")
    soaking = what.add_parser("soak", help="lost and doubled results after random kills and faults")
    soaking.add_argument("--minutes", type=float, default=30, help="length (%(default)s)")
    soaking.add_argument("--seed", type=int, default=1, help="of the random kills and faults (%(default)s)")
    soaking.add_argument(
        "--work",
        type=int,
        default=0,
        help="worker processes over one PostgreSQL (0: one process with SQLite)",
    )
    soaking.add_argument("--chat", type=int, default=2, help="gateway processes beside them (%(default)s)")
    exploring = what.add_parser("explore", help="every crash point of every scenario, then pairs of them")
    exploring.add_argument("--minutes", type=float, default=30, help="(%(default)s)")
    exploring.add_argument("--seed", type=int, default=1, help="of the pairs (%(default)s)")
    exploring.add_argument("--processes", type=int, default=2, help="(%(default)s)")
    exploring.add_argument("--scenario", nargs="+", default=[], help="these alone (all)")
    exploring.add_argument("--replay", metavar="SCHEDULE", help="one schedule, as a failure prints it")
    fuzzing = what.add_parser(
        "fuzz", help="hostile input for everything that reads or shows input from outside"
    )
    fuzzing.add_argument("--cases", type=int, default=1_000_000, help="cases (%(default)s)")
    what.add_parser("fit", help="how long it takes to make a 4K and a 1080p video fit a channel")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
