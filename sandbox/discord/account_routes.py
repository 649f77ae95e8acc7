"""REST routes of the bot's account: application, commands, gateway, guilds, direct channels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.discord import channel_payload, command_locales, errors, payloads
from sandbox.discord.endpoint import Answer, Call, Endpoint
from sandbox.discord.permissions import Right

if TYPE_CHECKING:
    from sandbox.discord.commands import Commands
    from sandbox.discord.world import Guild, World

_COMMANDS = "/applications/{application_id}/commands"
_GUILD_COMMANDS = "/applications/{application_id}/guilds/{guild_id}/commands"


class AccountRoutes:
    def __init__(self, world: World, commands: Commands) -> None:
        self._world = world
        self._commands = commands
        self.gateway_url = ""
        self.shards = 1
        self.session_starts = {"total": 1000, "remaining": 999, "reset_after": 0, "max_concurrency": 1}

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("GET", "/users/@me", self.me),
            Endpoint("POST", "/users/@me/channels", self.direct_channel),
            Endpoint("GET", "/oauth2/applications/@me", self.application),
            Endpoint("GET", "/applications/@me", self.application),
            Endpoint("GET", "/gateway", self.gateway, needs_token=False),
            Endpoint("GET", "/gateway/bot", self.gateway_for_bots),
            Endpoint("GET", _COMMANDS, self.commands),
            Endpoint("PUT", _COMMANDS, self.register),
            Endpoint("GET", _GUILD_COMMANDS, self.commands),
            Endpoint("PUT", _GUILD_COMMANDS, self.register),
            Endpoint("GET", "/guilds/{guild_id}", self.guild),
            Endpoint("GET", "/guilds/{guild_id}/channels", self.guild_channels),
            Endpoint("GET", "/guilds/{guild_id}/members/{user_id}", self.member),
        ]

    def me(self, _: Call) -> Answer:
        return Answer(payloads.own_user(self._world.bot))

    def application(self, _: Call) -> Answer:
        return Answer(payloads.application(self._world))

    def gateway(self, _: Call) -> Answer:
        return Answer({"url": self.gateway_url})

    def gateway_for_bots(self, _: Call) -> Answer:
        return Answer(
            {"url": self.gateway_url, "shards": self.shards, "session_start_limit": self.session_starts}
        )

    def commands(self, call: Call) -> Answer:
        """The commands, with all their translations only if the query asks for them."""
        registered = self._commands.registered(self._scope(call))
        if call.request.query.get("with_localizations", "").lower() in ("1", "true"):
            return Answer([command_locales.whole(each) for each in registered])
        return Answer([command_locales.listed(each, self._world.bot.locale) for each in registered])

    def register(self, call: Call) -> Answer:
        registered = self._commands.register(self._scope(call), call.payload or [])
        return Answer([command_locales.whole(each) for each in registered])

    def _scope(self, call: Call) -> int | None:
        """None for the global commands, otherwise the guild's id. Raises Refusal."""
        if call.number("application_id") != self._world.bot.id:
            raise errors.missing_access()
        if "guild_id" not in call.params:
            return None
        guild = self._world.guilds.get(call.number("guild_id"))
        if guild is None or not guild.app_installed:
            raise errors.missing_access()
        return guild.id

    def guild(self, call: Call) -> Answer:
        return Answer(payloads.guild(self._guild(call)))

    def guild_channels(self, call: Call) -> Answer:
        return Answer(
            [
                channel_payload.channel(each)
                for each in self._guild(call).channels
                if not each.is_thread and each.rights_of(self._world.bot.id) & Right.VIEW_CHANNEL
            ]
        )

    def member(self, call: Call) -> Answer:
        guild, user = self._guild(call), self._world.users.get(call.number("user_id"))
        if user is None or user.id not in guild.members:
            raise errors.unknown_user()
        return Answer(payloads.member(guild, user))

    def _guild(self, call: Call) -> Guild:
        guild = self._world.guilds.get(call.number("guild_id"))
        if guild is None or not guild.bot_member:
            raise errors.unknown_guild()
        return guild

    def direct_channel(self, call: Call) -> Answer:
        user = self._world.users.get(int(call.payload["recipient_id"]))
        if user is None or user.is_bot:
            raise errors.unknown_user()
        return Answer(channel_payload.channel(self._world.direct_channel(user)))
