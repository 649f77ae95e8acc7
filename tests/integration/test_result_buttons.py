"""The buttons on results and direct messages: *Post again*, and *Delete* with its question."""

import shutil

from sandbox.discord import Message, Person
from tests.integration.conftest import InProcessEnv

ID, OTHER = "vgen_abc123def456", "vgen_other"
DELETED = "its message was deleted"


async def ready(env: InProcessEnv) -> tuple[Message, Message]:
    """A card and its video."""
    env.api.create(ID).complete()
    card = await env.track(ID, note="harbour")
    [result] = await env.results()
    await env.discord.until(lambda: str(result.id) in card.text)
    return card, result


async def ask_to_delete(person: Person, message: Message) -> Message:
    """Press *Delete*; returns the question."""
    asked = await person.press(message, "Delete")
    assert asked.message is not None
    assert asked.ephemeral
    assert [button.label for button in asked.message.buttons] == ["Yes, delete"]
    return asked.message


# -- post again ------------------------------------------------------------------------------------


async def test_post_again_posts_once_more_for_the_person_who_presses(env: InProcessEnv):
    """As `/veo redeliver` does: the same file and note, another mention."""
    async with env.bot():
        _, first = await ready(env)
        pressed = await env.bob.press(first, "Post again")
        _, second = await env.results(2)

    assert pressed.ephemeral
    assert pressed.text == f"I post `{ID}` here again in a moment."
    assert second.attachments[0].content == first.attachments[0].content
    assert second.mentions == {env.bob.id}
    assert "`harbour`" in second.text
    assert second.nonce != first.nonce


async def test_post_again_without_the_permission_names_it(env: InProcessEnv):
    async with env.bot():
        _, result = await ready(env)
        env.channel.deny(env.discord.bot, "attach_files")
        refused = await env.bob.press(result, "Post again")
        env.channel.allow(env.discord.bot, "attach_files")
        await env.bob.press(result, "Post again")
        results = await env.results(2)

    assert refused.ephemeral
    assert "**Attach Files**" in refused.text
    assert len(results) == 2


async def test_post_again_of_a_message_of_another_database_posts_nothing(env: InProcessEnv):
    """The new database gave the same number to another result."""
    async with env.bot():
        _, old = await ready(env)
    shutil.rmtree(env.folder / "data")
    env.api.create(OTHER).fail("no")
    async with env.bot():
        await env.bob.slash(env.channel, "veo track", id=OTHER)
        before = await env.results(2)
        refused = await env.alice.press(old, "Post again")
        env.api.create("vgen_third").fail("no")
        await env.track("vgen_third")
        after = await env.results(3)

    assert refused.ephemeral
    assert "I no longer know whose message this is." in refused.text
    assert [message in before or "vgen_third" in message.text for message in after] == [True] * 3


async def test_only_videos_are_posted_again(env: InProcessEnv):
    """A reason has nothing to post again."""
    env.api.create(ID).fail("no")
    async with env.bot():
        await env.track(ID)
        [result] = await env.results()

    assert [button.label for button in result.buttons] == ["Delete"]


# -- delete ----------------------------------------------------------------------------------------


async def test_delete_asks_first_and_the_card_says_that_it_was_deleted(env: InProcessEnv):
    """The card and `/veo status` have no link to a message that is gone."""
    async with env.bot():
        card, result = await ready(env)
        question = await ask_to_delete(env.alice, result)
        assert question.text.startswith("Delete this video for everybody?")
        assert not result.deleted
        await env.alice.press(question, "Yes, delete")
        await env.discord.until(lambda: result.deleted and DELETED in card.text)
        await env.discord.until(lambda: question.text == "Deleted.")
        status = await env.alice.slash(env.channel, "veo status", id=ID)

    assert question.buttons == []
    assert str(result.id) not in card.text
    assert DELETED in status.text


async def test_delete_of_a_reason_does_not_speak_of_a_video(env: InProcessEnv):
    env.api.create(ID).fail("no")
    async with env.bot():
        await env.track(ID)
        [result] = await env.results()
        question = await ask_to_delete(env.alice, result)

    assert question.text == "Delete this message for everybody?"


async def test_another_persons_result_is_deleted_by_moderators_alone(env: InProcessEnv):
    """Who may delete is checked again with the answer to the question."""
    async with env.bot():
        card, result = await ready(env)
        refused = await env.bob.press(result, "Delete")
        env.guild.join(env.bob, manage_messages=True)
        first, second = await ask_to_delete(env.bob, result), await ask_to_delete(env.bob, result)
        env.guild.join(env.bob)
        await env.bob.press(first, "Yes, delete")
        assert not result.deleted
        env.guild.join(env.bob, manage_messages=True)
        await env.bob.press(second, "Yes, delete")
        await env.discord.until(lambda: result.deleted and DELETED in card.text)

    assert refused.message is not None
    assert refused.message.buttons == []
    assert "Only the person who asked for it" in refused.text
    assert "Only the person who asked for it" in first.text
    assert first.buttons == []


async def test_message_that_is_gone_already_counts_as_deleted(env: InProcessEnv):
    """A moderator deleted it in Discord while the question was open."""
    env.guild.join(env.bob, manage_messages=True)
    async with env.bot():
        card, result = await ready(env)
        question = await ask_to_delete(env.alice, result)
        env.bob.delete(result)
        await env.alice.press(question, "Yes, delete")
        await env.discord.until(lambda: question.text == "Deleted." and DELETED in card.text)

    assert not any(message.attachments for message in env.channel.messages)


async def test_deleted_video_is_posted_again_by_the_command(env: InProcessEnv):
    """While the API's link lives."""
    async with env.bot():
        _, first = await ready(env)
        await env.confirm(env.alice, first, "Delete")
        await env.discord.until(lambda: first.deleted)
        await env.alice.slash(env.channel, "veo redeliver", id=ID)
        [second] = await env.discord.until(lambda: [m for m in env.channel.messages if m.attachments])

    assert second.attachments[0].content == first.attachments[0].content


async def test_direct_message_is_deleted_after_its_question(env: InProcessEnv):
    """It belongs to the person it was sent to."""
    task = env.api.create(ID)
    async with env.bot():
        await env.track(ID)
        env.channel.deny(env.discord.bot, "view_channel")
        task.complete()
        [told] = await env.discord.until(lambda: env.alice.direct_channel.messages)
        question = await ask_to_delete(env.alice, told)
        assert question.text.startswith("Delete this message?")
        assert not told.deleted
        await env.alice.press(question, "Yes, delete")
        await env.discord.until(lambda: told.deleted and question.text == "Deleted.")

    assert question.buttons == []
