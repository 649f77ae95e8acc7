"""Models of the video API, of the video's host and of the disk."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bot.core.answers import Answer, AnswerKind
from bot.core.errors import DownloadInterrupted, LinkRefused, StorageUnavailable
from bot.media.mp4 import Mp4, inspect_mp4
from tests.explore.discord_model import Lost, Refused
from tests.explore.loop import PROCESS, Process
from tests.explore.schedule import World

# What the API says about a task, each until a time in seconds since the beginning.
Script = Sequence[tuple[float, Answer]]
FOREVER = float("inf")
FRESH = "-fresh"  # the end of a link that is given later


def completed(link: str) -> Answer:
    return Answer(AnswerKind.COMPLETED, "completed", video_url=f"https://host.example/{link}")


WAITING = Answer(AnswerKind.WAITING, "processing")
FAILED = Answer(AnswerKind.FAILED, "failed", words="the prompt was refused")
UNKNOWN = Answer(AnswerKind.UNKNOWN_ID, words="no such task")


@dataclass(frozen=True, slots=True)
class Poll:
    """A poll that was answered. `began`: when the process decided to make it (UTC milliseconds)."""

    task_id: str
    began: int
    kind: AnswerKind
    is_wanted: bool
    process: Process
    sent_at: float  # these two in seconds of the loop
    answered_at: float

    @property
    def is_recorded(self) -> bool | None:
        """Whether the bot has stored the answer; None: its process stopped just then."""
        stopped = self.process.stopped_at
        if stopped is None or stopped > self.answered_at + 1.0 or stopped < self.sent_at:
            return True
        return None if stopped >= self.answered_at else False


class Api:
    """`is_wanted`: whether some channel waits for a task."""

    def __init__(self, world: World, tasks: Mapping[str, Script], is_wanted: Callable[[str], bool]) -> None:
        self._world = world
        self._tasks = tasks
        self._is_wanted = is_wanted
        self.polls: list[Poll] = []

    async def poll(self, task_id: str) -> Answer:
        began, sent_at = self._world.now(), self._world.loop.time()
        is_wanted, process = self._is_wanted(task_id), PROCESS.get()
        assert process is not None

        def act() -> Answer:
            now = self._world.loop.time()
            answer = next(answer for until, answer in self._tasks[task_id] if now < until)
            self.polls.append(Poll(task_id, began, answer.kind, is_wanted, process, sent_at, now))
            return answer

        try:
            answer: Answer = await self._world.effect(f"api: poll {task_id}", act)
        except Lost:
            return Answer(AnswerKind.SILENCE)
        return answer


@dataclass(slots=True)
class Film:
    """What a link leads to. `seconds`: how long it takes; the first `breaks` downloads stop half-way."""

    content: bytes
    seconds: float = 0.0
    breaks: int = 0
    dead: bool = False


class Downloader:
    """Writes a partial file, goes on where it was, and renames it when it is whole."""

    def __init__(self, world: World, films: Mapping[str, Film]) -> None:
        self._world = world
        self._films = films

    async def fetch(
        self, url: str, destination: Path, *, timeout: float, on_progress: Callable[[int], None]
    ) -> Mp4:
        part = destination.with_name(f"{destination.name}.part")
        holder, process = self._world.locks.get(part), PROCESS.get()
        if holder is not None and not holder.is_dead:
            part = part.with_name(f"{part.name}.{process and process.number}")  # of its own, and never stays
        self._world.locks[part] = process
        try:
            return await self._fetch(url, part, destination)
        except Refused as error:
            raise LinkRefused("the link is dead", status=error.status) from error
        except Lost as error:
            raise DownloadInterrupted("the connection broke") from error
        except OSError as error:
            raise StorageUnavailable("the disk does not take it") from error
        finally:
            del self._world.locks[part]
            if part.suffix != ".part":
                part.unlink(missing_ok=True)

    async def _fetch(self, url: str, part: Path, destination: Path) -> Mp4:
        film = self._films[url.rsplit("/", 1)[1]]
        have = _opened(part)
        arrived = await self._world.effect(f"host: get {url}", lambda: _send(film, have), lasts=film.seconds)
        if url.endswith(FRESH):
            self._world.count("a fresh link used")
        if have:
            self._world.count("a resumed download")
        await self._world.effect("disk: write", lambda: self._write(part, arrived))
        if have + len(arrived) < len(film.content):
            raise DownloadInterrupted("half of it came", progressed=True)
        await self._world.effect("disk: rename", lambda: part.replace(destination))
        return inspect_mp4(destination)

    def _write(self, part: Path, content: bytes) -> None:
        with part.open("r+b") as file:
            file.seek(0, os.SEEK_END)
            file.write(content)
        os.utime(part, (self._world.now() / 1000,) * 2)


def _opened(part: Path) -> int:
    """How much of it is here. Whoever has it open notices when it is removed."""
    part.touch()
    return part.stat().st_size


def _send(film: Film, have: int) -> bytes:
    if film.dead:
        raise Refused(403)
    if film.breaks:
        film.breaks -= 1
        return film.content[have : have + len(film.content) // 2]
    return film.content[have:]


class Fitter:
    """Makes every film as small as `smaller`."""

    def __init__(self, world: World, smaller: bytes) -> None:
        self._world = world
        self._smaller = smaller

    async def fit(self, source: Path, destination: Path, *, limit: int) -> None:
        try:
            await self._world.effect("disk: fit", lambda: destination.write_bytes(self._smaller))
        except OSError as error:
            raise StorageUnavailable("the disk does not take it") from error
