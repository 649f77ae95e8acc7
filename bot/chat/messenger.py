"""Posts result messages and cards by channel id, with the delivery's nonce, and finds them again."""

import logging
import os
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import aiohttp
import discord
from discord.http import MultipartParameters, Route, handle_message_parameters

from bot.chat import buttons
from bot.chat.discord_errors import is_unknown_message
from bot.chat.outbound import Outbound
from bot.chat.responses import describe_error
from bot.chat.texts import cards, results
from bot.chat.upload_limits import DEFAULT, UploadLimits
from bot.core.clock import MINUTE, Clock, to_datetime
from bot.core.errors import DiscordUnavailable, TooLargeForDiscord, Undeliverable
from bot.core.problems import Problem, ProblemCode
from bot.core.rate_limit import Limiter
from bot.core.results import ResultMessage, private_nonce
from bot.core.tasks import CardView
from bot.metrics import Metrics

logger = logging.getLogger(__name__)

# discord.py's session ends every call after 300 s in all; a large upload on a slow line takes longer.
_UPLOAD_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=300)
_HISTORY_PAGE = 100
_MAX_PAGES = 10
# Above a thread there may be a forum, which takes no messages.
_TAKES_MESSAGES = {discord.ChannelType.text.value, discord.ChannelType.news.value}
_CLOCK_SKEW = 2 * MINUTE  # between Discord's snowflakes and our clock
_UNFIT_IN_FILE_NAME = re.compile(r"[^A-Za-z0-9._-]")


