"""A model of Discord, and the messenger over it. The stand-in passes the same contract test.

What it knows: nonces with their window, histories in which a message appears late, rights, threads, limits,
people who take no direct messages.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from bot.chat import history
from bot.chat.discord_answers import Call, DiscordAnswer, react
from bot.core.clock import MINUTE, SECOND
from bot.core.errors import DiscordRefused, DiscordUnavailable
from bot.core.problems import Problem
from bot.core.reactions import Reaction
from bot.core.results import LookUp, ReadRange, ResultMessage, private_nonce
from bot.core.tasks import CardView, Delivery
from tests.explore.loop import PROCESS, Process
from tests.explore.schedule import World

VIEW, SEND, ATTACH, HISTORY = 1, 2, 4, 8
ALL = VIEW | SEND | ATTACH | HISTORY
NONCE_WINDOW = 5 * MINUTE
# A new message is missing from the history for so long.
APPEARS_AFTER = 8 * SECOND
_CLOCK_SKEW = 2 * MINUTE
_LATER = (Reaction.PASSING, Reaction.ODD)


class Refused(Exception):
    """An answer with an error's status and code."""

    def __init__(self, status: int, code: int = 0) -> None:
        super().__init__(f"{status} {code}")
        self.status, self.code = status, code


class Lost(Exception):
    """The connection broke before an answer came."""


@dataclass(slots=True)
class Message:
    id: int
    channel_id: int
    at: int
    kind: str  # result, direct, card, other
    nonce: str | None = None
    delivery: tuple[int, str] | None = None  # its row's number and stored nonce, as its button carries them
    ids: tuple[str, ...] = ()  # the tasks that it names
    has_file: bool = False
    mentions: tuple[int, ...] = ()
    view: CardView | None = None
    is_deleted: bool = False
    handed_at: int = 0  # when the process decided to send it
    process: Process | None = None  # that sent it


@dataclass(slots=True)
class Channel:
    id: int
    rights: int = ALL
    limit: int = 1_000_000  # bytes of a file
    parent_id: int | None = None
    is_gone: bool = False
    is_down: bool = False  # Discord answers 503 to everything there
    is_archived: bool = False
    is_locked: bool = False
    takes_direct: bool = True
    seconds: float = 0.0  # that an upload takes
    refuses: Callable[["Content"], Refused | None] = lambda _: None
    messages: list[Message] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Content:
    """What is sent: `size` of its file, None without one; `words`: it holds text from outside."""

    kind: str
    nonce: str | None = None
    delivery: tuple[int, str] | None = None
    ids: tuple[str, ...] = ()
    size: int | None = None
    words: bool = False
    mentions: tuple[int, ...] = ()
    view: CardView | None = None
    handed_at: int = 0
    process: Process | None = None


