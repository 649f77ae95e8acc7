"""Private threads: their results stay inside, and nothing is tracked where the bot is no member."""

from collections.abc import AsyncIterator

import pytest

from sandbox.discord import Channel
from sandbox.faults import Fault
from tests.integration.conftest import InProcessEnv

ID = "vgen_abc123def456"


@pytest.fixture
async def thread(env: InProcessEnv) -> AsyncIterator[Channel]:
    thread = env.channel.add_thread("secret shots", private=True)
    thread.add_member(env.alice)
    yield thread
    assert not [message for message in env.channel.messages if ID in message.text]


@pytest.mark.parametrize("is_hidden_as_missing", [False, True], ids=["403", "404"])
async def test_nothing_is_tracked_where_the_bot_is_no_member(
    env: InProcessEnv, thread: Channel, is_hidden_as_missing: bool
):
    """Discord delivers the command, and would refuse the result: said at once, with what to do."""
    env.discord.hidden_threads_exist = not is_hidden_as_missing
    env.api.create(ID).complete()
    async with env.bot():
        refused = await env.alice.slash(thread, "veo track", id=ID)
        env.alice.say(thread, f"<@{env.discord.bot.id}> come in")
        await env.alice.slash(thread, "veo track", id=ID)
        await env.results(channel=thread)

    assert refused.ephemeral
    assert refused.message is not None
    assert "not a member of this private thread" in refused.message.content
    assert "Nothing was tracked" in refused.message.content


async def test_trouble_while_looking_refuses_nothing(env: InProcessEnv, thread: Channel):
    """Only Discord's own no is a no."""
    thread.add_member(env.discord.bot)
    env.api.create(ID).complete()
    async with env.bot():
        env.discord.faults.add(Fault(f"GET /channels/{thread.id}", status=503))
        card = await env.alice.slash(thread, "veo track", id=ID)
        [result] = await env.results(channel=thread)

    assert not card.ephemeral
    assert len(result.attachments) == 1


async def test_closed_private_thread_sends_its_result_privately(env: InProcessEnv, thread: Channel):
    """The channel above is public: neither the video nor the note appears there."""
    thread.add_member(env.discord.bot)
    task = env.api.create(ID)
    async with env.bot():
        await env.alice.slash(thread, "veo track", id=ID, note="for our eyes")
        thread.locked = True
        thread.archived = True
        task.complete()
        [told] = await env.discord.until(lambda: env.alice.direct_channel.messages)

    assert "for our eyes" in told.content
    assert len(told.attachments) == 1
    assert not [m for m in env.channel.messages if "for our eyes" in m.text]


async def test_result_follows_the_bot_back_into_a_private_thread(env: InProcessEnv, thread: Channel):
    """Removed before the result: a direct message; added again: the result without a request."""
    thread.add_member(env.discord.bot)
    task = env.api.create(ID)
    async with env.bot():
        await env.alice.slash(thread, "veo track", id=ID)
        thread.remove_member(env.discord.bot)
        task.complete()
        [told] = await env.discord.until(lambda: env.alice.direct_channel.messages)
        thread.add_member(env.discord.bot)
        [result] = await env.results(channel=thread)

    assert "as soon as I can see that channel again" in told.content
    assert len(result.attachments) == 1
