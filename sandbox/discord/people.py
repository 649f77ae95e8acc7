"""People: a test acts as a user, with the same interactions that a Discord client would send."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.discord import interactions, locales, message_payload, options
from sandbox.discord.commands import MESSAGE_MENU
from sandbox.discord.components import BUTTON, walk
from sandbox.discord.mentions import mentioned_users
from sandbox.discord.permissions import Right
from sandbox.discord.user import User
from sandbox.discord.world import Message

if TYPE_CHECKING:
    from sandbox.discord.commands import Commands
    from sandbox.discord.interactions import Interaction, Interactions
    from sandbox.discord.message_parts import Json
    from sandbox.discord.record import Record
    from sandbox.discord.world import Channel, World

MAX_CHOICES = 25


@dataclass(frozen=True, slots=True, eq=False)
class Reply:
    """The result of an interaction, as the person sees it."""

    interaction: Interaction

    @property
    def message(self) -> Message | None:
        """The bot's answer; for a button that only updates, the message with the button."""
        return None if self.interaction.original_deleted else self.interaction.original

    @property
    def text(self) -> str:
        """The text of `message`; empty when there is none."""
        return "" if self.message is None else self.message.text

    @property
    def followups(self) -> list[Message]:
        return self.interaction.followups

    @property
    def acknowledged_after(self) -> float:
        """Seconds from the interaction to its acknowledgement."""
        assert self.interaction.callback_at is not None
        return self.interaction.callback_at - self.interaction.began

    @property
    def ephemeral(self) -> bool:
        return self.message is not None and self.message.ephemeral

    @property
    def deferred(self) -> bool:
        deferrals = (interactions.DEFER, interactions.DEFER_UPDATE)
        return self.interaction.callback_type in deferrals

    @property
    def modal(self) -> Json | None:
        is_modal = self.interaction.callback_type == interactions.MODAL
        return self.interaction.callback_data if is_modal else None


@dataclass(frozen=True, slots=True)
class Connections:
    """The parts of the server that a person acts through."""

    world: World
    commands: Commands
    interactions: Interactions
    record: Record


class Person(User):
    def __init__(self, name: str, connections: Connections, locale: str = locales.DEFAULT) -> None:
        super().__init__(connections.world.snowflakes.next(), name, locale=locale)
        self._server = connections
        self.patience = 10.0
        """Seconds for which this person waits at "is thinking…"; then the action raises TimeoutError."""

    def sees(self, channel: Channel) -> list[Message]:
        """The channel's messages that this person sees, including their own ephemeral ones."""
        return channel.seen_by(self)

    @property
    def direct_channel(self) -> Channel:
        return self._server.world.direct_channel(self)

    def say(self, channel: Channel, content: str) -> Message:
        """Write a message. A private thread gets the users whom it mentions as members."""
        world = self._server.world
        for user_id in mentioned_users(content) if channel.private else ():
            channel.add_member(world.users[user_id])
        return world.post(
            Message(id=world.snowflakes.next(), channel=channel, author_id=self.id, sent_content=content)
        )

    def forward(self, message: Message, channel: Channel) -> Message:
        """Forward a message to a channel."""
        world = self._server.world
        return world.post(
            Message(id=world.snowflakes.next(), channel=channel, author_id=self.id, forwarded=message)
        )

    def delete(self, message: Message) -> None:
        """Delete a message, as its author or with Manage Messages; otherwise raises ValueError."""
        allowed = message.channel.rights_of(self.id)
        if message.author_id != self.id and not allowed & Right.MANAGE_MESSAGES:
            raise ValueError(f"{self.name} may not delete this message")
        self._server.world.delete_message(message)

    async def slash(self, channel: Channel, command: str, /, **chosen: object) -> Reply:
        """Run a registered command. Raises ValueError when a client would not send it."""
        part, slots, data = self._server.commands.invocation(command, channel, self)
        slots.extend(options.filled(part, chosen))
        if found := options.resolved(chosen):
            data["resolved"] = found
        return await self._interact(interactions.COMMAND, channel, data)

    async def autocomplete(
        self, channel: Channel, command: str, /, *, focused: str, **typed: object
    ) -> list[tuple[str, Any]]:
        """The choices that the bot offers for the focused option, as (name, value)."""
        part, slots, data = self._server.commands.invocation(command, channel, self)
        slots.extend(options.filled(part, {focused: "", **typed}, focused=focused))
        answered = await self._server.interactions.start(interactions.AUTOCOMPLETE, self, channel, data)
        choices = answered.callback_data.get("choices") or []
        if len(choices) > MAX_CHOICES:
            self._server.record.surprise(f"{len(choices)} autocomplete choices")
        return [(choice["name"], choice["value"]) for choice in choices]

    async def message_command(self, message: Message, name: str) -> Reply:
        """Choose an entry of a message's context menu, by its name or by its translation for this person."""
        channel = message.channel
        command = self._server.commands.find(name, MESSAGE_MENU, channel, self)
        data: Json = {
            "id": command["id"],
            "name": command["name"],
            "type": MESSAGE_MENU,
            "target_id": str(message.id),
            "resolved": {"messages": {str(message.id): message_payload.message(message)}},
        }
        if "guild_id" in command:
            data["guild_id"] = command["guild_id"]
        return await self._interact(interactions.COMMAND, channel, data, by_menu=True)

    async def press(self, message: Message, button: str) -> Reply:
        """Press the button with this label or custom id, at any depth of the components.

        Raises ValueError when it cannot be pressed.
        """
        part = self._pressable(message, button)
        data: Json = {"component_type": BUTTON, "custom_id": part["custom_id"], "id": part["id"]}
        return await self._interact(interactions.COMPONENT, message.channel, data, pressed=message)

    def _pressable(self, message: Message, wanted: str) -> Json:
        if message not in self.sees(message.channel):
            raise ValueError(f"{self.name} does not see this message")
        shown = [part for part in walk(message.components) if part["type"] == BUTTON]
        for part in shown:
            if wanted in (part.get("label"), part.get("custom_id")):
                if part.get("disabled") or not part.get("custom_id"):
                    raise ValueError(f"button {wanted!r} is disabled or a link")
                return part
        raise ValueError(f"no button {wanted!r}; there are {[each.label for each in message.buttons]}")

    async def _interact(
        self,
        kind: int,
        channel: Channel,
        data: Json,
        *,
        pressed: Message | None = None,
        by_menu: bool = False,
    ) -> Reply:
        interaction = await self._server.interactions.start(
            kind, self, channel, data, pressed=pressed, by_menu=by_menu
        )
        if interaction.callback_type == interactions.DEFER:
            await self._server.record.until(lambda: _was_answered(interaction), self.patience)
        return Reply(interaction)


def _was_answered(interaction: Interaction) -> bool:
    original = interaction.original
    return original is not None and (original.deleted or not original.loading)
