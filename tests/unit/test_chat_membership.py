"""Which undelivered results come back with a permission, and which only because a day is over."""

from types import SimpleNamespace
from typing import Any

import discord
import pytest

from bot.chat.gateway.membership import Membership
from bot.core.clock import DAY, HOUR
from bot.core.tasks import DeliveryState, Obstacle
from bot.storage.store import Store
from tests.factories import CHANNEL, GUILD, look_up, mark_undeliverable, take_delivery, track_ended
from tests.timing import FakeClock

ENOUGH = discord.Permissions(view_channel=True, send_messages=True, attach_files=True).value


class Server:
    """A server with one channel, in which our rights change."""

    def __init__(self, rights: int) -> None:
        self.rights = rights
        self.id, self.me, self.unavailable = GUILD, object(), False

    def get_channel_or_thread(self, channel_id: int) -> Any:
        rights = discord.Permissions(self.rights)
        channel = SimpleNamespace(type=discord.ChannelType.text, permissions_for=lambda _: rights)
        return channel if channel_id == CHANNEL and self.rights else None


class MembershipEnv:
    """A result that was refused with these computed rights."""

    def __init__(self, store: Store, clock: FakeClock) -> None:
        self.store, self.clock = store, clock
        self.wakes = 0
        self.membership = Membership(store.guilds, clock, self._wake)

    def _wake(self) -> None:
        self.wakes += 1

    async def refuse(self, rights: int | None, obstacle: Obstacle = Obstacle.PERMISSION) -> None:
        await track_ended(self.store, self.clock)
        await self.refuse_again(rights, obstacle)

    async def refuse_again(self, rights: int | None, obstacle: Obstacle = Obstacle.PERMISSION) -> None:
        lease, due = await take_delivery(self.store, self.clock)
        await mark_undeliverable(self.store, due, lease, self.clock(), obstacle=obstacle, rights=rights)

    async def changed(self, rights: int) -> bool:
        """Whether the result is due after the event."""
        guild: Any = Server(rights)
        await self.membership.changed(guild)
        return (await look_up(self.store)).delivery.state is DeliveryState.DUE


@pytest.fixture
def env(store: Store, clock: FakeClock) -> MembershipEnv:
    return MembershipEnv(store, clock)


async def test_permission_that_returns_brings_the_result_back_at_once(env: MembershipEnv):
    """They said no then, and say yes now."""
    await env.refuse(0)

    assert not await env.changed(0)
    assert await env.changed(ENOUGH)
    assert env.wakes == 1


async def test_refusal_that_our_rights_do_not_explain_is_tried_once_after_a_day(env: MembershipEnv):
    """They said yes then and now: every event would be another refusal."""
    await env.refuse(ENOUGH)
    env.clock.advance(DAY - 1)
    assert not await env.changed(ENOUGH)
    env.clock.advance(1)
    assert await env.changed(ENOUGH)

    await env.refuse_again(ENOUGH)
    env.clock.advance(2 * DAY)
    assert not await env.changed(ENOUGH)


async def test_rights_that_were_unknown_are_learnt_while_they_are_not_enough(env: MembershipEnv):
    """A process without a gateway refused it; later they say no, and then yes."""
    await env.refuse(None)

    assert not await env.changed(ENOUGH)
    assert not await env.changed(0)
    assert await env.changed(ENOUGH)


async def test_rights_that_stay_unknown_are_tried_once_after_a_day(env: MembershipEnv):
    await env.refuse(None)
    env.clock.advance(DAY)

    assert await env.changed(ENOUGH)


@pytest.mark.parametrize("obstacle", [Obstacle.FORM, Obstacle.GONE])
async def test_what_no_permission_explains_never_comes_back_by_itself(env: MembershipEnv, obstacle: Obstacle):
    """AutoMod, a blocked link, a channel that is gone: only /veo redeliver."""
    await env.refuse(0, obstacle)
    env.clock.advance(2 * DAY)

    assert not await env.changed(ENOUGH)
    assert env.wakes == 0


async def test_rights_without_files_are_not_enough(env: MembershipEnv):
    """It would be refused again."""
    await env.refuse(0)

    assert not await env.changed(discord.Permissions(view_channel=True, send_messages=True).value)
    env.clock.advance(HOUR)
    assert await env.changed(ENOUGH)
