"""`python -m bot check`: tries what the bot depends on, one line for each. It changes nothing."""

import asyncio
import os
import re
from collections.abc import Awaitable, Callable
from functools import partial
from ipaddress import ip_address, ip_network
from pathlib import Path
from urllib.parse import urlsplit

from bot.chat.permissions import invite_link
from bot.core.answers import USABLE, AnswerKind
from bot.core.errors import CannotStart, DependencyDown, StorageUnavailable
from bot.core.version import NAME, VERSION
from bot.media.disk_space import RESERVE, free_bytes
from bot.media.ffmpeg import find_ffmpeg
from bot.metrics import Metrics
from bot.network_errors import describe_network_error
from bot.process import check_folder
from bot.resources import VIDEOS, logged_in_client
from bot.settings import Settings, misspelt_variables
from bot.storage.migrations import NEWEST, schema_version
from bot.storage.sqlite_files import check_rights, sqlite_path
from bot.storage.store import open_database, refuse_moved
from bot.storage.write_probe import check_writable
from bot.veo.client import VideoApiClient, open_api_session
from bot.veo.look_up import SystemResolver
from bot.veo.public_address import Address, is_allowed

# An id that no API gives out: any answer about it shows that the address and the key are right.
_UNKNOWN_ID = "veo-courier-check"
# A name that always has a public address (RFC 2606, 3), for an API without a public name.
_PUBLIC_NAME = "example.com"
_ENOUGH_DISK_SPACE = 1 << 30
# The networks from which proxies with fake-ip DNS take their made-up addresses.
_FAKE_IP = (ip_network("198.18.0.0/15"), ip_network("fc00::/18"))


async def run(settings: Settings, resolver: SystemResolver | None = None) -> int:
    """Print a line per dependency; returns the exit code of the worst problem, 0 without one."""
    print(f"ok    {NAME} {VERSION}")
    print("ok    settings")
    for problem in misspelt_variables():
        print(f"LOOK  settings: in the environment, {problem}")
    codes = [
        await _print_check("data folder", _files, settings),
        await _print_check("disk", _disk, settings),
        await _print_check("database", _database, settings),
        await _print_check("Discord", _discord, settings),
        await _print_check("video API", _video_api, settings),
        await _print_check("ffmpeg", _ffmpeg, settings),
        await _print_check("names", partial(_names, resolver or SystemResolver()), settings),
    ]
    return max(codes)


async def _print_check(name: str, check: Callable[[Settings], Awaitable[str]], settings: Settings) -> int:
    """Print the result of one check; returns its exit code."""
    try:
        print(f"ok    {name}: {await check(settings)}")
    except CannotStart as error:
        print(f"FAIL  {name}: {error}")
        return error.exit_code
    except StorageUnavailable as error:
        print(f"FAIL  {name}: {error}")
        return DependencyDown.exit_code
    return 0


async def _files(settings: Settings) -> str:
    """Check the files as a start does. Of a missing folder only the one above is checked."""
    return await asyncio.to_thread(_check_files, settings)


def _check_files(settings: Settings) -> str:
    folder = settings.data_dir
    check_folder(_nearest(folder))
    check_folder(_nearest(folder / VIDEOS))
    if not settings.on_postgresql:
        check_folder(_nearest(sqlite_path(settings.database).parent), "DATABASE_URL")
    check_rights(settings.database)
    return f"{folder} can be written" if folder.exists() else f"{folder} can be made"


def _nearest(folder: Path) -> Path:
    """Return the folder, or the nearest existing one above it."""
    return next(each for each in (folder, *folder.absolute().parents) if os.path.lexists(each))


async def _disk(settings: Settings) -> str:
    free = await asyncio.to_thread(free_bytes, _nearest(settings.data_dir))
    if free < RESERVE:
        raise DependencyDown(f"{free / 1e6:.0f} MB free for {settings.data_dir}: no video will fit")
    few = "; a busy day needs some GB" if free < _ENOUGH_DISK_SPACE else ""
    return f"{free / 1e9:.1f} GB free{few}"


async def _database(settings: Settings) -> str:
    """Check that it can be read and written. A file that does not exist is not made."""
    if not settings.on_postgresql:
        path = sqlite_path(settings.database)
        if not await asyncio.to_thread(path.exists):
            return f"{path} will be made at the first start"
    version = await _schema_version(settings)
    await check_writable(settings.database)
    kind = "PostgreSQL, " if settings.on_postgresql else ""
    later = "" if version == NEWEST else f", becomes {NEWEST} at start"
    return f"{kind}schema version {version}{later}, can be written"


