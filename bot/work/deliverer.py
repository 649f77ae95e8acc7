"""Delivers one due result: downloads the video, posts the message, records what Discord answered.

Act, then record: a crash in between makes it act twice, which `posting.py` makes harmless.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from bot.aio import run_unless
from bot.core.backoff import retry_delay
from bot.core.clock import DAY, HOUR, MINUTE, SECOND, Clock
from bot.core.errors import CannotStart, DiscordRefused, DiscordUnavailable, NotTold, TryLater
from bot.core.log_fields import log_about
from bot.core.problems import Problem, ProblemCode
from bot.core.reactions import Reaction
from bot.core.results import ResultMessage, is_never_known
from bot.core.tasks import DueDelivery, Form, Obstacle, TaskState
from bot.metrics import AttemptOutcome, Metrics
from bot.storage.delivery_queue import DeliveryQueue
from bot.work.downloading import Downloaded, TryAgain, VideoDownloads, WithoutVideo
from bot.work.posting import MAX_ODD_ATTEMPTS, Messenger, Posted, ResultPoster
from bot.work.telling import Teller
from bot.work.video_cache import VideoCache

logger = logging.getLogger(__name__)

# With these there are at most twelve uploads of one video in an hour.
_MIN_RETRY_DELAY = 5 * SECOND
_MAX_RETRY_DELAY = 10 * MINUTE
# Six tries within about a minute.
_MIN_ODD_DELAY, _MAX_ODD_DELAY = 2 * SECOND, 24 * SECOND
# Temporary failures end a delivery after this time and this many attempts. The time alone does not count,
# because the bot may have been stopped.
_PATIENCE, _MIN_ATTEMPTS = DAY, 100
_QUARANTINE_TIME = HOUR
_MAX_QUARANTINES = 3
# Attempts at a direct message before we give up reaching the person.
_MAX_ATTEMPTS_TO_TELL = 20
# A result waits so many intervals for others that may share its message.
_INTERVALS_FOR_CARD = 6

_OBSTACLES: Mapping[Reaction, Obstacle] = {
    Reaction.MISSING_PERMISSION: Obstacle.PERMISSION,
    Reaction.NO_ACCESS: Obstacle.MEMBERSHIP,
    Reaction.THREAD_CLOSED: Obstacle.THREAD,
    Reaction.CHANNEL_GONE: Obstacle.GONE,
    Reaction.MESSAGE_GONE: Obstacle.FORM,
    Reaction.PERSON_UNREACHABLE: Obstacle.FORM,
    Reaction.TOO_LARGE: Obstacle.FORM,
    Reaction.WORDS_REFUSED: Obstacle.FORM,
    Reaction.FORM_REFUSED: Obstacle.FORM,
}


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Why a channel does not take a result, and our rights there at that moment (None: not known)."""

    problem: Problem
    obstacle: Obstacle
    rights: int | None