class Discord:
    """Its REST side. `now` in UTC milliseconds; every method answers at once or raises Refused."""

    def __init__(self, now: Callable[[], int], on_nonce: Callable[[], object] = lambda: None) -> None:
        self._now = now
        self.on_nonce = on_nonce
        self._channels: dict[int, Channel] = {}
        self._nonces: dict[str, Message] = {}
        self._number = 0

    def channel(self, channel_id: int) -> Channel:
        """By its number; a person's direct channel has the person's number."""
        return self._channels.setdefault(channel_id, Channel(channel_id))

    def messages(self, kind: str) -> list[Message]:
        return [m for channel in self._channels.values() for m in channel.messages if m.kind == kind]

    def create(self, channel_id: int, content: Content) -> Message:
        channel = self._visible(channel_id)
        if not channel.takes_direct:
            raise Refused(403, 50007)
        if not channel.rights & SEND or (content.size is not None and not channel.rights & ATTACH):
            raise Refused(403, 50013)
        if channel.is_archived and channel.is_locked:
            raise Refused(400, 50083)
        earlier = self._nonces.get(content.nonce or "")
        if earlier is not None and self._now() - earlier.at < NONCE_WINDOW:
            self.on_nonce()
            if earlier.is_deleted:
                raise Refused(404, 10008)
            return earlier
        if content.size is not None and content.size > channel.limit:
            raise Refused(413, 40005)
        if (refusal := channel.refuses(content)) is not None:
            raise refusal
        return self._add(channel, content)

    def _add(self, channel: Channel, content: Content) -> Message:
        self._number += 1
        message = Message(
            history.snowflake(self._now()) + self._number,
            channel.id,
            self._now(),
            content.kind,
            content.nonce,
            content.delivery,
            content.ids,
            content.size is not None,
            content.mentions,
            content.view,
            handed_at=content.handed_at,
            process=content.process,
        )
        channel.messages.append(message)
        channel.is_archived = False
        if content.nonce is not None:
            self._nonces[content.nonce] = message
        return message

    def say(self, channel_id: int, count: int = 1) -> None:
        """Messages of other people."""
        for _ in range(count):
            self._add(self.channel(channel_id), Content("other"))

    def page(self, channel_id: int, before: int | None) -> list[dict[str, Any]]:
        """Newest first, as far as they have appeared; an empty one where the history is hidden."""
        channel = self._visible(channel_id)
        if not channel.rights & HISTORY:
            return []
        seen = [m for m in channel.messages if not m.is_deleted and self._now() - m.at >= APPEARS_AFTER]
        older = [m for m in seen if before is None or m.id < before]
        return [{"id": m.id, "message": m} for m in older[-history.PAGE :][::-1]]

    def edit(self, channel_id: int, message_id: int, view: CardView) -> None:
        channel = self._visible(channel_id)
        message = next((m for m in channel.messages if m.id == message_id and not m.is_deleted), None)
        if message is None:
            raise Refused(404, 10008)
        if channel.is_archived:
            raise Refused(400, 50083)
        message.view = view

    def parent(self, channel_id: int) -> int | None:
        return self._visible(channel_id).parent_id

    def _visible(self, channel_id: int) -> Channel:
        channel = self.channel(channel_id)
        if channel.is_down:
            raise Refused(503)
        if channel.is_gone:
            raise Refused(404, 10003)
        if not channel.rights & VIEW:
            raise Refused(403, 50001)
        return channel


def nonce_of(delivery: Delivery) -> str:
    """The one that is stored, in every attempt."""
    return delivery.nonce


def _marked(kind: str, mark: tuple[int, str]) -> Callable[[Message], bool]:
    return lambda message: message.kind == kind and message.delivery == mark


