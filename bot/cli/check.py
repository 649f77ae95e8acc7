"""`python -m bot check`: tries what the bot depends on, one line each, changing nothing."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from functools import partial

from bot.core.errors import CannotStart, DependencyDown, StorageUnavailable
from bot.core.verdicts import USABLE, AnswerKind
from bot.metrics import Metrics
from bot.process import prepare_folder
from bot.resources import logged_in_client
from bot.settings import Settings
from bot.storage.migrations import NEWEST, schema_version
from bot.storage.sqlite import sqlite_path
from bot.storage.store import open_database
from bot.veo.client import VideoApiClient, open_api_session

# An id that no API gives out: any answer about it shows that the address and the key are right.
_UNKNOWN_ID = "veo-courier-check"


async def run(settings: Settings) -> int:
    """Prints a line per dependency; returns the exit code of the worst problem, 0 when all is well."""
    print("ok    settings")
    codes = [
        await _try("data folder", _folder, settings),
        await _try("database", _database, settings),
        await _try("Discord", _discord, settings),
        await _try("video API", _video_api, settings),
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


def _without_path(where: str) -> str:
    """The reply without the path that some servers repeat in it."""
    return re.sub(r"\S*/\S*", "", where)
