"""`python -m bench WHAT`: runs one benchmark, prints its table and writes its JSON."""

import argparse
import asyncio
import importlib
import json
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from bench import deliver, deliver_slow, fit, fuzz, loop, poll, process, questions, soak, soak_tally, workers
from bench.databases import Kind

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
    figures = await poll.measure(
        poll.Plan(
            tasks=arguments.tasks,
            kinds=[Kind.SQLITE, Kind.POSTGRESQL] if arguments.postgres else [Kind.SQLITE],
            questions=arguments.questions,
            rounds=arguments.rounds,
            at_once=arguments.at_once,
        )
    )
    return poll.table(figures), poll.as_json(figures)


async def _loop(arguments: argparse.Namespace) -> Outcome:
    figures = await loop.measure(count=arguments.tasks, naive=arguments.naive, seconds=arguments.seconds)
    return loop.table(figures), loop.as_json(figures)


async def _questions(arguments: argparse.Namespace) -> Outcome:
    figures = await questions.measure(tasks=arguments.tasks, seed=arguments.seed)
    return questions.table(figures), questions.as_json(figures)


async def _workers(arguments: argparse.Namespace) -> Outcome:
    figures = await workers.measure(
        counts=arguments.workers, tasks=arguments.tasks, seconds=arguments.seconds
    )
    return workers.table(figures), workers.as_json(figures)


async def _deliver(arguments: argparse.Namespace) -> Outcome:
    if arguments.slow:
        slow = await deliver_slow.measure()
        return deliver_slow.table(slow), deliver_slow.as_json(slow)
    figures = await deliver.measure(
        videos=arguments.videos, size=arguments.size * 1024**2, rounds=arguments.rounds
    )
    return deliver.table(figures), deliver.as_json(figures)


async def _process(arguments: argparse.Namespace) -> Outcome:
    figures = await process.measure(tasks=arguments.tasks)
    return process.table(figures), process.as_json(figures)


async def _soak(arguments: argparse.Namespace) -> Outcome:
    tally = await soak.measure(
        seconds=arguments.minutes * 60,
        seed=arguments.seed,
        work=arguments.work,
        chat=arguments.chat,
        report=_print_line,
    )
    return soak_tally.table(tally), soak_tally.as_json(tally)


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
    "questions": _questions,
    "workers": _workers,
    "deliver": _deliver,
    "process": _process,
    "soak": _soak,
    "fuzz": _fuzz,
    "fit": _fit,
}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the figures there")
    what = parser.add_subparsers(dest="what", required=True)
    polling = what.add_parser("poll", help="the poller and its store, beside a bare aiohttp loop")
    polling.add_argument(
        "--tasks", type=int, nargs="+", default=[1_000, 20_000, 100_000], help="waiting tasks (%(default)s)"
    )
    polling.add_argument("--postgres", action="store_true", help="on PostgreSQL as well")
    polling.add_argument("--questions", type=int, default=20_000, help="of one run (%(default)s)")
    polling.add_argument("--rounds", type=int, default=5, help="of all, in turn (%(default)s)")
    polling.add_argument("--uvloop", action="store_true", help="under uvloop, if that is installed")
    polling.add_argument("--at-once", type=int, default=256, help="questions in flight (%(default)s)")
    looping = what.add_parser("loop", help="how many tasks are asked about in time, beside a simple loop")
    looping.add_argument("--tasks", type=int, default=100_000, help="of the bot (%(default)s)")
    looping.add_argument("--naive", type=int, default=50, help="of the simple loop (%(default)s)")
    looping.add_argument("--seconds", type=float, default=90, help="of the bot's run (%(default)s)")
    counting = what.add_parser("questions", help="questions per finished task, beside the fewest possible")
    counting.add_argument("--tasks", type=int, default=500, help="within an hour (%(default)s)")
    counting.add_argument("--seed", type=int, default=1, help="(%(default)s)")
    growing = what.add_parser("workers", help="how polling grows with the processes over one PostgreSQL")
    growing.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4], help="(%(default)s)")
    growing.add_argument("--tasks", type=int, default=20_000, help="waiting tasks (%(default)s)")
    growing.add_argument("--seconds", type=float, default=20, help="of each run (%(default)s)")
    carrying = what.add_parser("deliver", help="many videos ready at once, beside a bare loop")
    carrying.add_argument("--videos", type=int, default=50, help="(%(default)s)")
    carrying.add_argument("--size", type=int, default=15, help="of each, in MiB (%(default)s)")
    carrying.add_argument("--rounds", type=int, default=3, help="of both, in turn (%(default)s)")
    carrying.add_argument("--slow", action="store_true", help="good videos beside 200 slow links instead")
    whole = what.add_parser("process", help="start-up, memory, and answers under full polling")
    whole.add_argument("--tasks", type=int, default=2_000, help="waiting tasks (%(default)s)")
    soaking = what.add_parser("soak", help="random kills and faults; counts lost and doubled results")
    soaking.add_argument("--minutes", type=float, default=30, help="(%(default)s)")
    soaking.add_argument("--seed", type=int, default=1, help="of the random kills and faults (%(default)s)")
    soaking.add_argument("--work", type=int, default=0, help="processes over one PostgreSQL (none: SQLite)")
    soaking.add_argument("--chat", type=int, default=2, help="beside them (%(default)s)")
    fuzzing = what.add_parser("fuzz", help="hostile input to everything that reads or shows any")
    fuzzing.add_argument("--cases", type=int, default=1_000_000, help="(%(default)s)")
    what.add_parser("fit", help="seconds to make a 4K and a 1080p video small enough for a channel")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
