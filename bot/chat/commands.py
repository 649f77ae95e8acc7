"""The slash commands and the message command: read what was typed, call the registry, answer."""

import logging
from typing import Any, Protocol

import aiohttp
import discord
from discord import app_commands

from bot.chat import buttons, cards, texts
from bot.chat.access import access_problem
from bot.chat.answers import describe, tell
from bot.chat.safe_text import one_line
from bot.core.errors import DiscordUnavailable, GiveUp
from bot.core.ids import MAX_IDS, find_ids, read_ids
from bot.core.registration import (
    Earlier,
    Held,
    Overview,
    QuotaReached,
    Redelivered,
    Registered,
    TrackRequest,
    Untracked,
)
from bot.core.tasks import CardView
from bot.core.trouble import ApiTrouble

logger = logging.getLogger(__name__)

_ALREADY_ACKNOWLEDGED = 40060
_MOST_NOTE = 200
_LONGEST_CHOICE = 100
_MOST_TYPED = 1000

IdsText = app_commands.Range[str, 1, 6000]
OneId = app_commands.Range[str, 1, _MOST_TYPED]
Note = app_commands.Range[str, 1, _MOST_NOTE]
Interaction = discord.Interaction[Any]


class CommandService(Protocol):
    """The registry, as the commands see it."""

    async def track(self, request: TrackRequest) -> Registered: ...
    async def name_card(self, card_id: int, message_id: int) -> None: ...
    async def untrack(self, channel_id: int, task_id: str, by: int, *, may_cancel_any: bool) -> Untracked: ...
    async def redeliver(
        self, channel_id: int, task_id: str, by: int
    ) -> tuple[Redelivered, Earlier | None]: ...
    async def find(self, channel_id: int, task_id: str) -> Earlier | None: ...
    async def overview(self, channel_id: int) -> Overview: ...
    async def suggest(self, channel_id: int, part: str) -> tuple[Earlier, ...]: ...
    async def api_trouble(self) -> ApiTrouble | None: ...
    async def held_about(self, user_id: int) -> Held: ...


class CardPoster(Protocol):
    """The way around a lost interaction."""

    async def post_card(self, view: CardView) -> int: ...


class TrackingCommands:
    """What `/veo track` and the message command share: register first, then answer with the card."""

    def __init__(self, registry: CommandService, poster: CardPoster) -> None:
        self._registry = registry
        self._poster = poster

    async def track(self, interaction: Interaction, ids: tuple[str, ...], note: str | None) -> None:
        if problem := access_problem(interaction):
            await tell(interaction, problem)
            return
        if len(ids) > MAX_IDS:
            await tell(interaction, texts.too_many_ids(len(ids)))
            return
        try:
            registered = await self._registry.track(_request(interaction, ids, note))
        except QuotaReached as error:
            await tell(interaction, texts.quota_reached(error))
            return
        if registered.card is not None:
            await self._show_card(interaction, registered.card)
        if registered.earlier:
            await tell(interaction, texts.already_tracked(registered.earlier))

    async def _show_card(self, interaction: Interaction, view: CardView) -> None:
        """From here on nothing can be lost: the rows are committed, and only the card may be missing."""
        try:
            message_id = await self._answer_with_card(interaction, view)
        except (discord.HTTPException, aiohttp.ClientError, TimeoutError) as error:
            logger.warning("the card is posted as a message: the answer failed (%s)", describe(error))
            try:
                message_id = await self._poster.post_card(view)
            except (DiscordUnavailable, GiveUp, discord.HTTPException) as failure:
                logger.warning("no card could be posted: %s", describe(failure))
                return
        await self._registry.name_card(view.card.id, message_id)

    async def _answer_with_card(self, interaction: Interaction, view: CardView) -> int:
        try:
            answered = await interaction.response.send_message(
                cards.card(view), view=buttons.on_card(view), suppress_embeds=True
            )
        except discord.HTTPException as error:
            if error.code != _ALREADY_ACKNOWLEDGED:
                raise
            # discord.py repeats an answer after a 5xx, though the first may have arrived.
            return (await interaction.original_response()).id
        if answered.message_id is not None:
            return answered.message_id
        return (await interaction.original_response()).id


def _request(interaction: Interaction, ids: tuple[str, ...], note: str | None) -> TrackRequest:
    assert interaction.guild_id is not None  # noqa: S101 - access_problem has refused the rest
    assert interaction.channel_id is not None  # noqa: S101
    tidy = one_line(note, _MOST_NOTE) if note else ""
    return TrackRequest(interaction.guild_id, interaction.channel_id, interaction.user.id, ids, tidy or None)


