"""The state of the stand-in: guilds, channels and messages. Plain objects, no HTTP.

Add a function to `World.listeners` to be called with a `Change` after each change. The gateway does so, and
the page that draws the channels. The four classes refer to each other, so they are defined together.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from sandbox.discord import locales
from sandbox.discord.changes import Announcer
from sandbox.discord.message_data import MessageData
from sandbox.discord.permissions import (
    EVERYDAY,
    EVERYTHING,
    IN_DIRECT_MESSAGES,
    NOTHING,
    Overwrite,
    Right,
    allowed_in_channel,
    rights,
)
from sandbox.discord.snowflakes import Snowflakes
from sandbox.discord.upload_limits import DEFAULT_UPLOAD_LIMIT, UPLOAD_LIMITS
from sandbox.discord.user import User

if TYPE_CHECKING:
    from sandbox.discord.message_parts import Attachment

Kind = Literal["text", "voice", "news", "forum", "thread", "dm"]


class World(Announcer):
    def __init__(self) -> None:
        super().__init__()
        self.snowflakes = Snowflakes()
        self.users: dict[int, User] = {}
        self.guilds: dict[int, Guild] = {}
        self.channels: dict[int, Channel] = {}
        self.messages: dict[int, Message] = {}
        self.attachments: dict[int, Attachment] = {}
        self.bot = User(self.snowflakes.next(), "veo-courier", is_bot=True)
        self.users[self.bot.id] = self.bot

    def add_user(self, user: User) -> None:
        self.users[user.id] = user
        self.announce("user added", user)

    def add_guild(
        self, name: str, *, premium_tier: int = 0, bot_member: bool = True, shard: tuple[int, int] = (0, 1)
    ) -> Guild:
        """`shard` is (shard id, number of shards): the guild gets an id that belongs to that shard."""
        guild = Guild(self, name, self.snowflakes.next_in(*shard), premium_tier=premium_tier)
        self.guilds[guild.id] = guild
        if bot_member:
            guild.members[self.bot.id] = EVERYDAY
        self.announce("guild added", guild)
        return guild

    def add_channel(self, channel: Channel) -> Channel:
        self.channels[channel.id] = channel
        if channel.guild is not None:
            channel.guild.channels.append(channel)
        self.announce("channel added", channel)
        return channel

    def direct_channel(self, user: User) -> Channel:
        for channel in self.channels.values():
            if channel.recipient is user:
                return channel
        return self.add_channel(Channel(self, name="", kind="dm", recipient=user))

    def post(self, message: Message) -> Message:
        self.messages[message.id] = message
        self.attachments.update((file.id, file) for file in message.attachments)
        message.channel.posts.append(message)
        self.announce("message posted", message)
        return message

    def delete_message(self, message: Message) -> None:
        message.deleted = True
        self.announce("message deleted", message)


class Guild:
    def __init__(self, world: World, name: str, guild_id: int, *, premium_tier: int = 0) -> None:
        self.world = world
        self.id = guild_id
        self.name = name
        self.channels: list[Channel] = []
        self.members: dict[int, Right] = {}
        self.owner_id = world.snowflakes.next()
        self.bot_role_id = world.snowflakes.next()
        self.app_installed = True
        self.unavailable = False
        self.upload_limit_override: int | None = None
        self._premium_tier = premium_tier
        self._preferred_locale = locales.DEFAULT

    @property
    def bot_member(self) -> bool:
        return self.world.bot.id in self.members

    @property
    def premium_tier(self) -> int:
        return self._premium_tier

    @premium_tier.setter
    def premium_tier(self, tier: int) -> None:
        self._premium_tier = tier
        self.world.announce("guild changed", self)

    @property
    def preferred_locale(self) -> str:
        """The server's language, such as "zh-CN". Only a community server has another one than en-US."""
        return self._preferred_locale

    @preferred_locale.setter
    def preferred_locale(self, locale: str) -> None:
        self._preferred_locale = locale
        self.world.announce("guild changed", self)

    @property
    def features(self) -> list[str]:
        return [] if self._preferred_locale == locales.DEFAULT else ["COMMUNITY"]

    @property
    def upload_limit(self) -> int:
        """Bytes per attachment: the premium tier's limit, unless a number was assigned."""
        if self.upload_limit_override is not None:
            return self.upload_limit_override
        return UPLOAD_LIMITS.get(self._premium_tier, DEFAULT_UPLOAD_LIMIT)

    @upload_limit.setter
    def upload_limit(self, size: int | None) -> None:
        self.upload_limit_override = size

    def rights_of(self, user_id: int) -> Right:
        return self.members.get(user_id, NOTHING)

    def join(self, user: User, permissions: int | None = None, **changes: bool) -> None:
        """Make this user a member with `permissions` or EVERYDAY, changed by `manage_messages=True` etc."""
        total = EVERYDAY if permissions is None else Right(permissions)
        for name, given in changes.items():
            total = total | rights(name) if given else total & ~rights(name)
        self.members[user.id] = total & EVERYTHING
        self.world.announce("member joined", self)
        if user is self.world.bot:
            self.app_installed = True
            self.world.announce("guild added", self)

    def add_channel(self, name: str, kind: Kind = "text") -> Channel:
        return self.world.add_channel(Channel(self.world, name=name, kind=kind, guild=self))

    async def remove_bot(self) -> None:
        """Kick the bot: it loses its rights, its commands and its view of the guild."""
        self.members.pop(self.world.bot.id, None)
        self.app_installed = False
        self.world.announce("bot removed", self)

    async def outage(self) -> None:
        self.unavailable = True
        self.world.announce("guild out", self)

    async def recover(self) -> None:
        self.unavailable = False
        self.world.announce("guild back", self)


