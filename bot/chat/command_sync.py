"""Keeps Discord's lists of commands as they should be: compares each with what Discord has, and heals it."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
import discord
from discord import app_commands
from discord.http import Route

from bot.aio import wait_for_any
from bot.chat.responses import describe_error
from bot.core.backoff import retry_delay
from bot.core.clock import HOUR, MINUTE, SECOND
from bot.core.errors import StorageUnavailable
from bot.storage.key_values import KeyValues

logger = logging.getLogger(__name__)
Json = dict[str, Any]
# A server's id; None: the commands of all servers.
Scope = int | None

# Another program with the token, or an older version, may overwrite them while this process runs.
_COMPARE_EVERY = 6 * HOUR
_MIN_RETRY_DELAY, _MAX_RETRY_DELAY = 10 * SECOND, HOUR
# What this program writes of a command or an option. Discord adds ids, versions and more.
_WRITTEN = frozenset(
    {
        *("type", "name", "description", "options", "name_localizations", "description_localizations"),
        *("default_member_permissions", "nsfw", "required", "choices", "channel_types", "autocomplete"),
        *("min_value", "max_value", "min_length", "max_length", "value"),
        *("contexts", "integration_types"),
    }
)
# Discord keeps these for global commands alone.
_GLOBAL_ONLY = frozenset({"contexts", "integration_types"})
# Mappings from a locale to a text: their keys are no fields.
_LOCALIZATIONS = frozenset({"name_localizations", "description_localizations"})
_DISCORD_SAYS_NO = (discord.DiscordException, aiohttp.ClientError, OSError)
_ODD_ANSWERS = (LookupError, TypeError, ValueError, AttributeError)


class CommandSync:
    """A job beside the others: after any answer of Discord the bot goes on with the commands that are there.

    Discord allows 200 new commands a day and server, so nothing is written that is there already. With a
    `guild_id` the commands are in that server alone, for development.
    """

    def __init__(
        self,
        client: discord.Client,
        tree: app_commands.CommandTree[Any],
        key_values: KeyValues,
        guild_id: int | None,
    ) -> None:
        self._client = client
        self._tree = tree
        self._key_values = key_values
        self._scope: Scope = guild_id

    async def run(self, stop: asyncio.Event) -> None:
        """Compare and heal now, and every few hours until `stop` is set."""
        failures = 0
        while not stop.is_set():
            failures = 0 if await self._heal_all() else failures + 1
            delay = _COMPARE_EVERY
            if failures:
                delay = retry_delay(failures, base=_MIN_RETRY_DELAY, cap=_MAX_RETRY_DELAY)
                logger.warning("commands are compared again in %d min", max(delay // MINUTE, 1))
            await wait_for_any(stop, timeout=delay / SECOND)

    async def _heal_all(self) -> bool:
        """Whether every scope has what it should have."""
        try:
            wanted = {self._scope: await self._payload()}
            scopes = dict.fromkeys(await self._known_scopes(), ()) | wanted
        except StorageUnavailable as error:
            logger.warning("which commands were registered is not known: %s", error)
            return False
        return all([await self._try_to_heal(scope, commands) for scope, commands in scopes.items()])

    async def _payload(self) -> Sequence[Json]:
        commands = self._tree.get_commands()
        translator = self._tree.translator
        if translator is None:
            return [command.to_dict(self._tree) for command in commands]
        return [await command.get_translated_payload(self._tree, translator) for command in commands]

    async def _known_scopes(self) -> list[Scope]:
        """The scopes that this installation has written, and may have to empty."""
        names = await self._key_values.names(self._key(""))
        found = [name.removeprefix(self._key("")) for name in names]
        return [None if scope == _GLOBAL else int(scope) for scope in found]

    async def _try_to_heal(self, scope: Scope, wanted: Sequence[Json]) -> bool:
        try:
            await self._heal(scope, wanted)
        except StorageUnavailable as error:
            logger.warning("which commands are registered is not stored: %s", error)
            return False
        except (discord.Forbidden, discord.NotFound) as error:
            return await self._not_there(scope, wanted, error)
        except (*_DISCORD_SAYS_NO, *_ODD_ANSWERS) as error:
            logger.warning("Discord did not take the commands %s (%s)", _where(scope), describe_error(error))
            return False
        return True

    async def _heal(self, scope: Scope, wanted: Sequence[Json]) -> None:
        there = await self._client.http.request(self._route("GET", scope), params={"with_localizations": 1})
        if _written(there, scope) != _written(wanted, scope):
            # Before the write: a scope is emptied one day only if it is known.
            await self._key_values.put(self._key(_name(scope)), "written")
            await self._client.http.request(self._route("PUT", scope), json=list(wanted))
            logger.info("%d commands registered %s", len(wanted), _where(scope))
        await self._key_values.put(self._key(_name(scope)), "written" if wanted else None)

    async def _not_there(self, scope: Scope, wanted: Sequence[Json], error: discord.HTTPException) -> bool:
        """Whether that is right: nothing was to be registered in a server that the bot has left."""
        if not wanted and error.code:
            await self._key_values.put(self._key(_name(scope)), None)
            return True
        hint = "" if scope is None else " (is the bot in the server of DISCORD_GUILD_ID?)"
        logger.warning(
            "Discord did not take the commands %s: %s%s", _where(scope), describe_error(error), hint
        )
        return False

    def _key(self, scope: str) -> str:
        return f"discord.commands:{self._client.application_id}:{scope}"

    def _route(self, method: str, scope: Scope) -> Route:
        path = "/applications/{application_id}/commands"
        if scope is None:
            return Route(method, path, application_id=self._client.application_id)
        path = "/applications/{application_id}/guilds/{guild_id}/commands"
        return Route(method, path, application_id=self._client.application_id, guild_id=scope)


_GLOBAL = "global"


def _name(scope: Scope) -> str:
    return _GLOBAL if scope is None else str(scope)


def _where(scope: Scope) -> str:
    return "in all servers" if scope is None else f"in server {scope}"


def _written(commands: Sequence[Mapping[str, Any]], scope: Scope) -> list[Json]:
    """What was written of these commands, in an order and form that can be compared."""
    left_out = frozenset() if scope is None else _GLOBAL_ONLY
    tidy = [_tidy(command, left_out) for command in commands]
    return sorted(tidy, key=lambda command: (command.get("type", 1), command["name"]))


def _tidy(part: Any, left_out: frozenset[str]) -> Any:
    """Without what Discord adds, and without defaults, which Discord leaves out or writes as it likes."""
    if isinstance(part, Mapping):
        kept = {
            name: value if name in _LOCALIZATIONS else _tidy(value, left_out)
            for name, value in part.items()
            if name in _WRITTEN - left_out
        }
        tidy = {name: value for name, value in kept.items() if value not in (None, False, "", [], {})}
        if tidy.get("type") == 1:
            del tidy["type"]
        if "default_member_permissions" in tidy:
            tidy["default_member_permissions"] = str(tidy["default_member_permissions"])
        return tidy
    if isinstance(part, list | tuple):
        return [_tidy(each, left_out) for each in part]
    return part