class Deliverer:
    """The handler of the delivery loop. `interval` is POLL_INTERVAL in milliseconds.

    `on_change` is called when a card must be edited, `on_free` when a channel is free for its next delivery
    while this one goes on.
    """

    name = "deliverer"

    def __init__(
        self,
        *,
        queue: DeliveryQueue,
        messenger: Messenger,
        videos: VideoCache,
        downloads: VideoDownloads,
        clock: Clock,
        interval: int,
        stop: asyncio.Event,
        on_change: Callable[[], None],
        metrics: Metrics,
        on_free: Callable[[], None] = lambda: None,
    ) -> None:
        self._queue = queue
        self._messenger = messenger
        self._videos = videos
        self._downloads = downloads
        self._teller = Teller(queue, messenger, clock)
        self._poster = ResultPoster(queue, messenger, self._teller, videos, clock)
        self._clock = clock
        self._interval = interval
        self._stop = stop
        self._on_change = on_change
        self._on_free = on_free
        self._metrics = metrics

    async def quarantine(self, lease: int, work: DueDelivery, reason: str) -> None:
        """Keep a delivery back for an hour, because our own bug stopped it; the fourth time it ends."""
        self._metrics.attempted(AttemptOutcome.QUARANTINED)
        problem = Problem(ProblemCode.OUR_BUG)
        if work.delivery.quarantines >= _MAX_QUARANTINES:
            await self._give_up_after_bugs(lease, work, problem)
            return
        await self._queue.postpone(
            work.delivery.id,
            lease,
            self._clock() + _QUARANTINE_TIME,
            is_preparing=False,
            quarantines=work.delivery.quarantines + 1,
            last_error=problem.to_text(),
            quarantine_reason=reason,
        )

    async def _give_up_after_bugs(self, lease: int, due: DueDelivery, problem: Problem) -> None:
        """Notify the requester without the video, because the bug may be in handling the video."""
        refusal = _Refusal(problem, Obstacle.FORM, rights=None)
        try:
            await self._give_up(lease, ResultMessage(due, problem=problem), refusal)
        except (TryLater, CannotStart):
            raise
        except Exception:
            logger.exception("a bug in telling of %s", due.task.id)
            await self._end_undeliverable(lease, due, refusal)
        self._on_change()

    async def handle(self, lease: int, work: DueDelivery) -> None:
        """Try to deliver one result, and record the outcome."""
        log_about("deliver", work)
        try:
            ended = await self._deliver(lease, work)
        except TryLater as error:
            await self._try_later(lease, work, error)
            return
        if ended:
            self._on_change()
        await self._remove_unneeded_files(work)

    async def _deliver(self, lease: int, due: DueDelivery) -> bool:
        """Return whether the delivery ended: not when it was postponed, we stop, or the lease was lost."""
        if await self._waits_for_card(lease, due):
            return False
        result = await run_unless(self._stop, self._result(lease, due))
        if self._stop.is_set():
            # Nothing was posted: due again at once, for the next process.
            await self._queue.postpone(due.delivery.id, lease, self._clock(), is_preparing=False)
            return False
        if result is None:
            return False
        refusal = self._unchanged_refusal(due)
        if refusal is not None:
            return await self._give_up(lease, result, refusal)
        return await self._post(lease, result)

    def _unchanged_refusal(self, due: DueDelivery) -> _Refusal | None:
        """Return the stored refusal, if its direct message is still to be sent and our rights are the same.

        The channel is then not tried again with each attempt at the direct message.
        """
        delivery = due.delivery
        if delivery.obstacle is None or delivery.tell_attempt == 0:
            return None
        problem = Problem.from_text(delivery.last_error or "") or Problem(ProblemCode.NOT_ACCEPTED)
        refusal = self._refusal(due, problem, delivery.obstacle)
        return refusal if refusal.rights == delivery.obstacle_rights else None

    async def _waits_for_card(self, lease: int, due: DueDelivery) -> bool:
        """Postpone the delivery while others of its card may share its message; returns whether it did.

        They share one when they are ids of one command that the API never knew.
        """
        if due.delivery.first_sent_at is not None or not is_never_known(due.task):
            return False
        now = self._clock()
        end = (due.task.finished_at or now) + _INTERVALS_FOR_CARD * self._interval
        return now < end and await self._queue.wait_for_card(due, lease, min(now + self._interval, end))

    async def _post(self, lease: int, result: ResultMessage) -> bool:
        """Post the message; returns whether the delivery ended."""
        try:
            posted = await self._poster.post(lease, result)
        except DiscordRefused as error:
            refusal = self._refusal(result.due, error.problem, _OBSTACLES[error.reaction])
            return await self._give_up(lease, result, refusal)
        except DiscordUnavailable as error:
            return await self._after_trouble(lease, result, error)
        if posted is None:
            return False  # untracked, or another process has it
        await self._record(lease, result.due, posted)
        return True

    async def _result(self, lease: int, due: DueDelivery) -> ResultMessage | None:
        """Return the message to post; None when the delivery was postponed or the lease was lost."""
        task = due.task
        result = _in_its_form(due)
        if task.state is not TaskState.COMPLETED or task.video_url is None:
            return result
        video = await self._videos.find(task.id)
        if video is not None:
            result = replace(result, video=video)
            if result.attachment is None or await self._poster.fits(result):
                return result
        since = await self._queue.begin_preparing(due.delivery.id, lease, self._clock())
        if since is None:
            return None
        # Its channel is free for others from here on.
        self._on_free()
        return await self._prepared(lease, result, since)

    async def _prepared(self, lease: int, result: ResultMessage, since: int) -> ResultMessage | None:
        due = result.due
        download = await self._downloads.download(due, since)
        match download:
            case Downloaded(video):
                return await self._poster.fitting(replace(result, video=video))
            case WithoutVideo(problem):
                return replace(result, problem=problem)
            case TryAgain(delay, problem, changes):
                logger.info("%s: no video yet: %s; next try in %d s", due.task.id, problem, delay // SECOND)
                await self._postpone(lease, due, problem, delay, **changes)
                return None

    async def _record(self, lease: int, due: DueDelivery, posted: Posted) -> None:
        now = self._clock()
        is_ours = await self._queue.mark_posted(
            due, lease, posted.message_id, now, channel_id=posted.channel_id
        )
        if posted.problem is None:
            logger.info("%s posted", due.task.id)
        else:
            logger.warning("%s posted without its video: %s", due.task.id, posted.problem)
        if is_ours:
            self._count_posted(due, posted, now)
        else:
            logger.info("%s: another process has it, and records it", due.task.id)

    def _count_posted(self, due: DueDelivery, posted: Posted, now: int) -> None:
        """Count it, with the time since the completion or the request, whichever is later."""
        self._metrics.attempted(AttemptOutcome.POSTED)
        if posted.problem is not None:
            self._metrics.posted_without_video(posted.problem.code)
        if due.task.state is TaskState.COMPLETED and due.task.finished_at is not None:
            since = max(due.task.finished_at, due.delivery.created_at)
            self._metrics.delivered((now - since) / SECOND)

    # -- what Discord did not take ---------------------------------------------------------------

    async def _after_trouble(self, lease: int, result: ResultMessage, error: DiscordUnavailable) -> bool:
        """Try the same form later; give up when this channel alone has failed for a day."""
        due, now = result.due, self._clock()
        since = due.delivery.passing_since or now
        if error.reaction is Reaction.ODD:
            return await self._after_odd_answer(lease, result, error)
        lasts = now - since >= _PATIENCE and due.delivery.attempt >= _MIN_ATTEMPTS
        if lasts and await self._queue.others_are_posted(due.delivery.channel_id, since):
            refusal = self._refusal(due, Problem(ProblemCode.NOT_TAKEN), Obstacle.FORM)
            return await self._give_up(lease, result, refusal)
        await self._try_later(lease, due, error, passing_since=since)
        return False

    async def _after_odd_answer(self, lease: int, result: ResultMessage, error: DiscordUnavailable) -> bool:
        """Try again soon; give up after MAX_ODD_ATTEMPTS. Returns whether the delivery ended.

        This ends all calls but `post`: after its last odd answer the poster tries another form.
        """
        due, count = result.due, result.due.delivery.odd_attempt + 1
        if count >= MAX_ODD_ATTEMPTS:
            refusal = self._refusal(due, Problem(ProblemCode.NOT_ACCEPTED, error.problem.data), Obstacle.FORM)
            return await self._give_up(lease, result, refusal)
        delay = retry_delay(count, base=_MIN_ODD_DELAY, cap=_MAX_ODD_DELAY)
        await self._retry(lease, due, error, delay, odd_attempt=count, passing_since=None, attempt=0)
        return False

    async def _try_later(
        self, lease: int, due: DueDelivery, error: TryLater, passing_since: int | None = None
    ) -> None:
        if isinstance(error, NotTold):
            count = due.delivery.tell_attempt + 1
            await self._retry(lease, due, error, _delay(count, error), tell_attempt=count)
            return
        attempt = due.delivery.attempt + 1
        changes = {"attempt": attempt, "passing_since": passing_since or due.delivery.passing_since}
        await self._retry(lease, due, error, _delay(attempt, error), **changes)

    async def _retry(
        self, lease: int, due: DueDelivery, error: TryLater, delay: int, **changes: int | None
    ) -> None:
        logger.warning("%s not posted yet: %s; next attempt in %d s", due.task.id, error, delay // SECOND)
        await self._postpone(lease, due, error.problem, delay, **changes)

    async def _postpone(
        self, lease: int, due: DueDelivery, problem: Problem, delay: int, **changes: int | str | None
    ) -> None:
        self._metrics.attempted(AttemptOutcome.RETRIED)
        await self._queue.postpone(
            due.delivery.id,
            lease,
            self._clock() + delay,
            is_preparing=False,
            last_error=problem.to_text(),
            **changes,
        )

    def _refusal(self, due: DueDelivery, problem: Problem, obstacle: Obstacle) -> _Refusal:
        """Return a refusal with our rights as of now: they may change while the requester is notified."""
        rights = self._messenger.rights_in(due.delivery.guild_id, due.delivery.channel_id)
        return _Refusal(problem, obstacle, rights)

    async def _give_up(self, lease: int, result: ResultMessage, refusal: _Refusal) -> bool:
        """Notify the requester, then end the delivery; returns whether it ended.

        In this order, because after a crash in between the direct message is looked up.
        """
        due = result.due
        logger.warning("%s cannot be posted: %s", due.task.id, refusal.problem)
        if is_never_known(due.task):
            sending = await self._queue.begin_sending(due, lease, self._clock())
            result = replace(result, shared_ids=sending.shared_ids if sending else ())
        try:
            await self._teller.tell(lease, result, refusal.problem)
        except NotTold as error:
            if due.delivery.tell_attempt + 1 < _MAX_ATTEMPTS_TO_TELL:
                await self._tell_later(lease, due, error, refusal)
                return False
            logger.warning("nor could its requester be told of %s: %s", due.task.id, error)
        return await self._end_undeliverable(lease, due, refusal)

    async def _tell_later(self, lease: int, due: DueDelivery, error: NotTold, refusal: _Refusal) -> None:
        """Plan the next attempt at the direct message, and store the refusal for `_unchanged_refusal`."""
        count, delay = due.delivery.tell_attempt + 1, _delay(due.delivery.tell_attempt + 1, error)
        logger.warning("%s not told yet: %s; next attempt in %d s", due.task.id, error, delay // SECOND)
        await self._postpone(
            lease,
            due,
            refusal.problem,
            delay,
            tell_attempt=count,
            obstacle=refusal.obstacle,
            obstacle_rights=refusal.rights,
        )

    async def _end_undeliverable(self, lease: int, due: DueDelivery, refusal: _Refusal) -> bool:
        rights = self._messenger.rights_in(due.delivery.guild_id, due.delivery.channel_id)
        if rights and refusal.rights is not None and rights != refusal.rights:
            # The event of that change came before this result was undeliverable, and did not find it.
            await self._queue.postpone(due.delivery.id, lease, self._clock(), is_preparing=False)
            return False
        ended = await self._queue.mark_undeliverable(
            due, lease, refusal.problem, self._clock(), obstacle=refusal.obstacle, rights=refusal.rights
        )
        if ended:
            self._metrics.attempted(AttemptOutcome.UNDELIVERABLE)
        return True

    async def _remove_unneeded_files(self, due: DueDelivery) -> None:
        if due.task.state is TaskState.COMPLETED and not await self._queue.is_owed(
            due.task.id, self._clock()
        ):
            await self._videos.remove(due.task.id)


def _in_its_form(due: DueDelivery) -> ResultMessage:
    """Return the result, still without its video, in the first form that Discord has not refused."""
    delivery = due.delivery
    problem = None if delivery.form_problem is None else Problem.from_text(delivery.form_problem)
    return ResultMessage(due, form=delivery.form or Form.WHOLE, problem=problem)


def _delay(attempt: int, error: TryLater) -> int:
    return retry_delay(attempt, base=_MIN_RETRY_DELAY, cap=_MAX_RETRY_DELAY, retry_after=error.retry_after)
