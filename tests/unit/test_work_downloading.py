"""What ends a download: tries, fresh links, time. Host and API are scripted; store and cache are real."""

import asyncio
from pathlib import Path

import pytest

from bot.core.answers import Answer, AnswerKind
from bot.core.clock import DAY, HOUR, MINUTE, SECOND
from bot.core.errors import DownloadInterrupted, LinkRefused, StorageUnavailable, VideoUnusable
from bot.core.problems import ProblemCode
from bot.core.tasks import DueDelivery
from bot.core.verdicts import Final
from bot.metrics import Metrics
from bot.storage.store import Store
from bot.work.downloading import Downloaded, TryAgain, VideoDownloads, WithoutVideo
from bot.work.video_cache import VideoCache
from tests.deliverer_env import MP4, ScriptedApi, ScriptedDownloads, ScriptedFitter, scripted_fresh_links
from tests.factories import DONE, TASK, URL, take_delivery, track_ended
from tests.timing import FakeClock, eventually
from tests.unit.test_work_fresh_links import FRESH


class DownloadingEnv:
    """Downloads for one due delivery."""

    def __init__(self, store: Store, clock: FakeClock, folder: Path) -> None:
        self.store, self.clock = store, clock
        self.host = ScriptedDownloads()
        self.api = ScriptedApi()
        self.videos = VideoCache(folder, self.host, ScriptedFitter(), Metrics())
        links = scripted_fresh_links(store, clock, self.api)
        self.downloads = VideoDownloads(
            queue=store.deliveries, videos=self.videos, fresh_links=links, clock=clock
        )

    async def download(self) -> Downloaded | WithoutVideo | TryAgain:
        """One try of the next due delivery. If it is postponed, it is made due again."""
        lease, due = await take_delivery(self.store, self.clock)
        since = await self.store.deliveries.begin_preparing(due.delivery.id, lease, self.clock())
        assert since is not None
        found = await self.downloads.download(due, since)
        if isinstance(found, TryAgain):
            self.clock.advance(found.delay)
            await self.store.deliveries.postpone(
                due.delivery.id, lease, self.clock(), is_preparing=False, **found.changes
            )
        return found

    async def until_decided(self, limit: int = 100) -> tuple[int, Downloaded | WithoutVideo]:
        """The number of tries, and the outcome."""
        for count in range(1, limit):
            found = await self.download()
            if not isinstance(found, TryAgain):
                return count, found
        raise AssertionError("no end")

    async def due(self) -> DueDelivery:
        return (await take_delivery(self.store, self.clock))[1]


@pytest.fixture
async def env(store: Store, clock: FakeClock, tmp_path: Path) -> DownloadingEnv:
    await track_ended(store, clock, Final(DONE.state, video_url=URL, link_ends_at=clock() + DAY))
    folder = tmp_path / "videos"
    await asyncio.to_thread(folder.mkdir)
    return DownloadingEnv(store, clock, folder)


async def test_video_is_downloaded_and_described(env: DownloadingEnv):
    found = await env.download()

    assert isinstance(found, Downloaded)
    assert found.video.size == len(MP4)
    assert found.video.path.exists()
    assert found.video.width > 0


async def test_odd_answers_are_tried_six_times_within_about_a_minute(env: DownloadingEnv):
    """Then the API is polled for a fresh link, and the same link again is final."""
    began = env.clock()
    env.host.errors.extend(LinkRefused("403", status=403) for _ in range(20))

    count, found = await env.until_decided()

    assert isinstance(found, WithoutVideo)
    assert found.problem.code is ProblemCode.LINK_DEAD
    assert len(env.host.urls) == count == 6
    assert 45 * SECOND <= env.clock() - began <= 75 * SECOND
    assert len(env.api.polled) == 1


@pytest.mark.parametrize("code", [ProblemCode.NOT_AN_MP4, ProblemCode.LINK_REDIRECTED])
async def test_reason_names_the_wrong_answer_of_the_host(env: DownloadingEnv, code: ProblemCode):
    """The link is not expired, so users can open it themselves."""
    env.host.errors.extend(LinkRefused("odd", code=code) for _ in range(6))

    _, found = await env.until_decided()

    assert isinstance(found, WithoutVideo)
    assert found.problem.code is code


async def test_video_in_the_second_answer_is_accepted(env: DownloadingEnv):
    """The first answer was empty, JSON or a page."""
    env.host.errors.append(LinkRefused("not an MP4"))

    count, found = await env.until_decided()

    assert (count, type(found)) == (2, Downloaded)


async def test_fresh_link_is_tried_like_the_first_one(env: DownloadingEnv):
    """At most three fresh links, with six tries each."""
    links = (f"https://cdn.example/v/{n}.mp4" for n in range(2, 99))
    env.host.errors.extend(LinkRefused("403", status=403) for _ in range(100))
    poll = env.api.poll

    async def another_link(task_id: str) -> Answer:
        await poll(task_id)
        return Answer(AnswerKind.COMPLETED, "completed", video_url=next(links))

    env.api.poll = another_link  # type: ignore[method-assign]

    _, found = await env.until_decided()

    assert isinstance(found, WithoutVideo)
    assert len(env.api.polled) == 3
    assert len(set(env.host.urls)) == 4
    assert all(env.host.urls.count(url) == 6 for url in set(env.host.urls))


