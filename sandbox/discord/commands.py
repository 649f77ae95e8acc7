"""The application's registered commands: the bot overwrites them in bulk, people look them up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.discord import command_limits, errors
from sandbox.discord.command_locales import shown_name
from sandbox.discord.permissions import Right

if TYPE_CHECKING:
    from sandbox.discord.message_parts import Json
    from sandbox.discord.record import Record
    from sandbox.discord.user import User
    from sandbox.discord.world import Channel, World

CHAT_INPUT, MESSAGE_MENU = 1, 3
SUB_COMMAND, SUB_COMMAND_GROUP = 1, 2

Scope = int | None
"""A guild's id, or None for the commands registered everywhere."""


class Commands:
    def __init__(self, world: World, record: Record) -> None:
        self._world = world
        self._record = record
        self._by_scope: dict[Scope, list[Json]] = {}
        self.registrations: list[tuple[Scope, list[Json]]] = []
        """Every bulk overwrite, as the bot sent it."""

    def registered(self, scope: Scope) -> list[Json]:
        return self._by_scope.get(scope, [])

    def everywhere(self) -> list[Json]:
        """The commands of all scopes."""
        return [command for commands in self._by_scope.values() for command in commands]

    def register(self, scope: Scope, payload: list[Json]) -> list[Json]:
        """As `overwrite`. Raises Refusal for what Discord refuses, and records a surprise then."""
        if problems := command_limits.broken_rules(payload):
            refusal = errors.invalid_form(problems)
            self._record.surprise(f"commands Discord would refuse: {refusal.body()}")
            raise refusal
        return self.overwrite(scope, payload)

    def overwrite(self, scope: Scope, payload: list[Json]) -> list[Json]:
        """Replace all commands of a scope; a command of the same name and type keeps its id."""
        self.registrations.append((scope, payload))
        known = {(each["name"], each["type"]): each["id"] for each in self.registered(scope)}
        self._by_scope[scope] = [self._stored(each, scope, known) for each in payload]
        return self._by_scope[scope]

    def _stored(self, given: Json, scope: Scope, known: dict[tuple[str, int], str]) -> Json:
        kind = given.get("type") or CHAT_INPUT
        fresh = str(self._world.snowflakes.next())
        rights = given.get("default_member_permissions")
        stored = {name: value for name, value in given.items() if value is not None} | {
            "id": known.get((given["name"], kind), fresh),
            "application_id": str(self._world.bot.id),
            "version": fresh,
            "type": kind,
            "description": given.get("description") or "",
            "default_member_permissions": None if rights is None else str(rights),
        }
        if scope is not None:
            stored["guild_id"] = str(scope)
        return stored

    def find(self, name: str, kind: int, channel: Channel, person: User) -> Json:
        """The command as this person's client offers it here. Raises ValueError when it does not.

        `name` is the command's name, or its translation in this person's language.
        """
        guild = channel.guild
        if guild is not None and not guild.app_installed:
            raise ValueError(f"the application is not installed in {guild.name!r}")
        scopes: list[Scope] = [None] if guild is None else [guild.id, None]
        for command in (each for scope in scopes for each in self.registered(scope)):
            if command["type"] == kind and _is_called(command, name, person):
                _refuse_hidden(command, channel, person)
                return command
        offered = sorted(each["name"] for scope in scopes for each in self.registered(scope))
        raise ValueError(f"no command {name!r} here; there are {offered}")

    def invocation(self, line: str, channel: Channel, person: User) -> tuple[Json, list[Json], Json]:
        """Read "veo track": the innermost command, its list of options in the data, and the data to send.

        The caller adds the chosen options to that list. Raises ValueError when there is no such command.
        """
        name, *path = line.removeprefix("/").split()
        command = self.find(name, CHAT_INPUT, channel, person)
        data: Json = {"id": command["id"], "name": command["name"], "type": CHAT_INPUT, "options": []}
        if "guild_id" in command:
            data["guild_id"] = command["guild_id"]
        part, innermost = command, data
        for word in path:
            part = _sub_part(part, word, line, person)
            innermost["options"] = [{"name": part["name"], "type": part["type"], "options": []}]
            innermost = innermost["options"][0]
        known = part.get("options") or []
        if any(each["type"] in (SUB_COMMAND, SUB_COMMAND_GROUP) for each in known):
            raise ValueError(f"/{line} needs one of {[each['name'] for each in known]} behind it")
        return part, innermost["options"], data


def _is_called(part: Json, name: str, person: User) -> bool:
    return name in (part["name"], shown_name(part, person.locale))


def _sub_part(part: Json, word: str, line: str, person: User) -> Json:
    for option in part.get("options") or []:
        if option["type"] in (SUB_COMMAND, SUB_COMMAND_GROUP) and _is_called(option, word, person):
            found: Json = option
            return found
    raise ValueError(f"/{line}: {part['name']!r} has no part {word!r}")


def _refuse_hidden(command: Json, channel: Channel, person: User) -> None:
    """Raises ValueError for a command that a client would not show to this person here."""
    context = 1 if channel.guild is None else 0
    contexts = command.get("contexts")
    if contexts is not None and context not in contexts:
        raise ValueError(f"{command['name']!r} is not offered in this kind of channel")
    if channel.guild is None:
        return
    allowed = channel.rights_of(person.id)
    if not channel.is_visible_to(person.id) or channel.kind == "forum":
        raise ValueError(f"{person.name} cannot write in #{channel.name}")
    if not allowed & Right.USE_APPLICATION_COMMANDS:
        raise ValueError(f"{person.name} may not use application commands in #{channel.name}")
    needed = int(command.get("default_member_permissions") or 0)
    if needed & ~allowed:
        raise ValueError(f"{command['name']!r} is hidden from {person.name}, who lacks rights")
