"""Commands, buttons and the message command, as people use them."""

import pytest

from bot.chat.client import CourierClient
from bot.core.errors import StorageUnavailable
from bot.work.registry import Registry
from sandbox.discord import Message, Person
from sandbox.postgres import Server
from tests.integration.conftest import Scene

ID = "vgen_abc123def456"


async def private(scene: Scene, person: Person, command: str, **options: object) -> str:
    reply = await person.slash(scene.channel, command, **options)
    assert reply.message is not None
    assert reply.ephemeral
    return reply.message.content


async def finished(scene: Scene, task_id: str = ID) -> Message:
    scene.api.create(task_id).complete()
    await scene.track(task_id)
    [result] = await scene.results()
    card = scene.channel.messages[0]
    await scene.discord.until(lambda: str(result.id) in card.content)
    return result


async def test_untrack_stops_polling_and_shows_on_the_card(scene: Scene):
    """Nobody waits any more, so nobody asks any more."""
    scene.api.create(ID)
    async with scene.bot():
        card = await scene.track(ID)
        await scene.api.until(lambda: len(scene.api.polls_of(ID)) >= 1)
        answer = await private(scene, scene.alice, "veo untrack", id=ID)
        await scene.discord.until(lambda: "stopped" in card.content and not card.buttons)
        asked = len(scene.api.polls_of(ID))
        scene.api.create("vgen_other")
        await scene.track("vgen_other")
        await scene.api.until(lambda: len(scene.api.polls_of("vgen_other")) >= 3)

    assert answer.startswith("Stopped")
    assert len(scene.api.polls_of(ID)) <= asked + 1


async def test_stranger_cannot_untrack_but_a_moderator_can(scene: Scene):
    """Whoever asked, or Manage Messages."""
    scene.api.create(ID)
    async with scene.bot():
        await scene.track(ID)
        refused = await private(scene, scene.bob, "veo untrack", id=ID)
        scene.guild.join(scene.bob, manage_messages=True)
        allowed = await private(scene, scene.bob, "veo untrack", id=ID)

    assert "Manage Messages" in refused
    assert allowed.startswith("Stopped")


@pytest.mark.parametrize("command", ["veo status", "veo untrack", "veo redeliver"])
async def test_commands_about_an_untracked_id_say_so(scene: Scene, command: str):
    """One sentence, and what to do instead."""
    async with scene.bot():
        answer = await private(scene, scene.alice, command, id="vgen_never")

    assert "is not tracked in this channel" in answer


async def test_task_of_another_channel_is_invisible(scene: Scene):
    """Status, list and suggestions know this channel only."""
    other = scene.guild.add_channel("other")
    scene.api.create(ID)
    async with scene.bot():
        await scene.track(ID)
        reply = await scene.bob.slash(other, "veo status", id=ID)
        listed = await scene.bob.slash(other, "veo list")
        choices = await scene.bob.autocomplete(other, "veo status", focused="id", id="")

    assert reply.message is not None
    assert "is not tracked in this channel" in reply.message.content
    assert listed.message is not None
    assert ID not in listed.message.content
    assert choices == []


async def test_status_tells_word_times_and_next_question(scene: Scene):
    """What is known of one task, privately."""
    task = scene.api.create(ID)
    task.proceed()
    async with scene.bot():
        card = await scene.track(ID, note="cat")
        await scene.discord.until(lambda: "processing" in card.content)
        answer = await private(scene, scene.bob, "veo status", id=ID)

    assert "`processing`" in answer
    assert "Last asked <t:" in answer
    assert "Next question <t:" in answer
    assert "`cat`" in answer


async def test_autocomplete_offers_the_channels_ids_and_searches_notes(scene: Scene):
    """Ids and notes are searched; the value is the id."""
    scene.api.create("vgen_one")
    scene.api.create("vgen_two")
    async with scene.bot():
        await scene.track("vgen_one", note="harbour")
        await scene.track("vgen_two")
        every = await scene.bob.autocomplete(scene.channel, "veo status", focused="id", id="vgen")
        noted = await scene.bob.autocomplete(scene.channel, "veo untrack", focused="id", id="harb")

    assert [value for _, value in every] == ["vgen_two", "vgen_one"]
    assert [value for _, value in noted] == ["vgen_one"]


