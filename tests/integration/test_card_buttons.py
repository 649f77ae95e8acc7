"""The buttons on a card: *Stop* with its question, and *Notify me* with how many people pressed it."""

import shutil

import pytest

from sandbox.discord import Message, Person
from sandbox.discord.message_parts import COMPONENTS_V2
from tests.integration.conftest import InProcessEnv

ID, OTHER = "vgen_abc123def456", "vgen_other"


async def ask_to_stop(person: Person, card: Message) -> Message:
    """Press *Stop*; returns the question."""
    asked = await person.press(card, "Stop")
    assert asked.message is not None
    assert asked.ephemeral
    return asked.message


def labels(message: Message) -> list[str | None]:
    return [button.label for button in message.buttons]


# -- stop ------------------------------------------------------------------------------------------


async def test_stop_asks_first_and_then_posts_nothing(env: InProcessEnv):
    """The question goes with the answer, and the card says that the video was stopped."""
    task = env.api.create(ID)
    async with env.bot():
        card = await env.track(ID)
        question = await ask_to_stop(env.alice, card)
        assert "Stop this video?" in question.text
        assert labels(question) == ["Yes, stop"]
        asked = len(env.api.polls_of(ID))
        await env.api.until(lambda: len(env.api.polls_of(ID)) > asked)
        assert labels(card) == ["Notify me", "Stop"]

        await env.alice.press(question, "Yes, stop")
        await env.discord.until(lambda: "1 video: stopped" in card.text)
        task.complete()
        env.api.create(OTHER).fail("no")
        await env.track(OTHER)
        results = await env.results()

    assert question.text.startswith("Stopped: nothing more will be posted here about it.")
    assert question.buttons == []
    assert card.buttons == []
    assert f"stopped by <@{env.alice.id}>" in card.text
    assert [OTHER in result.text for result in results] == [True]


async def test_stop_stops_what_is_still_open_of_many(env: InProcessEnv):
    """A video that is ready stays on the card."""
    tasks = [env.api.create(f"vgen_{number}") for number in range(3)]
    async with env.bot():
        card = await env.track("vgen_0 vgen_1 vgen_2")
        tasks[0].complete()
        [result] = await env.results()
        await env.discord.until(lambda: str(result.id) in card.text)
        question = await ask_to_stop(env.alice, card)
        assert "Stop these 2 videos?" in question.text
        await env.alice.press(question, "Yes, stop")
        await env.discord.until(lambda: "3 videos: 1 ready, 2 stopped" in card.text)

    assert "about these 2 videos" in question.text
    assert str(result.id) in card.text


async def test_stranger_may_not_stop_and_a_moderator_may(env: InProcessEnv):
    """The card names the moderator, and pings nobody."""
    env.api.create(ID)
    async with env.bot():
        card = await env.track(ID)
        refused = await env.bob.press(card, "Stop")
        env.guild.join(env.bob, manage_messages=True)
        question = await ask_to_stop(env.bob, card)
        await env.bob.press(question, "Yes, stop")
        await env.discord.until(lambda: f"stopped by <@{env.bob.id}>" in card.text)

    assert refused.ephemeral
    assert "Only the person who asked for these videos" in refused.text
    assert refused.message is not None
    assert refused.message.buttons == []
    assert card.mentions == set()


async def test_right_that_is_lost_before_the_answer_stops_nothing(env: InProcessEnv):
    """The question may stand there for hours: who may stop is checked again."""
    task = env.api.create(ID)
    env.guild.join(env.bob, manage_messages=True)
    async with env.bot():
        card = await env.track(ID)
        question = await ask_to_stop(env.bob, card)
        env.guild.join(env.bob)
        await env.bob.press(question, "Yes, stop")
        task.complete()
        [result] = await env.results()

    assert "Only the person who asked for these videos" in question.text
    assert result.attachments


