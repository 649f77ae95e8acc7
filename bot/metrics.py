"""Counters and histograms for Prometheus: what the bot has done since it started.

Labels are enums, because an id as a label would make a new series each time.
"""

import platform
from collections.abc import Iterable, Mapping
from enum import StrEnum
from itertools import product

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

from bot.core.answers import AnswerKind
from bot.core.problems import ProblemCode
from bot.core.version import VERSION


class AttemptOutcome(StrEnum):
    """The result of one attempt to deliver."""

    POSTED = "posted"
    UNDELIVERABLE = "undeliverable"
    RETRIED = "retried"
    QUARANTINED = "set_aside"  # the label that dashboards of 0.1.0 know


class CommandName(StrEnum):
    """What people use: a command, an entry of a message's menu, or a button."""

    TRACK = "track"
    STATUS = "status"
    LIST = "list"
    UNTRACK = "untrack"
    REDELIVER = "redeliver"
    FORGET_ME = "forget-me"
    HELP = "help"
    TRACK_MESSAGE = "track_message"
    NOTIFY = "notify"
    STOP = "stop"
    STOP_CONFIRMED = "stop_confirmed"
    POST_AGAIN = "post_again"
    DELETE = "delete"
    DELETE_CONFIRMED = "delete_confirmed"
    DELETE_DIRECT = "delete_direct"
    DELETE_DIRECT_CONFIRMED = "delete_direct_confirmed"
    FORGET = "forget"
    OTHER = "other"


class CommandOutcome(StrEnum):
    """How a command or button ended."""

    ANSWERED = "answered"
    REFUSED = "refused"  # by a quota, a wrong place, an outdated command
    DATABASE_DOWN = "database_down"
    BUG = "bug"


class WaitReason(StrEnum):
    """Which rate limit makes us wait."""

    OUTBOUND = "outbound"  # our own limit for calls to Discord
    DISCORD = "discord"  # a 429
    EDGE = "edge"  # a block in front of Discord
    VIDEO_API = "video_api"  # its throttling


# Seconds: from unnoticeable to the day after which the API's link has ended.
_DELIVERY = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 4 * 3600, 24 * 3600)
_TRANSFER = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600)
# Discord allows three seconds for a command's answer; a lag of half a second is a fault.
_LAG = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class Metrics:
    """All counters of one process. Sizes in bytes, times in seconds.

    Every value of a label exists from the start, because `rate` does not see a series that begins at 1. A
    negative time means that the wall clock was set back meanwhile, and counts as 0.
    """

    def __init__(self) -> None:
        # The creation time of a counter is of no use here, and costs a series for each.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._polls = self._counter(
            "veo_polls", "Polls of the video API by its answer.", {"answer": AnswerKind}
        )
        # A label is looked up once, because polls are counted thousands of times a second.
        self._polls_by_answer = {answer: self._polls.labels(str(answer)) for answer in AnswerKind}
        self._attempts = self._counter(
            "veo_delivery_attempts", "Attempts to deliver by outcome.", {"outcome": AttemptOutcome}
        )
        self._without_video = self._counter(
            "veo_results_without_video",
            "Results posted without their video, by reason.",
            {"reason": ProblemCode},
        )
        self._commands = self._counter(
            "veo_commands",
            "Commands and buttons that people used, by how it ended.",
            {"command": CommandName, "outcome": CommandOutcome},
        )
        self._waits = self._counter(
            "veo_wait_seconds", "Seconds of waiting, by who makes us wait.", {"limiter": WaitReason}
        )
        self._delivered = self._histogram(
            "veo_completed_to_posted_seconds",
            "From a video's completion or its request, whichever is later, to its message.",
            _DELIVERY,
        )
        self._upload_bytes = self._counter("veo_upload_bytes", "Bytes of files that Discord took.")
        self._upload = self._histogram(
            "veo_upload_seconds", "From sending a file to Discord to its answer, waits included.", _TRANSFER
        )
        self._too_large = self._counter("veo_uploads_too_large", "Files that Discord refused for their size.")
        self._download_bytes = self._counter("veo_download_bytes", "Bytes of videos that were downloaded.")
        self._download = self._histogram(
            "veo_download_seconds", "Of a download that came to its end.", _TRANSFER
        )
        self._unreadable = self._counter(
            "veo_unreadable_gateway_events", "Events of Discord's gateway that could not be read."
        )
        self._lag = self._histogram(
            "veo_event_loop_lag_seconds", "How late the event loop woke a job that slept.", _LAG
        )

        build = Gauge("veo_build_info", "This program.", ["version", "python"], registry=self.registry)
        build.labels(VERSION, platform.python_version()).set(1)
        # CPU time, memory, open files and start of the process, where the system has them.
        ProcessCollector(registry=self.registry)

    def _counter(self, name: str, what: str, labels: Mapping[str, Iterable[str]] | None = None) -> Counter:
        labels = labels or {}
        counter = Counter(name, what, list(labels), registry=self.registry)
        if labels:
            for values in product(*labels.values()):
                counter.labels(*map(str, values))
        return counter

    def _histogram(self, name: str, what: str, buckets: Iterable[float]) -> Histogram:
        return Histogram(name, what, registry=self.registry, buckets=tuple(buckets))

    def polled(self, answer: AnswerKind) -> None:
        """Count a poll of the video API."""
        self._polls_by_answer[answer].inc()

    def attempted(self, outcome: AttemptOutcome) -> None:
        """Count an attempt to deliver."""
        self._attempts.labels(str(outcome)).inc()

    def posted_without_video(self, reason: ProblemCode) -> None:
        """Count a result of a completed task that was posted without its video."""
        self._without_video.labels(str(reason)).inc()

    def delivered(self, seconds: float) -> None:
        """Record that a video was posted `seconds` after its completion or request, whichever is later."""
        self._delivered.observe(max(seconds, 0.0))

    def uploaded(self, size: int, seconds: float) -> None:
        """Record a file that Discord took."""
        self._upload_bytes.inc(size)
        self._upload.observe(seconds)

    def too_large(self) -> None:
        """Count a file that Discord refused for its size."""
        self._too_large.inc()

    def downloaded(self, size: int, seconds: float) -> None:
        """Record a download that came to its end."""
        self._download_bytes.inc(size)
        self._download.observe(seconds)

    def used(self, command: CommandName, outcome: CommandOutcome) -> None:
        """Count a use of a command or a button."""
        self._commands.labels(str(command), str(outcome)).inc()

    def waited(self, reason: WaitReason, seconds: float) -> None:
        """Record a wait for a rate limit."""
        self._waits.labels(str(reason)).inc(max(seconds, 0.0))

    def unreadable_event(self) -> None:
        """Count an event or frame of the gateway that was left out."""
        self._unreadable.inc()

    def lagged(self, seconds: float) -> None:
        """Record that the event loop woke a sleeping job this late."""
        self._lag.observe(seconds)