@dataclass(eq=False)
class Channel:
    world: World = field(repr=False)
    name: str
    kind: Kind = "text"
    guild: Guild | None = field(default=None, repr=False)
    parent: Channel | None = field(default=None, repr=False)
    recipient: User | None = None
    id: int = 0
    posts: list[Message] = field(default_factory=list, repr=False)
    """Every message ever posted here, including deleted and ephemeral ones."""
    overwrites: dict[int, Overwrite] = field(default_factory=dict, repr=False)
    private: bool = False
    """Whether only its members, and members of the guild with MANAGE_THREADS, see this thread."""
    thread_members: dict[int, datetime] = field(default_factory=dict, repr=False)
    """When each member of a thread came in, by user id; a new thread has none."""
    deleted: bool = False
    _archived: bool = False
    _locked: bool = False

    def __post_init__(self) -> None:
        self.id = self.world.snowflakes.next()

    @property
    def is_thread(self) -> bool:
        return self.kind == "thread"

    @property
    def root(self) -> Channel:
        """The channel whose overwrites count: a thread's parent."""
        return self.parent or self

    @property
    def upload_limit(self) -> int:
        return DEFAULT_UPLOAD_LIMIT if self.guild is None else self.guild.upload_limit

    @property
    def archived(self) -> bool:
        return self._archived

    @archived.setter
    def archived(self, value: bool) -> None:
        self._archived = value
        self.world.announce("channel changed", self)

    @property
    def locked(self) -> bool:
        return self._locked

    @locked.setter
    def locked(self, value: bool) -> None:
        self._locked = value
        self.world.announce("channel changed", self)

    @property
    def messages(self) -> list[Message]:
        """The messages that everybody in the channel sees, oldest first, without "is thinking…"."""
        return [post for post in self.posts if post.visible and not post.ephemeral]

    def seen_by(self, user: User) -> list[Message]:
        return [post for post in self.posts if post.visible and post.only_for in (None, user.id)]

    def rights_of(self, user_id: int) -> Right:
        """What this member may do here."""
        if self.guild is None:
            return IN_DIRECT_MESSAGES
        overwrite = self.root.overwrites.get(user_id, Overwrite())
        return allowed_in_channel(self.guild.rights_of(user_id), overwrite, self.sending_right)

    @property
    def sending_right(self) -> Right:
        """The right that sending needs here; threads have another one than channels."""
        return Right.SEND_MESSAGES_IN_THREADS if self.is_thread else Right.SEND_MESSAGES

    def is_visible_to(self, user_id: int) -> bool:
        """Whether this user sees the channel. A private thread needs membership or MANAGE_THREADS as well."""
        if self.guild is None:
            return True
        allowed = self.rights_of(user_id)
        outside = self.private and user_id not in self.thread_members
        needed = Right.VIEW_CHANNEL | (Right.MANAGE_THREADS if outside else NOTHING)
        return allowed & needed == needed

    def add_thread(self, name: str, *, private: bool = False) -> Channel:
        thread = Channel(self.world, name=name, kind="thread", guild=self.guild, parent=self, private=private)
        return self.world.add_channel(thread)

    def add_member(self, user: User) -> None:
        """Make this user, who may be the bot, a member of the thread."""
        if user.id not in self.thread_members:
            self.thread_members[user.id] = datetime.now(UTC)
            self.world.announce("bot joined" if user is self.world.bot else "person joined", self)

    def remove_member(self, user: User) -> None:
        """Take this user, who may be the bot, out of the thread."""
        if self.thread_members.pop(user.id, None) is not None:
            self.world.announce("bot left" if user is self.world.bot else "person left", self)

    def deny(self, user: User, *names: str) -> None:
        before = self.root.overwrites.get(user.id, Overwrite())
        taken = rights(*names)
        self._overwrite(user, Overwrite(before.allow & ~taken, before.deny | taken))

    def allow(self, user: User, *names: str) -> None:
        before = self.root.overwrites.get(user.id, Overwrite())
        given = rights(*names)
        self._overwrite(user, Overwrite(before.allow | given, before.deny & ~given))

    def _overwrite(self, user: User, overwrite: Overwrite) -> None:
        self.root.overwrites[user.id] = overwrite
        self.world.announce("channel changed", self.root)

    async def delete(self) -> None:
        """Delete the channel and, as Discord does, every thread below it."""
        self.deleted = True
        if self.guild is not None:
            for thread in [each for each in self.guild.channels if each.parent is self]:
                thread.deleted = True
                self.guild.channels.remove(thread)
            self.guild.channels.remove(self)
        self.world.announce("channel deleted", self)


@dataclass(slots=True, eq=False, kw_only=True)
class Message(MessageData):
    channel: Channel = field(repr=False)
    forwarded: Message | None = field(default=None, repr=False)
    """The message that this one shows as forwarded; people read its text without opening it."""

    @property
    def channel_id(self) -> int:
        return self.channel.id
