"""Interactions: a person starts one; the bot has 3 seconds to acknowledge it and 15 minutes to answer."""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sandbox.discord import channel_payload, message_payload, payloads
from sandbox.discord.message_parts import Json, Origin

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.discord.user import User
    from sandbox.discord.world import Channel, Message, World

COMMAND, COMPONENT, AUTOCOMPLETE = 2, 3, 4

ANSWER, DEFER, DEFER_UPDATE, UPDATE, CHOICES, MODAL = 4, 5, 6, 7, 8, 9

IN_GUILD, IN_DIRECT_MESSAGE = 0, 1

NO_RESPONSE = "The application did not respond"


class InteractionFailed(Exception):
    """The bot did not acknowledge in time; the text is what the person's client shows."""


@dataclass(slots=True, eq=False)
class Interaction:
    id: int
    token: str
    type: int
    person: User
    channel: Channel
    data: Json
    pressed: Message | None = None
    by_menu: bool = False
    began: float = field(default_factory=time.monotonic)
    callback_type: int | None = None
    callback_at: float | None = None
    callback_data: Json = field(default_factory=dict)
    original: Message | None = None
    original_deleted: bool = False
    followups: list[Message] = field(default_factory=list)
    failed: bool = False
    acknowledged: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def origin(self) -> Origin:
        pressed = self.pressed.id if self.pressed else None
        return Origin(self.id, self.type, self.person.id, pressed, by_menu=self.by_menu)

    def acknowledge(self, callback_type: int, data: Json) -> None:
        self.callback_type = callback_type
        self.callback_data = data
        self.callback_at = time.monotonic()
        self.acknowledged.set()


class Interactions:
    """All interactions, by token."""

    def __init__(self, world: World, dispatch: Callable[[str, Json], bool]) -> None:
        self._world = world
        self._dispatch = dispatch
        self._by_token: dict[str, Interaction] = {}
        self.deadline = 3.0
        self.lifetime = 15 * 60.0

    def find(self, token: str) -> Interaction | None:
        return self._by_token.get(token)

    def is_late(self, interaction: Interaction) -> bool:
        return interaction.failed or time.monotonic() - interaction.began > self.deadline

    def has_expired(self, interaction: Interaction) -> bool:
        return time.monotonic() - interaction.began > self.lifetime

    async def start(
        self,
        kind: int,
        person: User,
        channel: Channel,
        data: Json,
        *,
        pressed: Message | None = None,
        by_menu: bool = False,
    ) -> Interaction:
        """Send an interaction to the bot and wait for the acknowledgement. Raises InteractionFailed."""
        interaction = Interaction(
            id=self._world.snowflakes.next(),
            # With a fixed beginning, by which tests find a leaked token.
            token=f"stand-in-interaction-{secrets.token_urlsafe(24)}",
            type=kind,
            person=person,
            channel=channel,
            data=data,
            pressed=pressed,
            by_menu=by_menu,
        )
        self._by_token[interaction.token] = interaction
        self._world.announce("interaction", interaction)
        if not self._dispatch("INTERACTION_CREATE", self._event(interaction)):
            interaction.failed = True
            raise InteractionFailed(NO_RESPONSE)
        await self._acknowledgement(interaction)
        return interaction

    async def _acknowledgement(self, interaction: Interaction) -> None:
        try:
            async with asyncio.timeout(self.deadline):
                await interaction.acknowledged.wait()
        except TimeoutError:
            interaction.failed = True
            raise InteractionFailed(NO_RESPONSE) from None

    def _event(self, interaction: Interaction) -> Json:
        bot, channel = self._world.bot, interaction.channel
        event: Json = {
            "id": str(interaction.id),
            "application_id": str(bot.id),
            "type": interaction.type,
            "data": interaction.data,
            "token": interaction.token,
            "version": 1,
            "channel_id": str(channel.id),
            "channel": _partial_channel(channel, interaction.person),
            "app_permissions": str(int(channel.rights_of(bot.id))),
            "locale": interaction.person.locale,
            "entitlements": [],
            "attachment_size_limit": channel.upload_limit,
            **_place(channel, interaction.person),
        }
        if interaction.pressed is not None:
            event["message"] = message_payload.message(interaction.pressed)
        return event


def _partial_channel(channel: Channel, person: User) -> Json:
    body: dict[str, Any] = channel_payload.channel(channel)
    if channel.guild is not None:
        body["permissions"] = str(int(channel.rights_of(person.id)))
        body.pop("permission_overwrites", None)
    return body


def _place(channel: Channel, person: User) -> Json:
    guild = channel.guild
    if guild is None:
        return {
            "user": payloads.user(person),
            "context": IN_DIRECT_MESSAGE,
            "authorizing_integration_owners": {"0": "0"},
        }
    return {
        "guild_id": str(guild.id),
        "guild": {"id": str(guild.id), "locale": guild.preferred_locale, "features": guild.features},
        "guild_locale": guild.preferred_locale,
        "member": payloads.acting_member(channel, person),
        "context": IN_GUILD,
        "authorizing_integration_owners": {"0": str(guild.id)},
    }
