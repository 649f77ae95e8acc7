"""`python -m bot check`: tries what the bot depends on, one line each, changing nothing."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from functools import partial
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

from bot.core.errors import CannotStart, DependencyDown, StorageUnavailable
from bot.core.verdicts import USABLE, AnswerKind
from bot.media.ffmpeg import find_ffmpeg
from bot.metrics import Metrics
from bot.process import prepare_folder
from bot.resources import logged_in_client
from bot.settings import Settings
from bot.storage.migrations import NEWEST, schema_version
from bot.storage.sqlite import sqlite_path
from bot.storage.store import open_database
from bot.veo.client import VideoApiClient, open_api_session
from bot.veo.look_up import SystemResolver
from bot.veo.public_address import Address, is_allowed

# An id that no API gives out: any answer about it shows that the address and the key are right.
_UNKNOWN_ID = "veo-courier-check"
# What has a public address at all times (RFC 2606, 3), for an API whose address is not a public name.
_PUBLIC_NAME = "example.com"
# Where a proxy that answers DNS with made-up addresses takes them from.
_FAKE_IP = (ip_network("198.18.0.0/15"), ip_network("fc00::/18"))


async def run(settings: Settings, resolver: SystemResolver | None = None) -> int:
    """Prints a line per dependency; returns the exit code of the worst problem, 0 when all is well."""
    print("ok    settings")
    codes = [
        await _try("data folder", _folder, settings),
        await _try("database", _database, settings),
        await _try("Discord", _discord, settings),
        await _try("video API", _video_api, settings),
        await _try("ffmpeg", _ffmpeg, settings),
        await _try("names", partial(_names, resolver or SystemResolver()), settings),
    ]
    return max(codes)


async def _try(name: str, check: Callable[[Settings], Awaitable[str]], settings: Settings) -> int:
    try:
        print(f"ok    {name}: {await check(settings)}")
    except CannotStart as error:
        print(f"FAIL  {name}: {error}")
        return error.exit_code
    return 0


async def _folder(settings: Settings) -> str:
    prepare_folder(settings.data_dir)
    return f"{settings.data_dir} can be written"


async def _database(settings: Settings) -> str:
    if not settings.on_postgresql:
        path = sqlite_path(settings.database)
        if not await asyncio.to_thread(path.exists):
            return f"{path} will be made at the first start"
    database = open_database(settings.database)
    try:
        version = await schema_version(database)
    except StorageUnavailable as error:
        raise DependencyDown(str(error)) from error
    finally:
        await database.close()
    if version > NEWEST:
        raise DependencyDown(f"schema version {version} is newer than this program ({NEWEST})")
    kind = "PostgreSQL, " if settings.on_postgresql else ""
    return f"{kind}schema version {version}" + ("" if version == NEWEST else f", becomes {NEWEST} at start")


async def _discord(settings: Settings) -> str:
    async with logged_in_client(settings, Metrics()) as client:
        return f"logged in as {client.user}"


async def _video_api(settings: Settings) -> str:
    """Any answer about an unknown id is a good one, unless every address gets the same 404."""
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
    """Without one the bot works: no failure."""
    found = await asyncio.to_thread(find_ffmpeg)
    if found is None:
        return "none that can encode H.264: a video that is too large for a channel is posted as a link"
    return found.description


async def _names(resolver: SystemResolver, settings: Settings) -> str:
    """Looks up one public name as a download does: a made-up address means that no video will arrive.

    An API on this machine serves its videos here as well, and needs no name server.
    """
    if settings.api_on_loopback:
        return "no look-up is needed, as the video API runs on this machine"
    host = _name_in(str(settings.veo_api_url)) or _PUBLIC_NAME
    try:
        found = await resolver.resolve(host, 443)
    except (OSError, UnicodeError) as error:
        raise DependencyDown(f"{host} is not resolved ({error})") from error
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
    """The host of a URL, unless it is an address."""
    host = urlsplit(url).hostname or ""
    try:
        ip_address(host)
    except ValueError:
        return host or None
    return None


def _may_be_a_hosts(address: Address, settings: Settings) -> bool:
    return is_allowed(address, allow_loopback=False, networks=settings.video_networks)


def _without_path(where: str) -> str:
    """The reply without the path that some servers repeat in it."""
    return re.sub(r"\S*/\S*", "", where)
