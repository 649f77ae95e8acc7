"""The durable loop: claim what is due, handle each piece in a job of its own, sleep until the next is due.

Nothing it knows is only in memory: a piece of work whose job dies becomes due again when its lease ends.
"""

import asyncio
import logging
from collections.abc import Iterable
from typing import Generic, Protocol, TypeVar

from bot.core.backoff import retry_delay
from bot.core.clock import SECOND, Clock
from bot.core.errors import CannotStart, TryLater
from bot.core.tasks import Claim

logger = logging.getLogger(__name__)
Work = TypeVar("Work")

# Another process may have added work without waking us.
_LONGEST_SLEEP = 30 * SECOND
# Something is due, and yet nothing could be claimed (its channel is busy, or it was just taken).
_SLEEP_WHEN_BLOCKED = SECOND
# Under full load jobs end one by one; claiming for several of them at once saves transactions.
_GATHER_ROOM = 0.01
_MOST_BACKOFF = 30 * SECOND
_MOST_REASON = 500


class Source(Protocol[Work]):
    """Where the work comes from and what is done with it. All awaits may raise TryLater."""

    name: str

    async def claim(self, room: int) -> Claim[Work]:
        """Up to `room` pieces of due work."""
        ...

    async def handle(self, lease: int, work: Work) -> None:
        """Do it and record the outcome under `lease`."""
        ...

    async def set_aside(self, lease: int, work: Work, why: str) -> None:
        """Plan another attempt for work whose handling failed in a way that nobody foresaw."""
        ...

    async def next_due(self) -> int | None:
        """When to claim again, in UTC milliseconds; None when nothing waits."""
        ...

    async def renew(self, leases: Iterable[int]) -> None:
        """Keep work that takes longer than a lease."""
        ...


class DurableLoop(Generic[Work]):
    """Runs one source until told to stop.

    `room` bounds the jobs at once, `grace` the seconds that running jobs get at the end; jobs that are
    still running then are cancelled only with `may_cancel` (never for a call to Discord).
    `renew_every` is in seconds, well below the lease time.
    """

    def __init__(
        self,
        source: Source[Work],
        *,
        room: int,
        clock: Clock,
        grace: float,
        may_cancel: bool,
        renew_every: float = 10,
    ) -> None:
        self._source: Source[Work] = source
        self._room = room
        self._clock = clock
        self._grace = grace
        self._may_cancel = may_cancel
        self._renew_every = renew_every
        self._wake = asyncio.Event()
        self._jobs: dict[asyncio.Task[None], int] = {}
        self._failures = 0
        self._fatal: CannotStart | None = None

    def wake(self) -> None:
        """There may be new work."""
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Returns after `stop` is set and the running jobs have ended or used up their grace.

        Raises CannotStart (a token that Discord no longer accepts) when a job did: no later one can work.
        """
        renewing = asyncio.create_task(self._keep_renewing(), name=f"{self._source.name} leases")
        stopping = asyncio.create_task(self._wake_on(stop), name=f"{self._source.name} stop")
        try:
            while not stop.is_set():
                if self._fatal is not None:
                    raise self._fatal
                # Cleared before looking: what arrives during the look wakes the sleep after it.
                self._wake.clear()
                if not await self._claim_some():
                    await self._sleep()
            await self._drain()
        finally:
            renewing.cancel()
            stopping.cancel()
            await asyncio.gather(renewing, stopping, return_exceptions=True)

    async def _wake_on(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._wake.set()

    async def _claim_some(self) -> bool:
        """Whether work was claimed, and more may be waiting."""
        if 0 < self._room - len(self._jobs) < self._room / 2:
            await asyncio.sleep(_GATHER_ROOM)
        room = self._room - len(self._jobs)
        if room <= 0:
            return False
        try:
            claim = await self._source.claim(room)
        except Exception as error:
            self._failed_look(error)
            return False
        self._failures = 0
        for work in claim.work:
            self._start(claim.lease, work)
        return bool(claim.work)

    def _start(self, lease: int, work: Work) -> None:
        job = asyncio.create_task(self._guarded(lease, work), name=self._source.name)
        self._jobs[job] = lease
        job.add_done_callback(self._ended)

    def _ended(self, job: asyncio.Task[None]) -> None:
        del self._jobs[job]
        self._wake.set()

    async def _guarded(self, lease: int, work: Work) -> None:
        """One bad piece of work never ends the loop."""
        try:
            await self._source.handle(lease, work)
        except TryLater as error:
            logger.warning("%s: %s; trying again when the lease ends", self._source.name, error)
        except CannotStart as error:
            self._fatal = error
        except Exception as error:
            logger.exception("%s: a bug in handling %r; set aside", self._source.name, work)
            await self._set_aside(lease, work, f"{type(error).__name__}: {error}"[:_MOST_REASON])

    async def _set_aside(self, lease: int, work: Work, why: str) -> None:
        try:
            await self._source.set_aside(lease, work, why)
        except TryLater as error:
            logger.warning("%s: %s; it is due again when the lease ends", self._source.name, error)

    def _failed_look(self, error: Exception) -> None:
        self._failures += 1
        known = isinstance(error, TryLater)
        logger.log(
            logging.WARNING if known else logging.ERROR,
            "%s: could not look for work (%d in a row): %s",
            self._source.name,
            self._failures,
            error,
            exc_info=None if known else error,
        )

    async def _sleep(self) -> None:
        delay = await self._delay()
        if delay is None:
            await self._wake.wait()
            return
        try:
            async with asyncio.timeout(delay / SECOND):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _delay(self) -> int | None:
        """Milliseconds to sleep unless woken; None: only the end of a job can bring news."""
        if len(self._jobs) >= self._room:
            return None
        if self._failures:
            return retry_delay(self._failures, first=SECOND, most=_MOST_BACKOFF)
        try:
            due = await self._source.next_due()
        except TryLater as error:
            self._failed_look(error)
            return SECOND
        if due is None:
            return _LONGEST_SLEEP
        ahead = due - self._clock()
        return min(ahead, _LONGEST_SLEEP) if ahead > 0 else _SLEEP_WHEN_BLOCKED

    async def _keep_renewing(self) -> None:
        """Leases seen on two rounds belong to work that takes long."""
        seen: set[int] = set()
        while True:
            await asyncio.sleep(self._renew_every)
            current = set(self._jobs.values())
            long_running = seen & current
            seen = current
            if not long_running:
                continue
            try:
                await self._source.renew(long_running)
            except TryLater as error:
                logger.warning("%s: leases not renewed: %s", self._source.name, error)
            except Exception:
                # This job must not die quietly: with its lease over, somebody else would do the same work.
                logger.exception("%s: a bug in renewing leases", self._source.name)

    async def _drain(self) -> None:
        if not self._jobs:
            return
        logger.info("%s: letting %d running jobs finish", self._source.name, len(self._jobs))
        _, running = await asyncio.wait(set(self._jobs), timeout=self._grace)
        if not running:
            return
        logger.warning("%s: %d jobs go on after the next start", self._source.name, len(running))
        if self._may_cancel:
            for job in running:
                job.cancel()
            await asyncio.wait(running)
