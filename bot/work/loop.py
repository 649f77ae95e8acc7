"""The durable loop: claim what is due, handle each piece in a separate job, sleep until the next is due.

Nothing is kept only in memory: work whose job dies becomes due again when its lease ends.
"""

import asyncio
import logging
from collections.abc import Iterable
from typing import Generic, Protocol, TypeVar

from bot.aio import cancel_all, wait_for_event
from bot.core.backoff import retry_delay
from bot.core.clock import SECOND, Clock
from bot.core.errors import CannotStart, TryLater
from bot.core.log_fields import describe_work, without_private_texts
from bot.core.tasks import Claim

logger = logging.getLogger(__name__)
Work = TypeVar("Work")
Handled = TypeVar("Handled", contravariant=True)

# Another process may have added work without waking this one.
_MAX_SLEEP = 30 * SECOND
# Something is due, but nothing could be claimed (its channel is busy, or it was just claimed).
_SLEEP_WHEN_BLOCKED = SECOND
# Under full load jobs end one by one; claiming for several of them at once saves transactions.
_COLLECT_SLOTS = 0.01
_MAX_BACKOFF = 30 * SECOND
_MAX_REASON = 500


class Queue(Protocol[Work]):
    """The source of the work. All methods may raise TryLater. Times in UTC milliseconds."""

    async def claim(self, limit: int, now: int) -> Claim[Work]:
        """Claim up to `limit` pieces of due work."""
        ...

    async def next_due(self) -> int | None:
        """Return when to claim again; None when nothing waits."""
        ...

    async def renew(self, leases: Iterable[int], now: int) -> None:
        """Extend the leases of work that takes longer than a lease."""
        ...

    async def pull_back(self, now: int) -> int:
        """Make work due that a wrong clock had planned too far ahead; returns how many pieces."""
        ...


class Handler(Protocol[Handled]):
    """Handles the work. All methods may raise TryLater."""

    name: str

    async def handle(self, lease: int, work: Handled) -> None:
        """Handle one piece of work and record the outcome under `lease`."""
        ...

    async def quarantine(self, lease: int, work: Handled, reason: str) -> None:
        """Keep work back for a while, because our own bug stopped it."""
        ...