@app_commands.guild_only()
@app_commands.allowed_installs(guilds=True, users=False)
@app_commands.allowed_contexts(guilds=True, dms=False, private_channels=False)
class VeoCommands(app_commands.Group):
    """The `/veo` group."""

    def __init__(self, registry: CommandService, poster: CardPoster) -> None:
        super().__init__(name="veo", description="Get your Veo videos posted here when they are ready")
        self._registry = registry
        self._tracking = TrackingCommands(registry, poster)

    @app_commands.command(description="Post the result here when these Veo tasks are finished")
    @app_commands.rename(ids_text="id")
    @app_commands.describe(
        ids_text=f"Up to {MAX_IDS} task ids (a result URL or the API's JSON reply works, too)",
        note="A few words to recognise it by",
    )
    async def track(self, interaction: Interaction, ids_text: IdsText, note: Note | None = None) -> None:
        read = read_ids(ids_text)
        if read.malformed:
            await tell(interaction, texts.malformed_ids(read.malformed))
        elif not read.ids:
            await tell(interaction, texts.no_ids())
        else:
            await self._tracking.track(interaction, read.ids, note)

    @app_commands.command(description="What is known of one task")
    @app_commands.rename(id_text="id")
    @app_commands.describe(id_text="A task tracked in this channel")
    async def status(self, interaction: Interaction, id_text: OneId) -> None:
        channel_id, task_id = _place(interaction), _one_id(id_text)
        earlier = await self._registry.find(channel_id, task_id)
        if earlier is None:
            await tell(interaction, texts.not_tracked(task_id))
            return
        await tell(interaction, cards.status(earlier, await self._registry.api_trouble()))

    @app_commands.command(name="list", description="What is open in this channel, and what ended lately")
    async def list_(self, interaction: Interaction) -> None:
        await tell(interaction, cards.overview(await self._registry.overview(_place(interaction))))

    @app_commands.command(description="Stop waiting for a task in this channel")
    @app_commands.rename(id_text="id")
    @app_commands.describe(id_text="A task tracked in this channel")
    async def untrack(self, interaction: Interaction, id_text: OneId) -> None:
        task_id = _one_id(id_text)
        outcome = await self._registry.untrack(
            _place(interaction),
            task_id,
            interaction.user.id,
            may_cancel_any=interaction.permissions.manage_messages,
        )
        await tell(interaction, texts.untracked(outcome, task_id))

    @app_commands.command(description="Post a finished task's result here again")
    @app_commands.rename(id_text="id")
    @app_commands.describe(id_text="A task that has ended in this channel")
    async def redeliver(self, interaction: Interaction, id_text: OneId) -> None:
        if problem := access_problem(interaction):
            await tell(interaction, problem)
            return
        task_id = _one_id(id_text)
        try:
            outcome, earlier = await self._registry.redeliver(
                _place(interaction), task_id, interaction.user.id
            )
        except QuotaReached as error:
            await tell(interaction, texts.quota_reached(error))
            return
        await tell(interaction, texts.redelivered(outcome, task_id, earlier))

    @app_commands.command(name="forget-me", description="Remove everything that is stored about you")
    async def forget_me(self, interaction: Interaction) -> None:
        held = await self._registry.held_about(interaction.user.id)
        if held:
            await tell(interaction, texts.before_forgetting(held), view=buttons.on_forgetting())
        else:
            await tell(interaction, texts.NOTHING_STORED)

    @status.autocomplete("id_text")
    @untrack.autocomplete("id_text")
    @redeliver.autocomplete("id_text")
    async def _suggest(self, interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
        found = await self._registry.suggest(_place(interaction), one_line(typed, _MOST_TYPED))
        return [
            app_commands.Choice(name=cards.choice_name(e), value=e.task.id)
            for e in found
            if len(e.task.id) <= _LONGEST_CHOICE
        ]


def message_command(registry: CommandService, poster: CardPoster) -> app_commands.ContextMenu:
    """“Track Veo tasks” in a message's menu: finds the ids in what somebody wrote."""
    tracking = TrackingCommands(registry, poster)

    async def track_message(interaction: Interaction, message: discord.Message) -> None:
        ids = find_ids(message.content)
        if not ids:
            await tell(interaction, texts.NO_IDS_IN_MESSAGE)
            return
        await tracking.track(interaction, ids, None)

    menu = app_commands.ContextMenu(name="Track Veo tasks", callback=track_message)
    menu.guild_only = True
    menu.allowed_installs = app_commands.AppInstallationType(guild=True, user=False)
    menu.allowed_contexts = app_commands.AppCommandContext(
        guild=True, dm_channel=False, private_channel=False
    )
    return menu


def _place(interaction: Interaction) -> int:
    if interaction.channel_id is None or interaction.guild_id is None:
        raise app_commands.NoPrivateMessage
    return interaction.channel_id


def _one_id(text: str) -> str:
    """What was typed, read as kindly as `/veo track` reads it; never what a database refuses to look for."""
    read = read_ids(text)
    return read.ids[0] if read.ids else one_line(text, _MOST_TYPED)
