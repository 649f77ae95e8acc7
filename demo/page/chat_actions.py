"""The page's actions in the chat: messages, commands, buttons and menus of people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.discord import InteractionFailed, Message, Person

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sandbox.bot_environment import BotEnvironment
    from sandbox.discord import Channel

Json = dict[str, Any]
_MAX_LENGTH = 2000


class ChatActions:
    def __init__(self, env: BotEnvironment) -> None:
        self._world = env.discord.world

    def table(self) -> dict[str, Callable[[Json], Awaitable[object]]]:
        return {
            "say": self.say,
            "delete message": self.delete,
            "slash": self.slash,
            "autocomplete": self.autocomplete,
            "message command": self.message_command,
            "press": self.press,
        }

    async def say(self, params: Json) -> str:
        person, channel, text = self._person(params), self._channel(params), str(params["text"]).strip()
        if not channel.rights_of(person.id) & channel.sending_right:
            raise ValueError("You do not have permission to send messages in this channel.")
        if not 1 <= len(text) <= _MAX_LENGTH:
            raise ValueError(f"A message has 1 to {_MAX_LENGTH} characters.")
        return str(person.say(channel, text).id)

    async def delete(self, params: Json) -> None:
        self._person(params).delete(self._message(params))

    async def slash(self, params: Json) -> None:
        options = {str(name): value for name, value in params["options"].items()}
        await _or_failed(self._person(params).slash(self._channel(params), str(params["command"]), **options))

    async def autocomplete(self, params: Json) -> list[Json]:
        typed = {str(name): str(value) for name, value in params["options"].items()}
        choices = await self._person(params).autocomplete(
            self._channel(params), str(params["command"]), focused=str(params["focused"]), **typed
        )
        return [{"name": name, "value": value} for name, value in choices]

    async def message_command(self, params: Json) -> None:
        await _or_failed(self._person(params).message_command(self._message(params), str(params["command"])))

    async def press(self, params: Json) -> None:
        await _or_failed(self._person(params).press(self._message(params), str(params["button"])))

    def _person(self, params: Json) -> Person:
        match self._world.users.get(int(params["person"])):
            case Person() as found:
                return found
        raise ValueError("there is no such person")

    def _channel(self, params: Json) -> Channel:
        found = self._world.channels.get(int(params["channel"]))
        if found is None or found.deleted:
            raise ValueError("This channel has been deleted.")
        return found

    def _message(self, params: Json) -> Message:
        found = self._world.messages.get(int(params["message"]))
        if found is None or found.deleted or found.channel.deleted:
            raise ValueError("This message has been deleted.")
        return found


async def _or_failed(interaction: Awaitable[object]) -> None:
    """Await an interaction. Raises InteractionFailed also when the bot stays at "is thinking…"."""
    try:
        await interaction
    except TimeoutError:
        raise InteractionFailed("The application did not respond") from None