async def test_redeliver_posts_the_result_once_more(scene: Scene):
    """A second message with another nonce, mentioning whoever asked this time."""
    async with scene.bot():
        first = await finished(scene)
        answer = await private(scene, scene.bob, "veo redeliver", id=ID)
        _, second = await scene.results(2)

    assert "on its way" in answer
    assert second.nonce != first.nonce
    assert second.mentions == {scene.bob.id}
    assert second.attachments[0].content == first.attachments[0].content


async def test_redeliver_of_an_open_task_says_that_it_has_no_result_yet(scene: Scene):
    """Nothing is planned twice."""
    scene.api.create(ID)
    async with scene.bot():
        await scene.track(ID)
        answer = await private(scene, scene.bob, "veo redeliver", id=ID)

    assert "no result yet" in answer


async def test_notify_me_too_mentions_that_person_as_well(scene: Scene):
    """Pressed once: mentioned; pressed twice: not."""
    carol = scene.discord.add_person("carol")
    scene.guild.join(carol)
    task = scene.api.create(ID)
    async with scene.bot():
        card = await scene.track(ID)
        added = await scene.bob.press(card, "Notify me too")
        await carol.press(card, "Notify me too")
        removed = await carol.press(card, "Notify me too")
        own = await scene.alice.press(card, "Notify me too")
        task.complete()
        [result] = await scene.results()

    assert result.mentions == {scene.alice.id, scene.bob.id}
    answers = [r.message.content for r in (added, removed, own) if r.message]
    assert [a.split()[3] for a in answers] == ["mentioned", "be", "these"]


async def test_buttons_work_after_a_restart(scene: Scene):
    """All they need is in their custom id."""
    task = scene.api.create(ID)
    async with scene.bot():
        card = await scene.track(ID)
    async with scene.bot():
        await scene.bob.press(card, "Notify me too")
        task.complete()
        [result] = await scene.results()
    async with scene.bot():
        await scene.alice.press(result, "Delete")
        await scene.discord.until(lambda: result not in scene.channel.messages)

    assert result.mentions == {scene.alice.id, scene.bob.id}


async def test_delete_is_for_whoever_asked_and_for_moderators(scene: Scene):
    """A stranger is told privately."""
    async with scene.bot():
        result = await finished(scene)
        refused = await scene.bob.press(result, "Delete")
        assert refused.ephemeral
        assert result in scene.channel.messages
        scene.guild.join(scene.bob, manage_messages=True)
        await scene.bob.press(result, "Delete")
        await scene.discord.until(lambda: result not in scene.channel.messages)

    assert refused.message is not None
    assert "Manage Messages" in refused.message.content


async def test_message_command_finds_ids_in_somebodys_message(scene: Scene):
    """Known shapes and result URLs in prose, nothing else."""
    scene.api.create("vgen_said")
    scene.api.create("sora_x1y2")
    async with scene.bot():
        said = scene.bob.say(scene.channel, "look: vgen_said, and https://x.test/v1/result/sora_x1y2?a=1 ok")
        card = await scene.alice.message_command(said, "Track Veo tasks")
        empty = scene.bob.say(scene.channel, "nothing in here")
        nothing = await scene.alice.message_command(empty, "Track Veo tasks")

    assert card.message is not None
    assert "vgen_said" in card.message.content
    assert "sora_x1y2" in card.message.content
    assert nothing.ephemeral


@pytest.mark.parametrize(
    ("right", "name"), [("attach_files", "Attach Files"), ("send_messages", "Send Messages")]
)
async def test_missing_permission_is_named_at_once_and_privately(scene: Scene, right: str, name: str):
    """Asked before anything is registered."""
    scene.channel.deny(scene.discord.bot, right)
    async with scene.bot():
        answer = await scene.track(ID)

    assert answer.ephemeral
    assert f"**{name}**" in answer.content
    assert scene.api.polls == []


