"""`python -m bot doctor`: shows what is stuck and why, while the bot runs. It changes nothing."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import discord

from bot.chat.gateway.state import GATEWAY_KEY, GatewayState
from bot.chat.permissions import missing_permissions
from bot.chat.texts.language import ENGLISH
from bot.chat.texts.problems import stored_sentence
from bot.chat.texts.replies import PERMISSIONS
from bot.core.api_pause import API_PAUSE_KEY, PauseState
from bot.core.clock import HOUR, MINUTE, SECOND, Clock, system_clock, to_datetime
from bot.core.errors import CannotStart, DependencyDown, StorageUnavailable
from bot.metrics import Metrics
from bot.resources import logged_in_client
from bot.settings import Settings
from bot.storage.diagnosis import Diagnosis
from bot.storage.migrations import NEWEST, schema_version
from bot.storage.sqlite_files import sqlite_path
from bot.storage.store import open_database, refuse_moved

LOOK = 1
_LATE_DELIVERY = 10 * MINUTE
_MANY_ATTEMPTS = 5
_SILENT_API = 10 * MINUTE
_MIN_DISK_SPACE = 1 << 30


class Report:
    """Lines for an operator. `code` becomes LOOK when a line needs a look."""

    def __init__(self) -> None:
        self.code = 0

    def ok(self, line: str) -> None:
        """Print a line that needs no look."""
        print(f"ok    {line}")

    def look(self, line: str) -> None:
        """Print a line that needs a look."""
        self.code = LOOK
        print(f"LOOK  {line}")


async def run(settings: Settings) -> int:
    """Print the report; returns 1 when something needs a look, else 0. Raises DependencyDown."""
    report, clock = Report(), system_clock
    async with _diagnosis(settings) as diagnosis:
        await _report_polls(report, diagnosis, settings, clock)
        await _report_deliveries(report, diagnosis, clock)
        await _report_quarantine(report, diagnosis)
        await _report_servers(report, diagnosis)
        await _report_gateway(report, diagnosis)
        places = await diagnosis.places()
    await _report_disk(report, settings.data_dir)
    await _report_rights(report, settings, places)
    return report.code


@asynccontextmanager
async def _diagnosis(settings: Settings) -> AsyncIterator[Diagnosis]:
    if not settings.on_postgresql:
        path = sqlite_path(settings.database)
        if not await asyncio.to_thread(path.exists):
            raise DependencyDown(f"there is no database at {path} yet: the bot has not run")
    database = open_database(settings.database, read_only=True)
    try:
        version = await schema_version(database)
        if version != NEWEST:
            raise DependencyDown(
                f"the database has schema version {version}, this program reads {NEWEST}: "
                "use the program that the bot runs with"
            )
        await refuse_moved(database)
        yield Diagnosis(database)
    except StorageUnavailable as error:
        raise DependencyDown(str(error)) from error
    finally:
        await database.close()


async def _report_polls(report: Report, diagnosis: Diagnosis, settings: Settings, clock: Clock) -> None:
    counts = await diagnosis.tasks_by_state()
    report.ok(f"tasks: {_counted(counts)}")
    text, now = await diagnosis.value(API_PAUSE_KEY), clock()
    if text is not None:
        pause = PauseState.from_text(text)
        report.look(
            f"video API: {pause.reason} since {_time(pause.since)}; polled again at {_time(pause.until)}"
        )
    if not_found := await diagnosis.tasks_not_found():
        report.look(f"the video API answers 404 about {not_found} tasks: perhaps VEO_API_URL is wrong")
    late = await diagnosis.late_poll(settings.interval_ms, now)
    if late is not None:
        report.look(
            f"{late.task_id} should have been polled {_age(now - late.since)} ago: is the bot running?"
        )
    good = await diagnosis.last_good_answer()
    line = "last usable answer of the video API: " + ("none yet" if good is None else _time(good))
    silent = bool(counts.get("waiting")) and (good is None or now - good > _SILENT_API)
    (report.look if silent else report.ok)(line)


async def _report_deliveries(report: Report, diagnosis: Diagnosis, clock: Clock) -> None:
    report.ok(f"deliveries: {_counted(await diagnosis.deliveries_by_state())}")
    late = await diagnosis.most_overdue_delivery()
    if late is not None:
        age = clock() - late.since
        tried = stored_sentence(ENGLISH, late.last_error) if late.last_error else ""
        why = f", after {late.attempt} attempts: {tried}" if tried else ""
        line = f"oldest owed result: {late.task_id} in channel {late.channel_id}, for {_age(age)}{why}"
        (report.look if age > _LATE_DELIVERY else report.ok)(line)
    for often in await diagnosis.tried_often(_MANY_ATTEMPTS):
        why = stored_sentence(ENGLISH, often.last_error or "")
        report.look(f"tried {often.attempt} times: {often.task_id} in channel {often.channel_id}: {why}")
    for refused in await diagnosis.undeliverable():
        report.look(
            f"{refused.count} results could not be posted in channel {refused.channel_id} "
            f"of server {refused.guild_id}: {stored_sentence(ENGLISH, refused.reason)}"
        )


async def _report_quarantine(report: Report, diagnosis: Diagnosis) -> None:
    for row in await diagnosis.quarantined():
        again = "" if row.due_at is None else f"; tried again at {_time(row.due_at)}"
        report.look(f"quarantined in {row.queue}: {row.row_id} ({row.reason}){again}; the log has the rest")


async def _report_servers(report: Report, diagnosis: Diagnosis) -> None:
    for guild_id, since in (await diagnosis.left_guilds()).items():
        report.ok(f"no longer in server {guild_id} since {_time(since)}: forgotten 30 days later")


async def _report_gateway(report: Report, diagnosis: Diagnosis) -> None:
    for text in await diagnosis.values(GATEWAY_KEY):
        state = GatewayState.from_text(text)
        report.look(f"{state.problem}, since {_time(state.since)}: commands are not answered; results go on")


async def _report_disk(report: Report, folder: Path) -> None:
    free, videos = await asyncio.to_thread(_disk_usage, folder)
    line = f"disk: {videos / 1e6:.0f} MB of videos in {folder}, {free / 1e9:.1f} GB free"
    (report.look if free < _MIN_DISK_SPACE else report.ok)(line)


def _disk_usage(folder: Path) -> tuple[int, int]:
    files = [path for path in (folder / "videos").glob("*") if path.is_file()]
    return shutil.disk_usage(folder).free, sum(path.stat().st_size for path in files)


async def _report_rights(report: Report, settings: Settings, places: list[tuple[int, int]]) -> None:
    """Check our rights. When Discord fails, the lines from the database stand."""
    try:
        async with logged_in_client(settings, Metrics()) as client:
            for guild_id, channel_id in places:
                await _report_rights_in(report, client, guild_id, channel_id)
    except CannotStart as error:
        report.look(f"rights were not checked: {error}")


async def _report_rights_in(report: Report, client: discord.Client, guild_id: int, channel_id: int) -> None:
    place = f"channel {channel_id} of server {guild_id}"
    try:
        granted, kind = await _granted_rights(client, guild_id, channel_id)
    except discord.HTTPException as error:
        report.look(f"{place}: Discord answers {error.status} ({error.text})")
        return
    missing = missing_permissions(granted, kind)
    if missing:
        report.look(f"{place}: missing {', '.join(PERMISSIONS[name] for name in missing)}")
    elif not granted.read_message_history:
        report.look(f"{place}: may post; without Read Message History a result may come twice after a crash")
    else:
        report.ok(f"{place}: may post")


async def _granted_rights(
    client: discord.Client, guild_id: int, channel_id: int
) -> tuple[discord.Permissions, discord.ChannelType]:
    """Return our rights and the channel's type.

    Over REST, because a gateway session counts towards 1,000 a day.
    """
    guild = await client.fetch_guild(guild_id, with_counts=False)
    me = await guild.fetch_member(_own_id(client))
    channel = await guild.fetch_channel(channel_id)
    kind = channel.type
    if isinstance(channel, discord.Thread):
        channel = await guild.fetch_channel(channel.parent_id)
    if isinstance(channel, discord.Thread):
        return discord.Permissions.none(), kind
    return channel.permissions_for(me), kind


def _own_id(client: discord.Client) -> int:
    assert client.user is not None  # noqa: S101 - logged in
    return client.user.id


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "none"


def _time(milliseconds: int) -> str:
    return f"{to_datetime(milliseconds):%Y-%m-%d %H:%M:%S} UTC"


def _age(milliseconds: int) -> str:
    if milliseconds >= HOUR:
        return f"{milliseconds / HOUR:.1f} h"
    return f"{milliseconds // MINUTE} min" if milliseconds >= MINUTE else f"{milliseconds // SECOND} s"
