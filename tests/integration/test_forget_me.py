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
