"""What people do, as the commands of `bot.chat` do it, and what they were told."""

import contextlib
from dataclasses import dataclass

from bot.core.errors import DiscordRefused, DiscordUnavailable, StorageUnavailable
from bot.core.tasks import CardView
from bot.core.tracking import (
    PressedButton,
    QuotaReached,
    RedeliverResult,
    TrackRequest,
    UntrackResult,
    WatchResult,
)
from tests.explore.discord_model import Content, Lost
from tests.explore.schedule import Bot, World

GUILD = 1


@dataclass(slots=True, eq=False)
class Command:
    """One use of a command. `answered_at`: when Discord took its answer (UTC milliseconds)."""

    channel_id: int
    person_id: int
    ids: tuple[str, ...] = ()
    answered_at: int | None = None
    said: object = None
    tries: int = 0
    card_message: int | None = None  # of a card that Discord took as the answer

    async def run(self, world: World, bot: Bot) -> None:
        self.tries += 1
        try:
            await self._run(world, bot)
        except StorageUnavailable:
            world.later(5.0, lambda: world.ask(self))

    async def _run(self, world: World, bot: Bot) -> None:
        raise NotImplementedError

    async def _answer(self, world: World, said: object) -> None:
        """In private. Losing it changes nothing, and the person does not ask again."""

        def act() -> None:
            self.answered_at, self.said = world.now(), said

        try:
            await world.effect(f"answer: {said}", act)
        except Lost:
            return


class Track(Command):
    """`/veo track`."""

    async def _run(self, world: World, bot: Bot) -> None:
        tracking = bot.tracking
        assert tracking is not None
        try:
            registration = await tracking.track(
                TrackRequest(GUILD, self.channel_id, self.person_id, self.ids)
            )
        except QuotaReached:
            await self._answer(world, "quota")
            return
        if registration.card is None:
            await self._answer(world, "already tracked")
            return
        message_id = await self._show(world, bot, registration.card)
        if message_id is not None:
            await tracking.set_card_message(registration.card.card.id, message_id)

    async def _show(self, world: World, bot: Bot, view: CardView) -> int | None:
        def act() -> int:
            self.answered_at, self.said = self.answered_at or world.now(), "tracked"
            self.card_message = int(world.discord.create(self.channel_id, Content("card", view=view)).id)
            return self.card_message

        with contextlib.suppress(Lost):
            return int(await world.effect("answer: card", act))
        with contextlib.suppress(Lost):
            arrived: int | None = await world.effect("answer: original", lambda: self.card_message)
            if arrived is not None:
                return arrived
        try:
            return int(await bot.messenger.post_card(view))
        except (DiscordUnavailable, DiscordRefused):
            return None


class Untrack(Command):
    """`/veo untrack`."""

    async def _run(self, world: World, bot: Bot) -> None:
        assert bot.tracking is not None
        result = UntrackResult.NOT_TRACKED
        for task_id in self.ids:
            result = await bot.tracking.untrack(self.channel_id, task_id, self.person_id, may_cancel_any=True)
        await self._answer(world, result)


class Redeliver(Command):
    """`/veo redeliver`."""

    async def _run(self, world: World, bot: Bot) -> None:
        assert bot.tracking is not None
        try:
            result, _ = await bot.tracking.redeliver(self.channel_id, self.ids[0], self.person_id)
        except QuotaReached:
            result = RedeliverResult.STILL_OPEN
        await self._answer(world, result)


class Forget(Command):
    """`/veo forget-me`, confirmed."""

    async def _run(self, world: World, bot: Bot) -> None:
        assert bot.tracking is not None
        await self._answer(world, await bot.tracking.erase(self.person_id))


class Bell(Command):
    """The bell on the first card of a channel."""

    async def _run(self, world: World, bot: Bot) -> None:
        assert bot.tracking is not None
        cards = [m for m in world.discord.messages("card") if m.channel_id == self.channel_id]
        result = WatchResult.UNKNOWN_CARD
        if cards and cards[0].view is not None:
            pressed = PressedButton(cards[0].id, cards[0].view.rows[0].delivery.nonce[1:9])
            result = await bot.tracking.watch(cards[0].view.card.id, self.person_id, pressed)
        await self._answer(world, result)
