"""What the work has counted since the start: counters and histograms for Prometheus."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics

from bot.core.meter import AttemptOutcome, Limiter, PollAnswer

# From what nobody notices to the day after which the API's link is dead.
_DELIVERY = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 4 * 3600, 24 * 3600)
_TRANSFER = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600)
# Discord gives a command three seconds; a loop that is late by half a second is a fault.
_LAG = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class PrometheusMeter:
    """A Meter. Each label's every value is there from the start: `rate` does not see a series begin at 1.

    Times between two looks at the wall clock are negative when it was set back in between: 0 then.
    """

    def __init__(self) -> None:
        # When a counter was made is of no use here, and costs a series for each.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._polls = self._counter(
            "veo_polls", "Questions to the video API by its answer.", "answer", PollAnswer
        )
        self._attempts = self._counter(
            "veo_delivery_attempts", "Attempts to deliver by outcome.", "outcome", AttemptOutcome
        )
        self._waits = self._counter(
            "veo_wait_seconds", "Seconds of waiting, by who makes us wait.", "limiter", Limiter
        )
        self._delivered = self._histogram(
            "veo_completed_to_posted_seconds",
            "From a video's completion, or its being asked for when that was later, to its message.",
            _DELIVERY,
        )
        self._upload_bytes = self._counter("veo_upload_bytes", "Bytes of files that Discord took.")
        self._upload = self._histogram(
            "veo_upload_seconds", "From handing a file to Discord to its answer, waits included.", _TRANSFER
        )
        self._too_large = self._counter("veo_uploads_too_large", "Files that Discord refused for their size.")
        self._download_bytes = self._counter("veo_download_bytes", "Bytes of videos that were downloaded.")
        self._download = self._histogram(
            "veo_download_seconds", "Of a download that came to its end.", _TRANSFER
        )
        self._lag = self._histogram(
            "veo_event_loop_lag_seconds", "How late the event loop woke a job that slept.", _LAG
        )

    def _counter(self, name: str, what: str, label: str | None = None, values: Iterable[str] = ()) -> Counter:
        counter = Counter(name, what, [label] if label else [], registry=self.registry)
        for value in values:
            counter.labels(str(value))
        return counter

    def _histogram(self, name: str, what: str, buckets: Iterable[float]) -> Histogram:
        return Histogram(name, what, registry=self.registry, buckets=tuple(buckets))

    def polled(self, answer: PollAnswer) -> None:
        self._polls.labels(str(answer)).inc()

    def attempted(self, outcome: AttemptOutcome) -> None:
        self._attempts.labels(str(outcome)).inc()

    def delivered(self, seconds: float) -> None:
        self._delivered.observe(max(seconds, 0.0))

    def uploaded(self, size: int, seconds: float) -> None:
        self._upload_bytes.inc(size)
        self._upload.observe(seconds)

    def too_large(self) -> None:
        self._too_large.inc()

    def downloaded(self, size: int, seconds: float) -> None:
        self._download_bytes.inc(size)
        self._download.observe(seconds)

    def waited(self, limiter: Limiter, seconds: float) -> None:
        self._waits.labels(str(limiter)).inc(max(seconds, 0.0))

    def lagged(self, seconds: float) -> None:
        """Told by `lag.py`."""
        self._lag.observe(seconds)