async def test_end_before_the_answer_is_told(env: InProcessEnv):
    """First while the result is being posted, then when it is there."""
    task = env.api.create(ID)
    async with env.bot():
        card = await env.track(ID)
        early, late = await ask_to_stop(env.alice, card), await ask_to_stop(env.alice, card)
        upload = env.discord.hold(f"POST /channels/{env.channel.id}/messages")
        task.complete()
        await upload.reached()
        await env.alice.press(early, "Yes, stop")
        upload.release()
        [result] = await env.results()
        await env.discord.until(lambda: str(result.id) in card.text)
        await env.alice.press(late, "Yes, stop")

    assert early.text == "Too late to stop: the result is being posted right now."
    assert late.text == "Everything on this card has ended; there is nothing left to stop."


async def test_stop_after_a_restart(env: InProcessEnv):
    """All that the question and its answer need is in their custom ids."""
    env.api.create(ID)
    async with env.bot():
        card = await env.track(ID)
    async with env.bot():
        question = await ask_to_stop(env.alice, card)
    async with env.bot():
        await env.alice.press(question, "Yes, stop")
        await env.discord.until(lambda: "1 video: stopped" in card.text)

    assert env.channel.messages == [card]


async def test_stop_on_a_card_of_another_database_stops_nothing(env: InProcessEnv):
    """The new database gave the same number to another person's card, which alice may stop as a moderator."""
    env.guild.join(env.alice, manage_messages=True)
    env.api.create(ID)
    task = env.api.create(OTHER)
    async with env.bot():
        card = await env.track(ID)
        question = await ask_to_stop(env.alice, card)
    shutil.rmtree(env.folder / "data")
    async with env.bot():
        await env.bob.slash(env.channel, "veo track", id=OTHER)
        refused = await env.alice.press(card, "Stop")
        await env.alice.press(question, "Yes, stop")
        task.fail("no")
        await env.results()

    assert "I no longer know this card" in refused.text
    assert "I no longer know this card" in question.text


# -- notify me -------------------------------------------------------------------------------------


async def test_card_shows_how_many_are_notified(env: InProcessEnv):
    """The number follows each press, and goes when it is zero."""
    carol = env.discord.add_person("carol")
    env.guild.join(carol)
    env.api.create(ID)
    async with env.bot():
        card = await env.track(ID)
        for person, shown in (
            (env.bob, "Notify me (1)"),
            (carol, "Notify me (2)"),
            (env.bob, "Notify me (1)"),
            (carol, "Notify me"),
        ):
            button = card.buttons[0].custom_id
            assert button is not None
            await person.press(card, button)
            await env.discord.until(lambda wanted=shown: labels(card)[0] == wanted)  # type: ignore[misc]


# -- cards of version 0.1.0 ------------------------------------------------------------------------


@pytest.mark.parametrize("presses", [False, True], ids=["result", "old button"])
async def test_card_of_the_first_release_becomes_a_container(env: InProcessEnv, presses: bool):
    """It has content and a row of buttons, which a message with components may not keep."""
    task = env.api.create(ID)
    async with env.bot():
        card = await env.track(ID)
        number = str(card.buttons[0].custom_id).split(":")[2]
    write_as_the_first_release(card, number, env.alice)
    async with env.bot():
        assert labels(card) == ["Notify me too"]
        if presses:
            pressed = await env.bob.press(card, "Notify me too")
            assert "I mention you too" in pressed.text
            await env.discord.until(lambda: labels(card) == ["Notify me (1)", "Stop"])
        task.complete()
        [result] = await env.results()
        await env.discord.until(lambda: str(result.id) in card.text)

    assert card.is_v2
    assert card.sent_content == ""
    assert card.text.startswith("### 1 video: ready")
    assert card.accent_color == 0x23A55A
    assert result.mentions == {env.alice.id, *([env.bob.id] if presses else [])}


def write_as_the_first_release(card: Message, number: str, asker: Person) -> None:
    """Give the message the form that version 0.1.0 wrote: plain text, and one button without a nonce."""
    card.flags &= ~COMPONENTS_V2
    card.sent_content = (
        f"**Tracking a Veo task** for <@{asker.id}>. A video usually takes 2 to 5 minutes.\n"
        f"🕓 `{ID}` `queued`"
    )
    bell = {
        "type": 2,
        "id": 2,
        "style": 2,
        "label": "Notify me too",
        "emoji": {"name": "🔔"},
        "custom_id": f"veo:notify:{number}",
    }
    card.components = [{"type": 1, "id": 1, "components": [bell]}]