class UploadLimits:
    """In memory, as the product's: half of what was refused is tried next."""

    def __init__(self) -> None:
        self.limit = 1_000_000
        self.learnt = 0

    def refuse(self, size: int) -> None:
        self.limit = min(self.limit, size // 2)
        self.learnt += 1


class Messenger:
    """Does what `bot.chat.messenger` does, each call as one numbered step."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._discord: Discord = world.discord
        self._limits = UploadLimits()

    async def post(self, result: ResultMessage, *, not_after: float) -> int | None:
        delivery, video = result.due.delivery, result.attachment
        content = Content(
            "result",
            nonce_of(delivery),
            (delivery.id, delivery.nonce),
            (result.due.task.id, *result.shared_ids),
            None if video is None else video.size,
            not result.is_bare,
            (delivery.requester_id, *result.due.watchers),
        )
        try:
            message = await self._create(result.channel_id, content, not_after, delivery.id)
        except DiscordRefused as error:
            if error.reaction is Reaction.MESSAGE_GONE:
                return None
            if error.reaction is Reaction.TOO_LARGE and video is not None:
                self._limits.refuse(video.size)
                self._world.count("a 413 learnt")
            raise
        if message.channel_id != result.channel_id:
            raise DiscordUnavailable("a message of another channel", reaction=Reaction.ODD)
        return message.id

    async def _create(self, channel_id: int, content: Content, not_after: float, about: object) -> Message:
        if self._world.loop.time() > not_after:
            raise DiscordUnavailable("the call waited for too long to be made")
        content = replace(content, handed_at=self._world.now(), process=PROCESS.get())
        call = Call.TEXT if content.size is None else Call.UPLOAD
        act = lambda: self._discord.create(channel_id, content)  # noqa: E731
        lasts = 0.0 if content.size is None else self._discord.channel(channel_id).seconds
        message: Message = await self._call(f"{call} {content.kind}", act, call, about, lasts)
        return message

    async def _call(
        self, what: str, act: Callable[[], Any], call: Call, about: object = None, lasts: float = 0.0
    ) -> Any:
        try:
            return await self._world.effect(f"discord: {what}", act, about=about, lasts=lasts)
        except Refused as refused:
            answer = DiscordAnswer(refused.status, refused.code, {"Via": "1.1 google"})
            reaction, problem = react(answer, call)
            if reaction in _LATER:
                raise DiscordUnavailable(str(refused), reaction=reaction) from refused
            raise DiscordRefused(reaction, problem) from refused
        except Lost as lost:
            raise DiscordUnavailable("no answer from Discord") from lost

    async def find(self, result: ResultMessage, *, since: int) -> LookUp:
        delivery = result.due.delivery
        is_own_channel = result.channel_id == delivery.channel_id
        read = None
        if is_own_channel and delivery.read_newest is not None and delivery.read_oldest is not None:
            read = ReadRange(delivery.read_newest, delivery.read_oldest)
        mark = (delivery.id, delivery.nonce)
        is_it = _marked("result", mark)
        found = await self._look_up(result.channel_id, is_it, since, read, about=delivery.id)
        return found if is_own_channel else replace(found, read=None)

    async def _look_up(
        self,
        channel_id: int,
        is_it: Callable[[Message], bool],
        since: int,
        read: ReadRange | None = None,
        about: object = None,
    ) -> LookUp:
        async def page(before: int | None) -> Any:
            return await self._call(
                "history", lambda: self._discord.page(channel_id, before), Call.READ, about
            )

        def is_ours(found: Any) -> bool:
            return is_it(found["message"])

        now = self._world.now()
        try:
            found = await history.look_up(page, is_ours, since=since - _CLOCK_SKEW, now=now, read=read)
        except DiscordRefused:
            return LookUp()
        if found.message_id is not None:
            self._world.count("a look-up that found it")
        return found

    async def send_privately(
        self, result: ResultMessage, why: Problem, *, since: int | None, not_after: float
    ) -> None:
        delivery, video = result.due.delivery, result.attachment
        person, mark = delivery.requester_id, (delivery.id, delivery.nonce)
        if since is not None:
            found = await self._look_up(person, _marked("direct", mark), since, about=delivery.id)
            if found.message_id is not None:
                return
        ids = (result.due.task.id, *result.shared_ids)
        size = None if video is None else video.size
        content = Content("direct", private_nonce(delivery.nonce), mark, ids, size)
        try:
            await self._create(person, content, not_after, delivery.id)
            self._world.count("a direct message told")
        except DiscordRefused as error:
            if error.reaction is not Reaction.MESSAGE_GONE:
                raise

    async def parent_of(self, thread_id: int) -> int | None:
        try:
            found: int | None = await self._call(
                "channel", lambda: self._discord.parent(thread_id), Call.READ
            )
        except DiscordRefused:
            return None
        return found

    async def upload_limit(self, guild_id: int, wanted: int) -> int:
        return self._limits.limit

    def rights_in(self, guild_id: int, channel_id: int) -> int | None:
        return self._discord.channel(channel_id).rights

    def may_send_text(self, guild_id: int, channel_id: int) -> bool:
        return bool(self._discord.channel(channel_id).rights & SEND)

    async def edit_card(self, view: CardView) -> None:
        channel_id, message_id = view.card.channel_id, view.card.message_id
        if message_id is not None:
            await self._call("edit card", lambda: self._discord.edit(channel_id, message_id, view), Call.EDIT)

    async def find_card(self, view: CardView) -> int | None:
        def is_it(message: Message) -> bool:
            return (
                message.kind == "card" and message.view is not None and message.view.card.id == view.card.id
            )

        since = view.rows[0].delivery.created_at if view.rows else self._world.now()
        return (await self._look_up(view.card.channel_id, is_it, since)).message_id

    async def post_card(self, view: CardView) -> int:
        content = Content("card", view=view)
        message = await self._create(view.card.channel_id, content, float("inf"), None)
        return message.id