async def _schema_version(settings: Settings) -> int:
    """Return the schema version. Raises DependencyDown for a database that this program must not use."""
    database = open_database(settings.database, read_only=True)
    try:
        version = await schema_version(database)
        if version > NEWEST:
            raise DependencyDown(f"schema version {version} is newer than this program ({NEWEST})")
        if version == NEWEST:
            await refuse_moved(database)
    finally:
        await database.close()
    return version


async def _discord(settings: Settings) -> str:
    async with logged_in_client(settings, Metrics()) as client:
        application = client.application
        if application is None:
            return f"logged in as {client.user}"
        return (
            f"logged in as {client.user}, in {application.approximate_guild_count} servers; "
            f"to invite it: {invite_link(application.id)}"
        )


async def _video_api(settings: Settings) -> str:
    """Poll an unknown id. Any answer is good, unless every address gets the same 404."""
    async with open_api_session(connections=1) as session:
        client = partial(VideoApiClient, key=settings.veo_api_key, session=session)
        answer = await client(base_url=str(settings.veo_api_url)).poll(_UNKNOWN_ID)
        nowhere = await client(base_url=f"{settings.veo_api_url}/{_UNKNOWN_ID}").poll(_UNKNOWN_ID)
    if answer.kind is AnswerKind.KEY_REFUSED:
        raise DependencyDown(f"refuses VEO_API_KEY ({answer.where})")
    if answer.kind is AnswerKind.NOT_FOUND and nowhere.kind is AnswerKind.NOT_FOUND:
        if _without_path(answer.where) == _without_path(nowhere.where):
            raise DependencyDown(
                f"{settings.veo_api_url} answers 404 at every address ({answer.where}): perhaps "
                "VEO_API_URL is wrong; it is the address before /v1/result/"
            )
    elif answer.kind not in USABLE and answer.kind is not AnswerKind.UNKNOWN_ID:
        raise DependencyDown(f"{settings.veo_api_url}: {answer.where}")
    warning = "; plain http: the key can be read on the way" if settings.api_is_unencrypted else ""
    return f"{settings.veo_api_url} answers and accepts the key{warning}"


async def _ffmpeg(settings: Settings) -> str:
    """Describe ffmpeg. Without one the bot works, so that is no failure."""
    found = await asyncio.to_thread(find_ffmpeg)
    if found is None:
        return "none that can encode H.264: a video that is too large for a channel is posted as a link"
    return found.description


async def _names(resolver: SystemResolver, settings: Settings) -> str:
    """Look up one public name as a download does, because with made-up addresses no video arrives.

    An API on this machine serves its videos here as well, and needs no name server.
    """
    if settings.api_on_loopback:
        return "no look-up is needed, as the video API runs on this machine"
    host = _name_in(str(settings.veo_api_url)) or _PUBLIC_NAME
    try:
        found = await resolver.resolve(host, 443)
    except (OSError, UnicodeError) as error:
        raise DependencyDown(f"{host} is not resolved: {describe_network_error(error)}") from error
    addresses = [ip_address(result["host"]) for result in found]
    private = [each for each in addresses if not _may_be_a_hosts(each, settings)]
    if not private:
        return f"{host} resolves to {addresses[0]}"
    for network in _FAKE_IP:
        if private[0] in network:
            raise DependencyDown(
                f"{host} resolves to {private[0]}: looks like fake-ip DNS: set VIDEO_NETWORKS={network}"
            )
    return f"{host} resolves to {private[0]}, which is not public; for videos from there set VIDEO_NETWORKS"


def _name_in(url: str) -> str | None:
    """Return the host of a URL, unless it is an address."""
    host = urlsplit(url).hostname or ""
    try:
        ip_address(host)
    except ValueError:
        return host or None
    return None


def _may_be_a_hosts(address: Address, settings: Settings) -> bool:
    return is_allowed(address, allow_loopback=False, networks=settings.video_networks)


def _without_path(where: str) -> str:
    """Remove the path, which some servers repeat in the reply."""
    return re.sub(r"\S*/\S*", "", where)
