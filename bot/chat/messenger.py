"""Posts result messages and cards by channel id, with the delivery's nonce, and finds them again."""

import logging
import os
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import aiohttp
import discord
from discord.http import MultipartParameters, Route, handle_message_parameters

from bot.chat.buttons import marks
from bot.chat.buttons.results import direct_buttons, result_buttons
from bot.chat.discord_answers import Call
from bot.chat.gateway.shards import ShardedClient
from bot.chat.history import MAX_PAGES, PAGE, look_up
from bot.chat.lanes import Lane
from bot.chat.layouts import card_layout
from bot.chat.outbound import Outbound, Repeated
from bot.chat.permissions import computed_rights, may_send_text
from bot.chat.responses import describe_error
from bot.chat.texts import results
from bot.chat.texts.language import translator
from bot.chat.upload_limits import DEFAULT, UploadLimits
from bot.core.clock import MINUTE, Clock
from bot.core.errors import DiscordRefused, DiscordUnavailable
from bot.core.problems import Problem
from bot.core.rate_limit import Limiter
from bot.core.reactions import Reaction
from bot.core.results import LookUp, ReadRange, ResultMessage, private_nonce
from bot.core.tasks import CardView, Delivery
from bot.metrics import Metrics

logger = logging.getLogger(__name__)
Answer = TypeVar("Answer")

_KIB = 1024
# A whole upload takes at most 300 s and what its bytes take at 64 KiB/s.
_UPLOAD_TIME, _UPLOAD_SPEED = 300, 64 * _KIB
# Above a thread there may be a forum, which takes no messages.
_TAKES_MESSAGES = {discord.ChannelType.text.value, discord.ChannelType.news.value}
_PRIVATE_THREAD = discord.ChannelType.private_thread.value
_CLOCK_SKEW = 2 * MINUTE  # between Discord's snowflakes and our clock
# A card is only information: it is not looked for behind a thousand messages.
_PAGES_FOR_A_CARD = 10
_UNFIT_IN_FILE_NAME = re.compile(r"[^A-Za-z0-9._-]")


