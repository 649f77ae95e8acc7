"""What a soak did to the bot, what came out of it, and how that is printed."""

from collections import Counter
from dataclasses import dataclass, field

from bench.soak.sometimes import never

_MAX_LINE = 300
_ONE_PROCESS = "one process"


@dataclass(slots=True)
class Tally:
    """What was done to the bot, and the results."""

    seconds: float = 0.0
    processes: str = _ONE_PROCESS
    kills: int = 0
    losses: Counter[str] = field(default_factory=Counter)
    long_stops: int = 0
    copies: int = 0
    put_back: int = 0
    look_ups: int = 0
    faults: int = 0
    acknowledged: set[str] = field(default_factory=set)
    unacknowledged: set[str] = field(default_factory=set)
    forgotten: set[str] = field(default_factory=set)
    """What was registered after a copy that was put back, and is not in it."""
    results: Counter[str] = field(default_factory=Counter)
    private: set[str] = field(default_factory=set)
    """The tasks whose result went out as a direct message, because their channel refused it."""
    posted_at: dict[str, list[str]] = field(default_factory=dict)
    stops_at: list[str] = field(default_factory=list)
    sometimes: Counter[str] = field(default_factory=Counter)
    left_files: int = 0
    bugs: list[str] = field(default_factory=list)
    surprises: list[str] = field(default_factory=list)

    @property
    def never(self) -> list[str]:
        """What should have happened in a run of this length, and did not."""
        return never(self.sometimes, several=self.processes != _ONE_PROCESS, seconds=self.seconds)

    @property
    def lost(self) -> list[str]:
        return sorted(self.acknowledged - self.forgotten - self.private - self.results.keys())

    @property
    def doubled(self) -> list[str]:
        return sorted(task_id for task_id, count in self.results.items() if count > 1)


def table(tally: Tally) -> str:
    lines = [
        f"{tally.seconds / 60:.1f} minutes, {tally.processes}, {tally.faults} faults on the wire",
        f"kills: {tally.kills}, {tally.long_stops} of them with a stop longer than a nonce lives",
        f"database put back from a copy: {tally.put_back} times, of {tally.copies} copies",
        f"lost for a while: {', '.join(f'{count} {what}' for what, count in sorted(tally.losses.items()))}",
        f"tracked: {len(tally.acknowledged)} acknowledged, {len(tally.unacknowledged)} not (it was down)",
        f"forgotten with a database: {len(tally.forgotten)} of both",
        f"results: {sum(tally.results.values())}, {len(tally.private)} in private, {tally.look_ups} look-ups",
        f"lost: {len(tally.lost)}   doubled: {len(tally.doubled)}   bugs: {len(tally.bugs)}",
        f"files left: {tally.left_files} (half ones of the killed, where processes share a folder)",
    ]
    lines += [f"{count} times {what}" for what, count in sorted(tally.sometimes.items())]
    lines += [f"never: {what}" for what in tally.never]
    lines += [f"lost {task_id}" for task_id in tally.lost[:20]]
    lines += [f"doubled {task_id}: {', '.join(tally.posted_at[task_id])}" for task_id in tally.doubled[:20]]
    if tally.doubled:
        lines.append(f"long stops at {', '.join(tally.stops_at)}")
    lines += [f"bug: {line[:_MAX_LINE]}" for line in tally.bugs[:20]]
    lines += [f"surprise: {surprise}" for surprise in tally.surprises[:20]]
    return "\n".join(lines)


def as_json(tally: Tally) -> dict[str, object]:
    return {
        "seconds": tally.seconds,
        "processes": tally.processes,
        "kills": tally.kills,
        "losses": dict(tally.losses),
        "long_stops": tally.long_stops,
        "copies": tally.copies,
        "put_back": tally.put_back,
        "look_ups": tally.look_ups,
        "faults": tally.faults,
        "acknowledged": len(tally.acknowledged),
        "unacknowledged": len(tally.unacknowledged),
        "forgotten": len(tally.forgotten),
        "private": len(tally.private),
        "results": sum(tally.results.values()),
        "lost": tally.lost,
        "doubled": tally.doubled,
        "files_left": tally.left_files,
        "bugs": tally.bugs,
        "sometimes": dict(tally.sometimes),
        "never": tally.never,
        "failed": bool(tally.lost or tally.doubled or tally.bugs or tally.never),
    }
