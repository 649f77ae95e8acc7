"""The resources that commands share: the files, the store, and a client that is logged in at Discord."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from bot.chat.client import CourierClient
from bot.chat.gateway.connection import log_in, point_at
from bot.chat.outbound import answer_trace
from bot.core.rate_limit import RateLimit
from bot.metrics import Metrics
from bot.process import check_folder, prepare_folder
from bot.settings import Settings
from bot.storage.sqlite_files import check_rights, sqlite_path
from bot.storage.store import Store, open_store

# The folder of the videos in DATA_DIR.
VIDEOS = "videos"


def prepare_files(settings: Settings) -> None:
    """Make the folders, and check that everything in them can be written. Raises DependencyDown.

    Otherwise only the first video would show it, long after tasks were registered.
    """
    prepare_folder(settings.data_dir)
    prepare_folder(settings.data_dir / VIDEOS)
    if not settings.on_postgresql:
        check_folder(sqlite_path(settings.database).parent, "DATABASE_URL")
    check_rights(settings.database)


def opened_store(settings: Settings) -> AbstractAsyncContextManager[Store]:
    """Open the store that the settings name. Raises DependencyDown, StorageUnavailable."""
    return open_store(
        settings.database,
        limits=settings.limits,
        interval=settings.interval_ms,
        lease_time=settings.lease_ms,
        rate=RateLimit(settings.poll_rate, burst=settings.poll_rate),
    )


@asynccontextmanager
async def logged_in_client(settings: Settings, metrics: Metrics) -> AsyncIterator[CourierClient]:
    """Yield a client that may call Discord. Raises TokenRefused, DependencyDown."""
    if settings.discord_api_url is not None:
        point_at(str(settings.discord_api_url))
    client = CourierClient(
        proxy=str(settings.discord_proxy) if settings.discord_proxy else None,
        shard_count=settings.shard_count,
        shard_ids=settings.shard_ids,
    )
    client.metrics = metrics
    client.http.http_trace = answer_trace(metrics)
    client.unreadable.on_unreadable = metrics.unreadable_event
    try:
        await log_in(client, settings.discord_token.get_secret_value())
        yield client
    finally:
        await client.close()