async def test_thread_needs_its_own_permission(scene: Scene):
    """Send Messages has no effect in a thread."""
    thread = scene.channel.add_thread("clips")
    scene.channel.deny(scene.discord.bot, "send_messages_in_threads")
    async with scene.bot():
        reply = await scene.alice.slash(thread, "veo track", id=ID)

    assert reply.message is not None
    assert "**Send Messages in Threads**" in reply.message.content


async def test_server_without_the_bot_is_told_that_it_must_be_added(scene: Scene):
    """An app can have commands in a server that its bot never joined."""
    foreign = scene.discord.add_guild("Foreign", bot_member=False)
    foreign.join(scene.alice)
    channel = foreign.add_channel("general")
    async with scene.bot():
        reply = await scene.alice.slash(channel, "veo track", id=ID)

    assert reply.message is not None
    assert reply.ephemeral
    assert "not a member" in reply.message.content


async def test_commands_are_registered_only_when_their_definition_changed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
):
    """Discord allows 200 new commands a day: the hash of what it has is kept."""
    async with scene.bot():
        pass
    async with scene.bot():
        pass
    assert len(scene.discord.registrations) == 1

    original = CourierClient.use

    def with_another_command(self: CourierClient, *args: object) -> None:
        original(self, *args)  # type: ignore[arg-type]
        self.tree.remove_command("veo")

    monkeypatch.setattr(CourierClient, "use", with_another_command)
    async with scene.bot():
        pass
    assert len(scene.discord.registrations) == 2


async def test_development_guild_gets_the_commands_for_itself(scene: Scene):
    """DISCORD_GUILD_ID registers there and nowhere else."""
    async with scene.bot(discord_guild_id=scene.guild.id):
        answer = await private(scene, scene.alice, "veo list")

    [(scope, _)] = scene.discord.registrations
    assert scope == scene.guild.id
    assert answer


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (StorageUnavailable("the database did not answer: disk full"), "database does not answer"),
        (ZeroDivisionError("secret detail"), "Something went wrong on my side"),
    ],
)
async def test_failing_command_is_told_without_the_exceptions_text(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, error: Exception, told: str
):
    """One handler for all commands; the log has the rest."""

    async def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr(Registry, "overview", broken)
    async with scene.bot():
        answer = await private(scene, scene.alice, "veo list")

    assert told in answer
    assert str(error) not in answer


@pytest.mark.parametrize("label", ["Notify me too", "Delete"])
async def test_failing_button_is_told_as_well(scene: Scene, monkeypatch: pytest.MonkeyPatch, label: str):
    """discord.py would log it and leave the person with a failed interaction."""

    async def broken(*_: object) -> None:
        raise StorageUnavailable("the database did not answer: locked")

    scene.api.create(ID)
    async with scene.bot():
        card = await scene.track(ID)
        scene.api.create("vgen_done").fail("no")
        await scene.track("vgen_done")
        [result] = await scene.results()
        monkeypatch.setattr(Registry, "watch", broken)
        monkeypatch.setattr(Registry, "delivery", broken)
        pressed = await scene.alice.press(card if label == "Notify me too" else result, label)

    assert pressed.message is not None
    assert pressed.ephemeral
    assert "database does not answer" in pressed.message.content


@pytest.mark.parametrize("typed", ["nobody\0s", "nobody\ud800s"], ids=["NUL", "half a character"])
async def test_text_that_postgresql_refuses_finds_nothing(
    scene: Scene, server: Server, brought_up: str, typed: str, caplog: pytest.LogCaptureFixture
):
    """No id holds such characters; whoever types one gets an answer like anybody else."""
    async with scene.bot(database_url=server.database(brought_up)):
        await scene.track(ID)
        suggested = await scene.alice.autocomplete(scene.channel, "veo status", focused="id", id=typed)
        answer = await private(scene, scene.alice, "veo status", id=typed)

    assert suggested == []
    assert "`nobodys` is not tracked in this channel" in answer
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
