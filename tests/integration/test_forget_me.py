"""`/veo forget-me`, from the command to the last row."""

import sqlite3
from contextlib import closing

from tests.integration.conftest import InProcessEnv

ID = "vgen_abc123def456"


def rows_naming(env: InProcessEnv, user_id: int) -> list[str]:
    """Every table of the bot's file that holds the id."""
    with closing(sqlite3.connect(env.folder / "data" / "bot.db")) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return [
            table
            for table in tables
            if any(
                user_id in row or str(user_id) in row for row in database.execute(f"SELECT * FROM {table}")
            )
        ]


async def test_person_is_forgotten_after_a_press_and_others_are_not(env: InProcessEnv):
    env.api.create(ID).complete()
    env.api.create("vgen_open")
    env.api.create("vgen_bobs")
    async with env.bot():
        await env.track(ID, note="mine")
        [result] = await env.results()
        card = await env.track("vgen_open")
        bobs = await env.bob.slash(env.channel, "veo track", id="vgen_bobs")
        assert bobs.message
        await env.alice.press(bobs.message, "Notify me")

        asked = await env.alice.slash(env.channel, "veo forget-me")
        assert asked.message
        assert asked.ephemeral
        assert "2 requests (1 open)" in asked.message.content
        assert rows_naming(env, env.alice.id)
        done = await env.alice.press(asked.message, "Forget me")
        assert done.message
        assert "nothing is stored about you" in done.message.content
        await env.discord.until(lambda: "removed this request" in card.content)
        again = await env.alice.slash(env.channel, "veo forget-me")
        assert again.message
        refused = await env.alice.press(result, "Delete")
        env.guild.join(env.bob, manage_messages=True)
        await env.confirm(env.bob, result, "Delete")
        await env.discord.until(lambda: result.deleted)

    assert rows_naming(env, env.alice.id) == []
    assert rows_naming(env, env.bob.id) == ["deliveries"]
    assert f"<@{env.alice.id}>" not in card.content
    assert not card.buttons
    assert again.message.content == "Nothing is stored about you."
    assert refused.message
    assert "Manage Messages" in refused.message.content


async def test_forgotten_task_posts_nothing(env: InProcessEnv):
    task = env.api.create(ID)
    async with env.bot():
        await env.track(ID)
        asked = await env.alice.slash(env.channel, "veo forget-me")
        assert asked.message
        await env.alice.press(asked.message, "Forget me")
        task.complete()
        second = env.api.create("vgen_second")
        second.fail("no")
        await env.track("vgen_second")
        results = await env.results()

    assert [ID in result.content for result in results] == [False]


async def test_button_from_before_a_restart_forgets_whoever_presses_it(env: InProcessEnv):
    """Its custom id names nobody, and the new process knows it."""
    env.api.create(ID)
    env.api.create("vgen_bobs")
    async with env.bot():
        await env.track(ID)
        await env.bob.slash(env.channel, "veo track", id="vgen_bobs")
        asked = await env.alice.slash(env.channel, "veo forget-me")
        assert asked.message
    async with env.bot():
        done = await env.alice.press(asked.message, "Forget me")

    assert done.message
    assert done.ephemeral
    assert "nothing is stored about you" in done.message.content
    assert rows_naming(env, env.alice.id) == []
    assert rows_naming(env, env.bob.id) == ["deliveries"]


async def test_what_is_being_posted_is_told_and_goes_the_next_time(env: InProcessEnv):
    """Its message is on the way; the answer asks to use the command again."""
    task = env.api.create(ID)
    async with env.bot():
        await env.track(ID)
        asked = await env.alice.slash(env.channel, "veo forget-me")
        assert asked.message
        upload = env.discord.hold(f"POST /channels/{env.channel.id}/messages")
        task.complete()
        await upload.reached()
        early = await env.alice.press(asked.message, "Forget me")
        assert early.message is not None
        first_answer = early.message.content
        upload.release()
        [result] = await env.results()
        card = env.channel.messages[0]
        await env.discord.until(lambda: str(result.id) in card.content)
        asked = await env.alice.slash(env.channel, "veo forget-me")
        assert asked.message
        late = await env.alice.press(asked.message, "Forget me")
        await env.discord.until(lambda: "removed this request" in card.content)

    assert "one video that is being posted right now" in first_answer
    assert late.message
    assert "nothing is stored about you" in late.message.content
    assert result.attachments
    assert rows_naming(env, env.alice.id) == []


async def test_moderator_is_forgotten_where_they_stopped_others(env: InProcessEnv):
    """Nothing of their own is stored, and their name stands on somebody's card."""
    env.api.create(ID)
    env.guild.join(env.bob, manage_messages=True)
    async with env.bot():
        card = await env.track(ID)
        await env.bob.slash(env.channel, "veo untrack", id=ID)
        await env.discord.until(lambda: f"stopped by <@{env.bob.id}>" in card.content)
        asked = await env.bob.slash(env.channel, "veo forget-me")
        assert asked.message
        await env.bob.press(asked.message, "Forget me")
        await env.discord.until(lambda: "stopped" in card.content and "stopped by" not in card.content)

    assert str(env.bob.id) not in card.content
    assert rows_naming(env, env.bob.id) == []
    assert rows_naming(env, env.alice.id) == ["deliveries"]


async def test_buttons_of_forgotten_rows_answer(env: InProcessEnv):
    """A result whose delivery is forgotten may be deleted by a moderator; a stranger is told who may."""
    env.api.create(ID).complete()
    async with env.bot():
        await env.track(ID)
        [result] = await env.results()
        asked = await env.alice.slash(env.channel, "veo forget-me")
        assert asked.message
        forgotten = await env.alice.press(asked.message, "Forget me")
        refused = await env.bob.press(result, "Delete")
        redelivered = await env.alice.slash(env.channel, "veo redeliver", id=ID)
        status = await env.alice.slash(env.channel, "veo status", id=ID)
        listed = await env.alice.slash(env.channel, "veo list")

    answers = [reply.message.content if reply.message else "" for reply in (redelivered, status, listed)]
    assert refused.message
    assert "Manage Messages" in refused.message.content
    assert not result.deleted
    assert forgotten.message
    assert "nothing is stored about you" in forgotten.message.content
    assert forgotten.message.buttons == []
    assert ["not tracked" in answers[0], "not tracked" in answers[1]] == [True, True]
    assert answers[2].startswith("No video is tracked")