class DurableLoop(Generic[Work]):
    """Runs one queue with its handler until it is stopped.

    At most `slots` jobs run at once. At the end running jobs get `shutdown_timeout` seconds; those that run
    longer are cancelled only with `may_cancel` (never for a call to Discord). `renew_interval` is in seconds,
    well below the lease time.
    """

    def __init__(
        self,
        queue: Queue[Work],
        handler: Handler[Work],
        *,
        slots: int,
        clock: Clock,
        shutdown_timeout: float,
        may_cancel: bool,
        renew_interval: float = 10,
    ) -> None:
        self._queue: Queue[Work] = queue
        self._handler: Handler[Work] = handler
        self._name = handler.name
        self._slots = slots
        self._clock = clock
        self._shutdown_timeout = shutdown_timeout
        self._may_cancel = may_cancel
        self._renew_interval = renew_interval
        self._wake = asyncio.Event()
        self._jobs: dict[asyncio.Task[None], int] = {}
        self._failures = 0
        self._claimed_at = 0
        self._fatal: CannotStart | None = None

    def wake(self) -> None:
        """Check for work now, because there may be some."""
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set and the running jobs have ended or used up their time.

        Raises CannotStart (a token that Discord no longer accepts) when a job did, because no later job can
        work.
        """
        renewing = asyncio.create_task(self._keep_renewing(), name=f"{self._name} leases")
        stopping = asyncio.create_task(self._wake_on(stop), name=f"{self._name} stop")
        try:
            while not stop.is_set():
                if self._fatal is not None:
                    raise self._fatal
                # Cleared before claiming: a wake during the claim ends the sleep after it.
                self._wake.clear()
                if not await self._claim_due():
                    await self._sleep()
            await self._drain()
        finally:
            await cancel_all(renewing, stopping)

    async def _wake_on(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._wake.set()

    async def _claim_due(self) -> bool:
        """Claim due work and start its jobs; returns whether any was claimed, because more may wait."""
        if 0 < self._free_slots < self._slots / 2:
            await asyncio.sleep(_COLLECT_SLOTS)
        if self._free_slots <= 0:
            return False
        self._claimed_at = self._clock()
        try:
            claim = await self._queue.claim(self._free_slots, self._claimed_at)
        except Exception as error:
            self._log_failed_claim(error)
            return False
        self._failures = 0
        for work in claim.work:
            self._start_job(claim.lease, work)
        return bool(claim.work)

    @property
    def _free_slots(self) -> int:
        return self._slots - len(self._jobs)

    def _start_job(self, lease: int, work: Work) -> None:
        job = asyncio.create_task(self._run_job(lease, work), name=self._name)
        self._jobs[job] = lease
        job.add_done_callback(self._job_ended)

    def _job_ended(self, job: asyncio.Task[None]) -> None:
        del self._jobs[job]
        self._wake.set()

    async def _run_job(self, lease: int, work: Work) -> None:
        """Handle one piece of work; its errors never end the loop."""
        try:
            await self._handler.handle(lease, work)
        except TryLater as error:
            logger.warning("%s: %s; trying again when the lease ends", self._name, error)
        except CannotStart as error:
            self._fatal = error
        except Exception as error:
            logger.exception("%s: a bug in handling %s; quarantined", self._name, describe_work(work))
            reason = without_private_texts(f"{type(error).__name__}: {error}")
            await self._quarantine(lease, work, reason[:_MAX_REASON])

    async def _quarantine(self, lease: int, work: Work, reason: str) -> None:
        try:
            await self._handler.quarantine(lease, work, reason)
        except TryLater as error:
            logger.warning("%s: %s; it is due again when the lease ends", self._name, error)
        except CannotStart as error:
            self._fatal = error

    def _log_failed_claim(self, error: Exception) -> None:
        self._failures += 1
        known = isinstance(error, TryLater)
        logger.log(
            logging.WARNING if known else logging.ERROR,
            "%s: could not claim work (%d in a row): %s",
            self._name,
            self._failures,
            error,
            exc_info=None if known else error,
        )

    async def _sleep(self) -> None:
        delay = await self._delay()
        await wait_for_event(self._wake, timeout=None if delay is None else delay / SECOND)

    async def _delay(self) -> int | None:
        """Return the milliseconds to sleep unless woken; None: nothing can be claimed until a job ends."""
        if self._free_slots <= 0:
            return None
        if self._failures:
            return retry_delay(self._failures, base=SECOND, cap=_MAX_BACKOFF)
        try:
            due = await self._queue.next_due()
        except TryLater as error:
            self._log_failed_claim(error)
            return SECOND
        if due is None:
            return _MAX_SLEEP
        if due <= self._claimed_at:
            return _SLEEP_WHEN_BLOCKED
        return min(max(0, due - self._clock()), _MAX_SLEEP)

    async def _keep_renewing(self) -> None:
        """Pull back what a wrong clock planned, and renew the leases of jobs that are seen in two rounds."""
        seen: set[int] = set()
        while True:
            await self._pull_back()
            await asyncio.sleep(self._renew_interval)
            current = set(self._jobs.values())
            long_running = seen & current
            seen = current
            if not long_running:
                continue
            try:
                await self._queue.renew(long_running, self._clock())
            except TryLater as error:
                logger.warning("%s: leases not renewed: %s", self._name, error)
            except Exception:
                # This job must not die, because work without a lease is done twice.
                logger.exception("%s: a bug in renewing leases", self._name)

    async def _pull_back(self) -> None:
        try:
            pulled = await self._queue.pull_back(self._clock())
        except TryLater as error:
            logger.warning("%s: could not check for work planned too far ahead: %s", self._name, error)
            return
        except Exception:
            logger.exception("%s: a bug in checking for work planned too far ahead", self._name)
            return
        if pulled:
            logger.warning("%s: the clock was wrong: %d pieces of work are due now", self._name, pulled)
            self.wake()

    async def _drain(self) -> None:
        if not self._jobs:
            return
        logger.info("%s: letting %d running jobs finish", self._name, len(self._jobs))
        _, running = await asyncio.wait(set(self._jobs), timeout=self._shutdown_timeout)
        if not running:
            return
        logger.warning("%s: %d jobs go on after the next start", self._name, len(running))
        if self._may_cancel:
            for job in running:
                job.cancel()
            await asyncio.wait(running)
