"""`/veo forget-me`, from the command to the last row."""

import sqlite3
from contextlib import closing

from tests.integration.conftest import Scene

ID = "vgen_abc123def456"


def rows_naming(scene: Scene, user_id: int) -> list[str]:
    """Every table of the bot's file that holds the id."""
    with closing(sqlite3.connect(scene.folder / "data" / "bot.db")) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return [
            table
            for table in tables
            if any(
                user_id in row or str(user_id) in row for row in database.execute(f"SELECT * FROM {table}")
            )
        ]


async def test_person_is_forgotten_after_a_press_and_others_are_not(scene: Scene):
    scene.api.create(ID).complete()
    scene.api.create("vgen_open")
    scene.api.create("vgen_bobs")
    async with scene.bot():
        await scene.track(ID, note="mine")
        [result] = await scene.results()
        card = await scene.track("vgen_open")
        bobs = await scene.bob.slash(scene.channel, "veo track", id="vgen_bobs")
        assert bobs.message
        await scene.alice.press(bobs.message, "Notify me too")

        asked = await scene.alice.slash(scene.channel, "veo forget-me")
        assert asked.message
        assert asked.ephemeral
        assert "1 open and 1 ended" in asked.message.content
        assert rows_naming(scene, scene.alice.id)
        done = await scene.alice.press(asked.message, "Forget me")
        assert done.message
        assert "nothing is stored about you" in done.message.content
        await scene.discord.until(lambda: "had themselves forgotten" in card.content)
        again = await scene.alice.slash(scene.channel, "veo forget-me")
        assert again.message
        refused = await scene.alice.press(result, "Delete")
        scene.guild.join(scene.bob, manage_messages=True)
        await scene.bob.press(result, "Delete")
        await scene.discord.until(lambda: result.deleted)

    assert rows_naming(scene, scene.alice.id) == []
    assert rows_naming(scene, scene.bob.id) == ["deliveries"]
    assert f"<@{scene.alice.id}>" not in card.content
    assert not card.buttons
    assert again.message.content == "Nothing is stored about you."
    assert refused.message
    assert "Manage Messages" in refused.message.content


async def test_forgotten_task_posts_nothing(scene: Scene):
    task = scene.api.create(ID)
    async with scene.bot():
        await scene.track(ID)
        asked = await scene.alice.slash(scene.channel, "veo forget-me")
        assert asked.message
        await scene.alice.press(asked.message, "Forget me")
        task.complete()
        second = scene.api.create("vgen_second")
        second.fail("no")
        await scene.track("vgen_second")
        results = await scene.results()

    assert [ID in result.content for result in results] == [False]


async def test_button_from_before_a_restart_forgets_whoever_presses_it(scene: Scene):
    """Its custom id names nobody, and the new process knows it."""
    scene.api.create(ID)
    scene.api.create("vgen_bobs")
    async with scene.bot():
        await scene.track(ID)
        await scene.bob.slash(scene.channel, "veo track", id="vgen_bobs")
        asked = await scene.alice.slash(scene.channel, "veo forget-me")
        assert asked.message
    async with scene.bot():
        done = await scene.alice.press(asked.message, "Forget me")

    assert done.message
    assert done.ephemeral
    assert "nothing is stored about you" in done.message.content
    assert rows_naming(scene, scene.alice.id) == []
    assert rows_naming(scene, scene.bob.id) == ["deliveries"]


async def test_what_is_being_posted_is_told_and_goes_with_the_next_press(scene: Scene):
    """Its message is on the way; the answer asks for a second press."""
    task = scene.api.create(ID)
    async with scene.bot():
        await scene.track(ID)
        asked = await scene.alice.slash(scene.channel, "veo forget-me")
        assert asked.message
        upload = scene.discord.hold(f"POST /channels/{scene.channel.id}/messages")
        task.complete()
        await upload.reached()
        early = await scene.alice.press(asked.message, "Forget me")
        upload.release()
        [result] = await scene.results()
        card = scene.channel.messages[0]
        await scene.discord.until(lambda: str(result.id) in card.content)
        late = await scene.alice.press(asked.message, "Forget me")
        await scene.discord.until(lambda: "had themselves forgotten" in card.content)

    assert early.message
    assert "except for 1 being posted" in early.message.content
    assert late.message
    assert "nothing is stored about you" in late.message.content
    assert result.attachments
    assert rows_naming(scene, scene.alice.id) == []


async def test_moderator_is_forgotten_where_they_stopped_others(scene: Scene):
    """Nothing of their own is stored, and their name stands on somebody's card."""
    scene.api.create(ID)
    scene.guild.join(scene.bob, manage_messages=True)
    async with scene.bot():
        card = await scene.track(ID)
        await scene.bob.slash(scene.channel, "veo untrack", id=ID)
        await scene.discord.until(lambda: f"stopped by <@{scene.bob.id}>" in card.content)
        asked = await scene.bob.slash(scene.channel, "veo forget-me")
        assert asked.message
        await scene.bob.press(asked.message, "Forget me")
        await scene.discord.until(lambda: "stopped" in card.content and "stopped by" not in card.content)

    assert str(scene.bob.id) not in card.content
    assert rows_naming(scene, scene.bob.id) == []
    assert rows_naming(scene, scene.alice.id) == ["deliveries"]


async def test_buttons_of_forgotten_rows_answer(scene: Scene):
    """A result whose delivery is forgotten may be deleted by a moderator; a stranger is told who may."""
    scene.api.create(ID).complete()
    async with scene.bot():
        await scene.track(ID)
        [result] = await scene.results()
        asked = await scene.alice.slash(scene.channel, "veo forget-me")
        assert asked.message
        await scene.alice.press(asked.message, "Forget me")
        refused = await scene.bob.press(result, "Delete")
        again = await scene.alice.press(asked.message, "Forget me")
        redelivered = await scene.alice.slash(scene.channel, "veo redeliver", id=ID)
        status = await scene.alice.slash(scene.channel, "veo status", id=ID)
        listed = await scene.alice.slash(scene.channel, "veo list")

    answers = [reply.message.content if reply.message else "" for reply in (redelivered, status, listed)]
    assert refused.message
    assert "Manage Messages" in refused.message.content
    assert not result.deleted
    assert again.message
    assert "nothing is stored about you" in again.message.content
    assert ["not tracked" in answers[0], "not tracked" in answers[1]] == [True, True]
    assert answers[2].startswith("Nothing is tracked")
