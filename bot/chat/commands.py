"""The slash commands and the message command: read what was typed, call the service, answer."""

import logging
from typing import Any

import aiohttp
import discord
from discord import app_commands

from bot.chat.buttons.forget import forget_buttons
from bot.chat.layouts import card_layout, layout
from bot.chat.message_text import text_of
from bot.chat.messenger import DiscordMessenger
from bot.chat.permissions import missing_here, permission_problem
from bot.chat.responses import (
    defer_privately,
    describe_error,
    public_language_for,
    reply_privately,
    reply_with_panel,
    translator_for,
)
from bot.chat.texts import cards, replies
from bot.chat.texts.escape import one_line
from bot.chat.texts.help import help_panel
from bot.chat.texts.language import marked, translator
from bot.core.errors import DiscordUnavailable, GiveUp, StorageUnavailable
from bot.core.ids import MAX_IDS, find_ids, read_ids
from bot.core.masking import mask_credentials
from bot.core.tasks import CardView
from bot.core.tracking import Registration, TrackRequest
from bot.work.tracking import Tracking

logger = logging.getLogger(__name__)

_ALREADY_ACKNOWLEDGED = 40060
_MAX_NOTE = 200
_MAX_CHOICE = 100
_MAX_TYPED = 1000

IdsText = app_commands.Range[str, 1, 6000]
OneId = app_commands.Range[str, 1, _MAX_TYPED]
Note = app_commands.Range[str, 1, _MAX_NOTE]
Interaction = discord.Interaction[Any]


async def _is_refused(interaction: Interaction, ids: tuple[str, ...], messenger: DiscordMessenger) -> bool:
    """Whether nothing can be tracked here; the person has then been told why."""
    t = translator_for(interaction)
    problem = permission_problem(interaction, t)
    if problem is None and len(ids) > MAX_IDS:
        problem = replies.too_many_ids(t, len(ids))
    if problem is None and not await _is_member(interaction, messenger):
        problem = t(replies.NOT_IN_THREAD)
    if problem is not None:
        await reply_privately(interaction, problem)
    return problem is not None


async def _is_member(interaction: Interaction, messenger: DiscordMessenger) -> bool:
    """Whether we see the channel. Discord delivers commands from private threads that we are no member of."""
    channel = interaction.channel
    if channel is None or channel.type is not discord.ChannelType.private_thread:
        return True
    return await messenger.is_visible(channel.id)


async def _show(
    interaction: Interaction, registration: Registration, tracking: Tracking, messenger: DiscordMessenger
) -> None:
    """Answer with the card, and say which ids were tracked before."""
    if registration.card is not None:
        message_id = await _show_card(interaction, registration.card, tracking, messenger)
        if message_id is not None:
            await tracking.set_card_message(registration.card.card.id, message_id)
    if registration.existing:
        t = translator_for(interaction)
        await reply_privately(interaction, replies.already_tracked(t, registration.existing))
    await _say_once_without_history(interaction, tracking)


async def _say_once_without_history(interaction: Interaction, tracking: Tracking) -> None:
    """In a channel that hides its history from us, a crash may double a result: said once in each."""
    if interaction.app_permissions.read_message_history or interaction.channel_id is None:
        return
    try:
        is_first = await tracking.is_first_without_history(interaction.channel_id)
    except StorageUnavailable as error:
        logger.info("whether channel %d was told is not known: %s", interaction.channel_id, error)
        return
    if is_first:
        await reply_privately(interaction, translator_for(interaction)(replies.NO_HISTORY))


async def _show_card(
    interaction: Interaction, view: CardView, tracking: Tracking, messenger: DiscordMessenger
) -> int | None:
    """The id of the card's message. The rows are committed, so only the card can be lost from here on."""
    try:
        return await _answer_with_card(interaction, view, tracking.now())
    except (discord.HTTPException, aiohttp.ClientError, TimeoutError) as error:
        logger.warning("the card is posted as a message: the answer failed (%s)", describe_error(error))
    answer = await _answer_that_arrived(interaction)
    if answer is not None:
        return answer
    try:
        return await messenger.post_card(view)
    except (DiscordUnavailable, GiveUp, discord.HTTPException) as error:
        logger.warning("no card could be posted: %s", describe_error(error))
        return None


