"""What people do in the chat, asked for by the page: commands, buttons, menus, messages of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.discord import InteractionFailed, Message, Person

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sandbox.bot_environment import BotEnvironment
    from sandbox.discord import Channel

Json = dict[str, Any]
_LONGEST = 2000


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

    async def say(self, wish: Json) -> str:
        person, channel, text = self._person(wish), self._channel(wish), str(wish["text"]).strip()
        if not channel.rights_of(person.id) & channel.sending_right:
            raise ValueError("You do not have permission to send messages in this channel.")
        if not 1 <= len(text) <= _LONGEST:
            raise ValueError(f"A message has 1 to {_LONGEST} characters.")
        return str(person.say(channel, text).id)

    async def delete(self, wish: Json) -> None:
        self._person(wish).delete(self._message(wish))

    async def slash(self, wish: Json) -> None:
        options = {str(name): value for name, value in wish["options"].items()}
        await _patiently(self._person(wish).slash(self._channel(wish), str(wish["command"]), **options))

    async def autocomplete(self, wish: Json) -> list[Json]:
        typed = {str(name): str(value) for name, value in wish["options"].items()}
        choices = await self._person(wish).autocomplete(
            self._channel(wish), str(wish["command"]), focused=str(wish["focused"]), **typed
        )
        return [{"name": name, "value": value} for name, value in choices]

    async def message_command(self, wish: Json) -> None:
        await _patiently(self._person(wish).message_command(self._message(wish), str(wish["command"])))

    async def press(self, wish: Json) -> None:
        await _patiently(self._person(wish).press(self._message(wish), str(wish["button"])))

    def _person(self, wish: Json) -> Person:
        match self._world.users.get(int(wish["person"])):
            case Person() as found:
                return found
        raise ValueError("there is no such person")

    def _channel(self, wish: Json) -> Channel:
        found = self._world.channels.get(int(wish["channel"]))
        if found is None or found.deleted:
            raise ValueError("This channel has been deleted.")
        return found

    def _message(self, wish: Json) -> Message:
        found = self._world.messages.get(int(wish["message"]))
        if found is None or found.deleted or found.channel.deleted:
            raise ValueError("This message has been deleted.")
        return found


async def _patiently(interaction: Awaitable[object]) -> None:
    """A bot that says "thinking" and then nothing is a failed interaction to whoever waits."""
    try:
        await interaction
    except TimeoutError:
        raise InteractionFailed("The application did not respond") from None