class DiscordMessenger:
    """Discord as the deliverer and the card updater see it. REST alone: needs no gateway and no cache."""

    def __init__(
        self,
        client: discord.Client,
        clock: Clock,
        limiter: Limiter,
        metrics: Metrics,
    ) -> None:
        self._client = client
        self._clock = clock
        self._metrics = metrics
        self._outbound = Outbound(clock, limiter, metrics)
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
            asked: Any = await self._outbound.call(
                lambda: self._client.http.get_guild(guild_id, with_counts=False)
            )
        except (Undeliverable, discord.HTTPException) as error:
            # Unknown: assume the highest limit; Discord rejects the upload if it is too large.
            logger.info("server %d: its boost level is not known (%s)", guild_id, describe_error(error))
            return 3
        return int(asked["premium_tier"])

    async def post(self, result: ResultMessage) -> int | None:
        delivery = result.due.delivery
        mentioned = [discord.Object(i) for i in (delivery.requester_id, *result.due.watchers)]
        parameters = handle_message_parameters(
            content=results.result(result, self._clock()),
            file=_attachment(result),
            view=buttons.result_buttons(result, self._clock()),
            nonce=delivery.nonce,
            allowed_mentions=discord.AllowedMentions(everyone=False, roles=False, users=mentioned),
        )
        try:
            with parameters:
                message = await self._create(result.channel_id, parameters)
        except TooLargeForDiscord:
            if result.video is not None:
                self._limits.refuse(delivery.guild_id, result.video.size)
            raise
        except discord.NotFound as error:
            if is_unknown_message(error):
                return None  # posted by an earlier attempt, and deleted since
            raise
        self._check_channel(message, result.channel_id)
        return int(message["id"])

    async def send_privately(self, result: ResultMessage, why: Problem) -> None:
        if result.video is not None and result.video.size > DEFAULT:
            result = replace(result, video=None)
        try:
            await self._send_to_requester(result, why)
        except TooLargeForDiscord:
            await self._send_to_requester(replace(result, video=None), why)

    async def _send_to_requester(self, result: ResultMessage, why: Problem) -> None:
        delivery = result.due.delivery
        parameters = handle_message_parameters(
            content=results.undeliverable(result, why, self._clock()),
            file=_attachment(result),
            nonce=private_nonce(delivery.nonce),
            allowed_mentions=discord.AllowedMentions.none(),
        )
        http = self._client.http
        try:
            with parameters:
                opened = await self._outbound.call(lambda: http.start_private_message(delivery.requester_id))
                await self._create(int(opened["id"]), parameters)
        except (Undeliverable, discord.HTTPException) as error:
            logger.info(
                "%s: its requester takes no direct message (%s)", delivery.task_id, describe_error(error)
            )

    async def _create(self, channel_id: int, parameters: MultipartParameters) -> Any:
        """Create Message."""
        http = self._client.http
        if parameters.files:
            return await self._upload(channel_id, parameters, parameters.files)
        return await self._outbound.call(lambda: http.send_message(channel_id, params=parameters))

    async def _upload(
        self, channel_id: int, parameters: MultipartParameters, files: Sequence[discord.File]
    ) -> Any:
        """Over the same route object as discord.py's own send, but with our timeout."""
        route = Route("POST", "/channels/{channel_id}/messages", channel_id=channel_id)
        form, http = parameters.multipart, self._client.http
        size = sum(os.fstat(file.fp.fileno()).st_size for file in files)
        began = time.monotonic()
        try:
            message = await self._outbound.call(
                lambda: http.request(route, files=files, form=form, timeout=_UPLOAD_TIMEOUT)
            )
        except TooLargeForDiscord:
            self._metrics.too_large()
            raise
        self._metrics.uploaded(size, time.monotonic() - began)
        return message

    async def parent_of(self, thread_id: int) -> int | None:
        http = self._client.http
        try:
            thread: Any = await self._outbound.call(lambda: http.get_channel(thread_id))
            parent = await self._outbound.call(lambda: http.get_channel(int(thread["parent_id"])))
        except (Undeliverable, discord.HTTPException, KeyError, TypeError) as error:
            logger.info("thread %d: no channel above it is known (%s)", thread_id, describe_error(error))
            return None
        return int(parent["id"]) if parent["type"] in _TAKES_MESSAGES else None

    def _check_channel(self, message: Any, channel_id: int) -> None:
        """A nonce is compared by author: a message elsewhere would mean that two deliveries share one."""
        if int(message["channel_id"]) != channel_id:
            raise DiscordUnavailable("Discord answered with a message of another channel")

    async def find(self, result: ResultMessage) -> int | None:
        """The result message of an attempt whose answer we never saw, known by its delete button."""
        due = result.due
        since = (due.delivery.first_sent_at or due.delivery.created_at) - _CLOCK_SKEW
        after = discord.utils.time_snowflake(to_datetime(since))
        mark = buttons.delete_id(due.delivery.id)
        for _ in range(_MAX_PAGES):
            page = await self._page(result.channel_id, after)
            for message in page:
                if _has_button(message, mark) and self._is_own(message):
                    return int(message["id"])
            if len(page) < _HISTORY_PAGE:
                return None
            after = max(int(message["id"]) for message in page)
        return None

    async def _page(self, channel_id: int, after: int) -> Sequence[Any]:
        http = self._client.http
        try:
            return await self._outbound.call(lambda: http.logs_from(channel_id, _HISTORY_PAGE, after=after))
        except Undeliverable as error:
            logger.warning("channel %d: cannot look for an earlier result: %s", channel_id, error)
            return []

    def _is_own(self, message: Any) -> bool:
        return self._client.user is not None and int(message["author"]["id"]) == self._client.user.id

    async def edit_card(self, view: CardView) -> None:
        http, channel_id, message_id = self._client.http, view.card.channel_id, view.card.message_id
        if message_id is None:
            return
        parameters = handle_message_parameters(
            content=cards.card(view, self._clock()),
            view=buttons.card_buttons(view),
            allowed_mentions=discord.AllowedMentions.none(),
        )
        try:
            with parameters:
                await self._outbound.call(
                    lambda: http.edit_message(channel_id, message_id, params=parameters)
                )
        except discord.NotFound as error:
            if not is_unknown_message(error):
                raise
            raise Undeliverable(ProblemCode.MESSAGE_DELETED) from error

    async def post_card(self, view: CardView) -> int:
        """The card as a plain message, when the command's own answer did not get through."""
        parameters = handle_message_parameters(
            content=cards.card(view, self._clock()),
            view=buttons.card_buttons(view),
            allowed_mentions=discord.AllowedMentions.none(),
        )
        with parameters:
            message = await self._create(view.card.channel_id, parameters)
        return int(message["id"])


def attachment_name(task_id: str) -> str:
    """veo_<id>.mp4, at most 136 characters. An id may hold a colon, which a file name may not."""
    return f"veo_{_UNFIT_IN_FILE_NAME.sub('_', task_id)}.mp4"


def _attachment(result: ResultMessage) -> discord.File | Any:
    """From disk, never through memory: discord.py streams a file that it opened itself."""
    if result.video is None:
        return discord.utils.MISSING
    return discord.File(result.video.path, filename=attachment_name(result.due.task.id))


def _has_button(message: Any, custom_id: str) -> bool:
    rows = message.get("components") or []
    return any(item.get("custom_id") == custom_id for row in rows for item in row.get("components", []))