async def _answer_that_arrived(interaction: Interaction) -> int | None:
    """The id of an answer that Discord took, though the connection broke before it said so."""
    try:
        return (await interaction.original_response()).id
    except (discord.DiscordException, aiohttp.ClientError, TimeoutError) as error:
        logger.info("no answer has arrived: %s", describe_error(error))
        return None


async def _answer_with_card(interaction: Interaction, view: CardView, now: int) -> int:
    drawn = card_layout(translator(view.card.language), view, now)
    try:
        answered = await interaction.response.send_message(view=drawn)
    except discord.HTTPException as error:
        if error.code != _ALREADY_ACKNOWLEDGED:
            raise
        # discord.py repeats an answer after a 5xx, though the first may have arrived.
        return (await interaction.original_response()).id
    if answered.message_id is not None:
        return answered.message_id
    return (await interaction.original_response()).id


def _request(interaction: Interaction, ids: tuple[str, ...], note: str | None) -> TrackRequest:
    assert interaction.guild_id is not None  # noqa: S101 - _is_refused has refused the rest
    assert interaction.channel_id is not None  # noqa: S101
    tidy = one_line(mask_credentials(note), _MAX_NOTE) if note else ""
    return TrackRequest(
        interaction.guild_id,
        interaction.channel_id,
        interaction.user.id,
        ids,
        tidy or None,
        public_language_for(interaction),
    )