class DiscordMessenger:
    """Discord as the deliverer and the card updater see it. REST alone: needs no gateway and no cache."""

    def __init__(self, client: ShardedClient, clock: Clock, limiter: Limiter, metrics: Metrics) -> None:
        self._client = client
        self._clock = clock
        self._metrics = metrics
        self._outbound = Outbound(client, clock, limiter, metrics)
        self._limits = UploadLimits()

    async def upload_limit(self, guild_id: int, wanted: int) -> int:
        everywhere = self._limits.limit(guild_id, boost_level=0)
        if wanted <= everywhere:
            return everywhere
        return self._limits.limit(guild_id, await self._boost_level(guild_id))

    async def _boost_level(self, guild_id: int) -> int:
        """From the gateway's cache if this process has one, else from REST, because large videos are rare."""
        guild = self._client.get_guild(guild_id)
        if guild is not None and not guild.unavailable:
            return guild.premium_tier
        try:
            asked: Any = await self._read(lambda: self._client.http.get_guild(guild_id, with_counts=False))
            return int(asked["premium_tier"])
        except (DiscordRefused, DiscordUnavailable, LookupError, TypeError, ValueError) as error:
            # Unknown: assume the highest limit; Discord rejects the upload if it is too large.
            logger.info("server %d: its boost level is not known (%s)", guild_id, describe_error(error))
            return 3

    def rights_in(self, guild_id: int, channel_id: int) -> int | None:
        return computed_rights(self._client, guild_id, channel_id)

    def may_send_text(self, guild_id: int, channel_id: int) -> bool:
        return may_send_text(self._client, guild_id, channel_id)

    async def post(self, result: ResultMessage, *, not_after: float) -> int | None:
        delivery = result.due.delivery
        mentioned = [discord.Object(i) for i in (delivery.requester_id, *result.due.watchers)]
        t = translator(delivery.language)
        parameters = handle_message_parameters(
            content=results.result(t, result, self._clock()),
            file=_attachment(result),
            view=result_buttons(t, result, self._clock()),
            nonce=delivery.nonce,
            allowed_mentions=discord.AllowedMentions(everyone=False, roles=False, users=mentioned),
        )
        try:
            with parameters:
                message = await self._create(result.channel_id, parameters, Lane.RESULT, not_after)
        except DiscordRefused as error:
            if error.reaction is Reaction.MESSAGE_GONE:
                return None  # posted by an earlier attempt, and deleted since
            if error.reaction is Reaction.TOO_LARGE and result.attachment is not None:
                self._limits.refuse(delivery.guild_id, result.attachment.size)
            raise
        return _message_id(message, result.channel_id)

    async def send_privately(
        self, result: ResultMessage, why: Problem, *, since: int | None, not_after: float
    ) -> None:
        if result.attachment is not None and result.attachment.size > DEFAULT:
            result = replace(result, video=None)
        person_id = result.due.delivery.requester_id
        opened: Any = await self._outbound.call(
            lambda: self._client.http.start_private_message(person_id), Call.OPEN_DIRECT, Lane.RESULT
        )
        channel_id = _id_of(opened)
        if since is not None and await self._is_told(channel_id, result, since):
            return
        try:
            await self._send_to_person(channel_id, result, why, not_after)
        except DiscordRefused as error:
            if result.attachment is None or error.reaction is Reaction.PERSON_UNREACHABLE:
                raise
            await self._send_to_person(channel_id, replace(result, video=None), why, not_after)

    async def _is_told(self, channel_id: int, result: ResultMessage, since: int) -> bool:
        found = await self._look_up(channel_id, lambda m: marks.is_direct(m, result.due.delivery), since)
        return found.message_id is not None

    async def _send_to_person(
        self, channel_id: int, result: ResultMessage, why: Problem, not_after: float
    ) -> None:
        t = translator(result.due.delivery.language)
        parameters = handle_message_parameters(
            content=results.undeliverable(t, result, why, self._clock()),
            file=_attachment(result),
            view=direct_buttons(t, result.due.delivery),
            nonce=private_nonce(result.due.delivery.nonce),
            allowed_mentions=discord.AllowedMentions.none(),
        )
        try:
            with parameters:
                message = await self._create(channel_id, parameters, Lane.RESULT, not_after)
            _message_id(message, channel_id)  # a page with the status 200 has told nobody
        except DiscordRefused as error:
            if error.reaction is not Reaction.MESSAGE_GONE:  # sent by an earlier attempt, and deleted since
                raise

    async def _create(
        self, channel_id: int, parameters: MultipartParameters, lane: Lane, not_after: float | None = None
    ) -> Any:
        """Create Message."""
        http = self._client.http
        if parameters.files:
            return await self._upload(channel_id, parameters, parameters.files, lane, not_after)
        return await self._outbound.call(
            lambda: http.send_message(channel_id, params=parameters), Call.TEXT, lane, not_after=not_after
        )

    async def _upload(
        self,
        channel_id: int,
        parameters: MultipartParameters,
        files: Sequence[discord.File],
        lane: Lane,
        not_after: float | None,
    ) -> Any:
        """Over the same route object as discord.py's own send, but with our timeout, and once."""
        route = Route("POST", "/channels/{channel_id}/messages", channel_id=channel_id)
        form, http = parameters.multipart, self._client.http
        size = sum(os.fstat(file.fp.fileno()).st_size for file in files)
        timeout = aiohttp.ClientTimeout(total=_UPLOAD_TIME + size / _UPLOAD_SPEED, sock_connect=30)
        began = time.monotonic()
        try:
            message = await self._outbound.call(
                lambda: http.request(route, files=files, form=form, timeout=timeout),
                Call.UPLOAD,
                lane,
                not_after=not_after,
            )
        except DiscordRefused as error:
            if error.reaction is Reaction.TOO_LARGE:
                self._metrics.too_large()
            raise
        self._metrics.uploaded(size, time.monotonic() - began)
        return message

    async def parent_of(self, thread_id: int) -> int | None:
        """None for a private thread as well: its result must not appear outside."""
        http = self._client.http
        try:
            thread: Any = await self._read(lambda: http.get_channel(thread_id))
            if thread["type"] == _PRIVATE_THREAD:
                return None
            parent: Any = await self._read(lambda: http.get_channel(int(thread["parent_id"])))
            return int(parent["id"]) if parent["type"] in _TAKES_MESSAGES else None
        except (DiscordRefused, LookupError, TypeError, ValueError) as error:
            logger.info("thread %d: no channel above it is known (%s)", thread_id, describe_error(error))
            return None

    async def is_visible(self, channel_id: int) -> bool:
        """Whether Discord shows us a channel; true as well when it does not answer."""
        try:
            await self._read(lambda: self._client.http.get_channel(channel_id), Lane.PERSON)
        except DiscordRefused as error:
            return error.reaction not in {Reaction.NO_ACCESS, Reaction.CHANNEL_GONE}
        except DiscordUnavailable as error:
            logger.info("channel %d: whether it is visible is not known (%s)", channel_id, error)
        return True

    async def _read(self, make: Callable[[], Awaitable[Answer]], lane: Lane = Lane.RESULT) -> Answer:
        return await self._outbound.call(make, Call.READ, lane)

    async def find(self, result: ResultMessage, *, since: int) -> LookUp:
        delivery = result.due.delivery
        is_own_channel = result.channel_id == delivery.channel_id
        read = _read_before(delivery) if is_own_channel else None
        found = await self._look_up(result.channel_id, lambda m: marks.is_result(m, delivery), since, read)
        return found if is_own_channel else replace(found, read=None)

    async def _look_up(
        self,
        channel_id: int,
        is_it: Callable[[Any], bool],
        since: int,
        read: ReadRange | None = None,
        *,
        max_pages: int = MAX_PAGES,
        lane: Lane = Lane.RESULT,
    ) -> LookUp:
        async def read_page(before: int | None) -> Sequence[Any]:
            return await self._read(lambda: http.logs_from(channel_id, PAGE, before=before), lane)

        http = self._client.http
        try:
            return await look_up(
                read_page,
                lambda message: self._is_own(message) and is_it(message),
                since=self._outbound.discord_time(since) - _CLOCK_SKEW,
                now=self._clock(),
                read=read,
                max_pages=max_pages,
            )
        except DiscordRefused as error:
            logger.warning("channel %d: its history cannot be read: %s", channel_id, error)
            return LookUp()

    def _is_own(self, message: Any) -> bool:
        return self._client.user is not None and int(message["author"]["id"]) == self._client.user.id

    async def edit_card(self, view: CardView) -> None:
        http, channel_id, message_id = self._client.http, view.card.channel_id, view.card.message_id
        if message_id is None:
            return
        with self._card(view, is_edit=True) as parameters:
            await self._outbound.call(
                lambda: http.edit_message(channel_id, message_id, params=parameters), Call.EDIT, Lane.CARD
            )

    async def find_card(self, view: CardView) -> int | None:
        if not view.rows:
            return None
        channel_id, since = view.card.channel_id, view.rows[0].delivery.created_at
        found = await self._look_up(
            channel_id,
            lambda message: marks.is_card(message, view),
            since,
            max_pages=_PAGES_FOR_A_CARD,
            lane=Lane.CARD,
        )
        return found.message_id

    async def post_card(self, view: CardView) -> int:
        """The card as a plain message, when the command's own answer did not get through."""
        with self._card(view, is_edit=False) as parameters:
            message = await self._create(view.card.channel_id, parameters, Lane.PERSON)
        return _message_id(message, view.card.channel_id)

    def _card(self, view: CardView, *, is_edit: bool) -> MultipartParameters:
        return handle_message_parameters(
            # A card of version 0.1.0 has content, which a message with components may not have.
            content=None if is_edit else discord.utils.MISSING,
            view=card_layout(translator(view.card.language), view, self._clock()),
            allowed_mentions=discord.AllowedMentions.none(),
        )

    async def delete_message(self, channel_id: int, message_id: int) -> None:
        """Raises DiscordRefused, DiscordUnavailable. A message that is gone already is deleted."""
        http = self._client.http
        try:
            await self._outbound.call(
                lambda: http.delete_message(channel_id, message_id), Call.DELETE, Lane.PERSON
            )
        except DiscordRefused as error:
            if error.reaction is not Reaction.MESSAGE_GONE:
                raise