async def test_fresh_link_that_works_gives_the_video(env: DownloadingEnv):
    """State and reason of the task stay."""
    env.host.errors.extend(LinkRefused("403", status=403) for _ in range(6))
    env.api.answer = Answer(AnswerKind.COMPLETED, "completed", video_url=FRESH)

    _, found = await env.until_decided()

    assert isinstance(found, Downloaded)
    assert env.host.urls[-1] == FRESH


async def test_silent_api_is_polled_at_most_three_times_for_a_link(env: DownloadingEnv):
    """Then the result is posted with the old link."""
    env.host.errors.extend(LinkRefused("403", status=403) for _ in range(100))
    env.api.answer = Answer(AnswerKind.SILENCE)

    _, found = await env.until_decided()

    assert isinstance(found, WithoutVideo)
    assert len(env.api.polled) == 3


async def test_try_that_received_a_part_does_not_count(env: DownloadingEnv):
    """The next try resumes."""
    env.host.errors.extend(LinkRefused("403", status=403) for _ in range(5))
    env.host.errors.append(LinkRefused("403", status=403, progressed=True))
    env.host.errors.extend(LinkRefused("403", status=403) for _ in range(5))

    count, found = await env.until_decided()

    assert (count, type(found)) == (12, Downloaded)


@pytest.mark.parametrize(
    "error", [DownloadInterrupted("cut"), DownloadInterrupted("503", retry_after=36_000), TimeoutError()]
)
async def test_host_trouble_is_retried_for_two_hours(env: DownloadingEnv, error: Exception):
    """Then the result is posted with the link, which is still valid."""
    began = env.clock()
    env.host.errors.extend(error for _ in range(500))

    count, found = await env.until_decided(500)

    assert isinstance(found, WithoutVideo)
    assert found.problem.code is ProblemCode.DOWNLOAD_FAILED
    assert 2 * HOUR <= env.clock() - began <= 2 * HOUR + 6 * MINUTE
    assert 20 <= count <= 60


async def test_host_trouble_is_not_retried_after_the_links_end(
    env: DownloadingEnv, store: Store, clock: FakeClock
):
    due = await env.due()
    await store.tasks.replace_link(due.task.id, URL, clock() + 20 * MINUTE)
    clock.advance(HOUR)
    env.host.errors.extend(DownloadInterrupted("cut") for _ in range(500))

    count, found = await env.until_decided(500)

    assert isinstance(found, WithoutVideo)
    assert found.problem.code is ProblemCode.LINK_ENDED
    assert count == 1


async def test_link_past_its_end_is_tried_once(env: DownloadingEnv, store: Store, clock: FakeClock):
    """The end is an estimate."""
    due = await env.due()
    await store.tasks.replace_link(due.task.id, URL, clock() - HOUR)
    clock.advance(HOUR)

    assert isinstance(await env.download(), Downloaded)
    assert env.host.timeouts == [60]


async def test_try_is_limited_by_the_two_hours(env: DownloadingEnv):
    """A slow host does not delay the result further."""
    await env.download()

    assert env.host.timeouts == [2 * HOUR / SECOND]


async def test_unusable_link_is_final_at_once(env: DownloadingEnv):
    """A literal forbidden address, another scheme, a video above MAX_VIDEO_BYTES."""
    env.host.errors.append(VideoUnusable(ProblemCode.LINK_FORBIDDEN))

    found = await env.download()

    assert isinstance(found, WithoutVideo)
    assert found.problem.code is ProblemCode.LINK_FORBIDDEN


async def test_full_disk_is_left_to_the_loop(env: DownloadingEnv):
    """It says nothing about the link."""
    env.host.errors.append(StorageUnavailable("disk full"))

    with pytest.raises(StorageUnavailable):
        await env.download()


async def test_channels_that_wait_for_one_video_share_one_download(env: DownloadingEnv):
    """They also share its failure, so that none of them retries at once."""
    env.host.held = asyncio.Event()
    env.host.errors.append(DownloadInterrupted("cut"))
    waiting = [asyncio.create_task(env.videos.download(TASK, URL, person, 60)) for person in range(12)]
    await eventually(lambda: env.host.urls)
    env.host.held.set()

    outcomes = await asyncio.gather(*waiting, return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [DownloadInterrupted] * 12
    assert len(env.host.urls) == 1


async def test_last_channel_that_leaves_ends_the_download(env: DownloadingEnv):
    """Any earlier one that gives up does not end it for the others."""
    env.host.held = asyncio.Event()
    first, second = (asyncio.create_task(env.videos.download(TASK, URL, person, 60)) for person in range(2))
    await eventually(lambda: env.host.urls)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    env.host.held.set()

    assert (await second).size == len(MP4)