@app_commands.guild_only()
@app_commands.allowed_installs(guilds=True, users=False)
@app_commands.allowed_contexts(guilds=True, dms=False, private_channels=False)
class VeoCommands(app_commands.Group):
    """The `/veo` group."""

    def __init__(self, tracking: Tracking, messenger: DiscordMessenger) -> None:
        super().__init__(
            name="veo", description=marked("Get your Veo videos posted here when they are ready")
        )
        self._tracking = tracking
        self._lookups = tracking.store.lookups
        self._messenger = messenger

    @app_commands.command(description=marked("Post these videos here when they are ready"))
    @app_commands.rename(ids_text="id")
    @app_commands.describe(
        ids_text=marked("Up to 20 task ids (a result URL or the API's JSON reply works, too)"),
        note=marked("A few words to recognise it by"),
    )
    async def track(self, interaction: Interaction, ids_text: IdsText, note: Note | None = None) -> None:
        read, t = read_ids(ids_text), translator_for(interaction)
        if read.refused:
            await reply_privately(interaction, t(replies.NOT_A_LIST_OF_IDS))
        elif read.malformed:
            await reply_privately(interaction, replies.malformed_ids(t, read.malformed))
        elif not read.ids:
            await reply_privately(interaction, t(replies.NO_IDS))
        elif not await _is_refused(interaction, read.ids, self._messenger):
            registration = await self._tracking.track(_request(interaction, read.ids, note))
            await _show(interaction, registration, self._tracking, self._messenger)

    @app_commands.command(description=marked("Show how one video is doing"))
    @app_commands.rename(id_text="id")
    @app_commands.describe(id_text=marked("A video tracked in this channel"))
    async def status(self, interaction: Interaction, id_text: OneId) -> None:
        channel_id, task_id, t = _channel_id(interaction), _one_id(id_text), translator_for(interaction)
        existing = await self._lookups.find(channel_id, task_id)
        if existing is None:
            await reply_privately(interaction, replies.not_tracked(t, task_id))
            return
        pause = await self._tracking.api_pause()
        panel = cards.status(t, existing, pause, self._tracking.now())
        await reply_with_panel(interaction, layout(panel))

    @app_commands.command(name="list", description=marked("Show this channel's videos: waiting and recent"))
    async def list_(self, interaction: Interaction) -> None:
        found, t = await self._lookups.overview(_channel_id(interaction)), translator_for(interaction)
        panel = cards.overview(t, found, self._tracking.now())
        if panel is None:
            await reply_privately(interaction, t(replies.NOTHING_HERE))
        else:
            await reply_with_panel(interaction, layout(panel))

    @app_commands.command(description=marked("Stop waiting for a video in this channel"))
    @app_commands.rename(id_text="id")
    @app_commands.describe(id_text=marked("A video tracked in this channel"))
    async def untrack(self, interaction: Interaction, id_text: OneId) -> None:
        task_id = _one_id(id_text)
        result = await self._tracking.untrack(
            _channel_id(interaction),
            task_id,
            interaction.user.id,
            may_cancel_any=interaction.permissions.manage_messages,
        )
        await reply_privately(interaction, replies.untracked(translator_for(interaction), result, task_id))

    @app_commands.command(description=marked("Post a finished video's result here again"))
    @app_commands.rename(id_text="id")
    @app_commands.describe(id_text=marked("A video that has ended in this channel"))
    async def redeliver(self, interaction: Interaction, id_text: OneId) -> None:
        channel_id, t = _channel_id(interaction), translator_for(interaction)
        if missing := missing_here(interaction):
            await reply_privately(interaction, replies.still_missing_permissions(t, missing))
            return
        task_id = _one_id(id_text)
        # The API may be asked for a fresh link, which takes longer than Discord waits for an answer.
        await defer_privately(interaction)
        result, existing = await self._tracking.redeliver(
            channel_id, task_id, interaction.user.id, public_language_for(interaction)
        )
        await reply_privately(interaction, replies.redelivered(t, result, task_id, existing))

    @app_commands.command(name="forget-me", description=marked("Remove everything that is stored about you"))
    async def forget_me(self, interaction: Interaction) -> None:
        stored = await self._tracking.store.people.stored_about(interaction.user.id)
        t = translator_for(interaction)
        if stored:
            await reply_privately(interaction, replies.before_erasing(t, stored), view=forget_buttons(t))
        else:
            await reply_privately(interaction, t(replies.NOTHING_STORED))

    @app_commands.command(name="help", description=marked("Show how this works and what is stored"))
    async def help_(self, interaction: Interaction) -> None:
        panel = help_panel(translator_for(interaction), _operator(interaction.client))
        await reply_with_panel(interaction, layout(panel))

    @status.autocomplete("id_text")
    @untrack.autocomplete("id_text")
    @redeliver.autocomplete("id_text")
    async def _suggest(self, interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
        found = await self._lookups.suggest(_channel_id(interaction), one_line(typed, _MAX_TYPED))
        t = translator_for(interaction)
        return [
            app_commands.Choice(name=cards.choice_name(t, e), value=e.task.id)
            for e in found
            if len(e.task.id) <= _MAX_CHOICE
        ]


def message_command(tracking: Tracking, messenger: DiscordMessenger) -> app_commands.ContextMenu:
    """“Track Veo tasks” in a message's menu: tracks the ids in its text."""

    async def track_message(interaction: Interaction, message: discord.Message) -> None:
        ids = find_ids(text_of(message))
        if not ids:
            await reply_privately(interaction, translator_for(interaction)(replies.NO_IDS_IN_MESSAGE))
            return
        if not await _is_refused(interaction, ids, messenger):
            registration = await tracking.track(_request(interaction, ids, None))
            await _show(interaction, registration, tracking, messenger)

    menu = app_commands.ContextMenu(name=marked("Track Veo tasks"), callback=track_message)
    menu.guild_only = True
    menu.allowed_installs = app_commands.AppInstallationType(guild=True, user=False)
    menu.allowed_contexts = app_commands.AppCommandContext(
        guild=True, dm_channel=False, private_channel=False
    )
    return menu


def _operator(client: discord.Client) -> str | None:
    """Who runs the bot: the team or the person that owns the application, as Discord told at the start."""
    application = client.application
    if application is None:
        return None
    return application.team.name if application.team is not None else application.owner.name


def _channel_id(interaction: Interaction) -> int:
    if interaction.channel_id is None or interaction.guild_id is None:
        raise app_commands.NoPrivateMessage
    return interaction.channel_id


def _one_id(text: str) -> str:
    """One id, read as `/veo track` reads it; else the text itself, without what a database refuses."""
    read = read_ids(text)
    return read.ids[0] if read.ids else one_line(mask_credentials(text), _MAX_TYPED)