class _OneUpload(discord.File):
    """A file that is sent once: discord.py rewinds it to repeat a call, which only our own loop does."""

    def reset(self, *, seek: int | bool = True) -> None:
        if seek:
            raise Repeated
        super().reset(seek=seek)


def attachment_name(task_id: str) -> str:
    """veo_<id>.mp4, at most 136 characters. An id may hold a colon, which a file name may not."""
    return f"veo_{_UNFIT_IN_FILE_NAME.sub('_', task_id)}.mp4"


def _attachment(result: ResultMessage) -> discord.File | Any:
    """From disk, never through memory: discord.py streams a file that it opened itself."""
    if result.attachment is None:
        return discord.utils.MISSING
    name = attachment_name(result.due.task.id)
    return _OneUpload(result.attachment.path, filename=name, description=results.alt_text(result))


def _message_id(message: Any, channel_id: int) -> int:
    """The id of the message that Discord says it has taken.

    A nonce is compared by author: a message elsewhere would mean that two deliveries share one.
    """
    if isinstance(message, dict) and str(message.get("channel_id")) != str(channel_id):
        raise DiscordUnavailable("Discord answered with no message of this channel", reaction=Reaction.ODD)
    return _id_of(message)


def _id_of(answer: Any) -> int:
    """Raises DiscordUnavailable for an answer that a page or a proxy gave instead of Discord."""
    try:
        return int(answer["id"])
    except (LookupError, TypeError, ValueError) as error:
        raise DiscordUnavailable("Discord's answer names no id", reaction=Reaction.ODD) from error


def _read_before(delivery: Delivery) -> ReadRange | None:
    if delivery.read_newest is None or delivery.read_oldest is None:
        return None
    return ReadRange(delivery.read_newest, delivery.read_oldest)
