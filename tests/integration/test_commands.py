"""Commands, buttons and the message command, as people use them."""

from typing import Any

import pytest

from bot.chat.client import CourierClient
from bot.core.errors import StorageUnavailable
from bot.storage.lookups import Lookups
from bot.storage.tracking import TrackingQueries
from sandbox.discord import Message, Person
from sandbox.postgres import Server
from tests.integration.conftest import InProcessEnv

ID = "vgen_abc123def456"


async def private(env: InProcessEnv, person: Person, command: str, **options: object) -> str:
    reply = await person.slash(env.channel, command, **options)
    assert reply.message is not None
    assert reply.ephemeral
    return reply.message.content


async def finished(env: InProcessEnv, task_id: str = ID) -> Message:
    env.api.create(task_id).complete()
    await env.track(task_id)
    [result] = await env.results()
    card = env.channel.messages[0]
    await env.discord.until(lambda: str(result.id) in card.content)
    return result


async def test_untrack_stops_polling_and_shows_on_the_card(env: InProcessEnv):
    """Nobody waits for the task now, so it is not polled."""
    env.api.create(ID)
    async with env.bot():
        card = await env.track(ID)
        await env.api.until(lambda: len(env.api.polls_of(ID)) >= 1)
        answer = await private(env, env.alice, "veo untrack", id=ID)
        await env.discord.until(lambda: "stopped" in card.content and not card.buttons)
        asked = len(env.api.polls_of(ID))
        env.api.create("vgen_other")
        await env.track("vgen_other")
        await env.api.until(lambda: len(env.api.polls_of("vgen_other")) >= 3)

    assert answer.startswith("Stopped")
    assert len(env.api.polls_of(ID)) <= asked + 1


async def test_stranger_cannot_untrack_but_a_moderator_can(env: InProcessEnv):
    """The person who asked, or Manage Messages."""
    env.api.create(ID)
    async with env.bot():
        await env.track(ID)
        refused = await private(env, env.bob, "veo untrack", id=ID)
        env.guild.join(env.bob, manage_messages=True)
        allowed = await private(env, env.bob, "veo untrack", id=ID)

    assert "Manage Messages" in refused
    assert allowed.startswith("Stopped")


@pytest.mark.parametrize("command", ["veo status", "veo untrack", "veo redeliver"])
async def test_commands_about_an_untracked_id_say_so(env: InProcessEnv, command: str):
    """One sentence, and what to do instead."""
    async with env.bot():
        answer = await private(env, env.alice, command, id="vgen_never")

    assert "is not tracked in this channel" in answer


async def test_task_of_another_channel_is_invisible(env: InProcessEnv):
    """Status, list and suggestions know this channel only."""
    other = env.guild.add_channel("other")
    env.api.create(ID)
    async with env.bot():
        await env.track(ID)
        reply = await env.bob.slash(other, "veo status", id=ID)
        listed = await env.bob.slash(other, "veo list")
        choices = await env.bob.autocomplete(other, "veo status", focused="id", id="")

    assert reply.message is not None
    assert "is not tracked in this channel" in reply.message.content
    assert listed.message is not None
    assert ID not in listed.message.content
    assert choices == []


async def test_status_shows_the_apis_status_times_and_next_poll(env: InProcessEnv):
    """What is known of one task, privately."""
    task = env.api.create(ID)
    task.proceed()
    async with env.bot():
        card = await env.track(ID, note="cat")
        await env.discord.until(lambda: "being generated" in card.content)
        answer = await private(env, env.bob, "veo status", id=ID)

    assert "being generated since <t:" in answer
    assert "Last asked <t:" in answer
    assert "I ask again <t:" in answer
    assert "`cat`" in answer


async def test_autocomplete_offers_the_channels_ids_and_searches_notes(env: InProcessEnv):
    """Ids and notes are searched; the value is the id."""
    env.api.create("vgen_one")
    env.api.create("vgen_two")
    async with env.bot():
        await env.track("vgen_one", note="harbour")
        await env.track("vgen_two")
        every = await env.bob.autocomplete(env.channel, "veo status", focused="id", id="vgen")
        noted = await env.bob.autocomplete(env.channel, "veo untrack", focused="id", id="harb")

    assert [value for _, value in every] == ["vgen_two", "vgen_one"]
    assert [value for _, value in noted] == ["vgen_one"]


async def test_redeliver_posts_the_result_once_more(env: InProcessEnv):
    """A second message with another nonce, mentioning the person who asked this time."""
    async with env.bot():
        first = await finished(env)
        answer = await private(env, env.bob, "veo redeliver", id=ID)
        _, second = await env.results(2)

    assert f"I post `{ID}` here again" in answer
    assert second.nonce != first.nonce
    assert second.mentions == {env.bob.id}
    assert second.attachments[0].content == first.attachments[0].content


async def test_redeliver_of_an_open_task_says_that_it_has_no_result_yet(env: InProcessEnv):
    """Nothing is planned twice."""
    env.api.create(ID)
    async with env.bot():
        await env.track(ID)
        answer = await private(env, env.bob, "veo redeliver", id=ID)

    assert "no result yet" in answer


async def test_notify_me_too_mentions_that_person_as_well(env: InProcessEnv):
    """Pressed once: mentioned; pressed twice: not."""
    carol = env.discord.add_person("carol")
    env.guild.join(carol)
    task = env.api.create(ID)
    async with env.bot():
        card = await env.track(ID)
        # Its label counts the people, so that it changes with each press.
        bell = str(card.button("Notify me").custom_id)
        added = await env.bob.press(card, bell)
        await carol.press(card, bell)
        removed = await carol.press(card, bell)
        own = await env.alice.press(card, bell)
        task.complete()
        [result] = await env.results()

    assert result.mentions == {env.alice.id, env.bob.id}
    answers = [r.message.content for r in (added, removed, own) if r.message]
    told = ("I mention you too", "I will not mention you", "You asked for these yourself")
    assert [beginning in answer for beginning, answer in zip(told, answers, strict=True)] == [True] * 3


async def test_buttons_work_after_a_restart(env: InProcessEnv):
    """All they need is in their custom id."""
    task = env.api.create(ID)
    async with env.bot():
        card = await env.track(ID)
    async with env.bot():
        await env.bob.press(card, "Notify me")
        task.complete()
        [result] = await env.results()
    async with env.bot():
        await env.confirm(env.alice, result, "Delete")
        await env.discord.until(lambda: result not in env.channel.messages)

    assert result.mentions == {env.alice.id, env.bob.id}


async def test_delete_is_for_whoever_asked_and_for_moderators(env: InProcessEnv):
    """A stranger is told privately."""
    async with env.bot():
        result = await finished(env)
        refused = await env.bob.press(result, "Delete")
        assert refused.ephemeral
        assert result in env.channel.messages
        env.guild.join(env.bob, manage_messages=True)
        await env.confirm(env.bob, result, "Delete")
        await env.discord.until(lambda: result not in env.channel.messages)

    assert refused.message is not None
    assert "Manage Messages" in refused.message.content


async def test_message_command_finds_ids_in_somebodys_message(env: InProcessEnv):
    """Known shapes and result URLs in prose, nothing else."""
    env.api.create("vgen_said")
    env.api.create("sora_x1y2")
    async with env.bot():
        said = env.bob.say(env.channel, "look: vgen_said, and https://x.test/v1/result/sora_x1y2?a=1 ok")
        card = await env.alice.message_command(said, "Track Veo tasks")
        empty = env.bob.say(env.channel, "nothing in here")
        nothing = await env.alice.message_command(empty, "Track Veo tasks")

    assert card.message is not None
    assert "vgen_said" in card.message.content
    assert "sora_x1y2" in card.message.content
    assert nothing.ephemeral


EMBEDS: list[dict[str, Any]] = [
    {"title": "vgen_said1234"},
    {"description": "done: vgen_said1234 (see the log)"},
    {"url": "https://api.example/v1/result/vgen_said1234"},
    {"author": {"name": "vgen_said1234"}},
    {"footer": {"text": "task vgen_said1234"}},
    {"fields": [{"name": "id", "value": "vgen_said1234"}]},
    {"fields": [{"name": "vgen_said1234", "value": "queued"}]},
]


async def test_message_command_reads_embeds_and_forwards(env: InProcessEnv):
    """Other bots announce tasks in embeds, and people forward what they got elsewhere."""
    env.api.create("vgen_said1234")
    async with env.bot():
        for embed in EMBEDS:
            said = env.bob.say(env.channel, "")
            said.embeds = [embed]
            for message in (said, env.bob.forward(said, env.channel)):
                answer = await env.alice.message_command(message, "Track Veo tasks")
                assert answer.message is not None
                assert "`vgen_said1234`" in answer.message.content, embed


async def test_message_command_reads_the_text_of_a_forwarded_message(env: InProcessEnv):
    """A forward itself has no text."""
    env.api.create("vgen_said1234")
    async with env.bot():
        said = env.bob.forward(env.bob.say(env.channel, "it is vgen_said1234"), env.channel)
        card = await env.alice.message_command(said, "Track Veo tasks")

    assert card.message is not None
    assert "`vgen_said1234`" in card.message.content


async def test_hidden_history_is_mentioned_once_in_a_channel(env: InProcessEnv):
    """It is no reason to refuse: the result may only come twice, after a crash."""
    env.channel.deny(env.discord.bot, "read_message_history")
    env.api.create("vgen_t1").complete()
    env.api.create("vgen_t2").complete()
    async with env.bot():
        first = await env.track("vgen_t1")
        await env.discord.until(lambda: _private_answers(env))
        await env.track("vgen_t2")
        await env.results(2)

    assert "vgen_t1" in first.content
    assert ["Read Message History" in m.content for m in _private_answers(env)] == [True]


def _private_answers(env: InProcessEnv) -> list[Message]:
    return [message for message in env.alice.sees(env.channel) if message.ephemeral]


@pytest.mark.parametrize(
    ("right", "name"), [("attach_files", "Attach Files"), ("send_messages", "Send Messages")]
)
async def test_missing_permission_is_named_at_once_and_privately(env: InProcessEnv, right: str, name: str):
    """Checked before anything is registered."""
    env.channel.deny(env.discord.bot, right)
    async with env.bot():
        answer = await env.track(ID)

    assert answer.ephemeral
    assert f"**{name}**" in answer.content
    assert env.api.polls == []


async def test_thread_needs_its_own_permission(env: InProcessEnv):
    """Send Messages has no effect in a thread."""
    thread = env.channel.add_thread("clips")
    env.channel.deny(env.discord.bot, "send_messages_in_threads")
    async with env.bot():
        reply = await env.alice.slash(thread, "veo track", id=ID)

    assert reply.message is not None
    assert "**Send Messages in Threads**" in reply.message.content


async def test_server_without_the_bot_is_told_that_it_must_be_added(env: InProcessEnv):
    """An app can have commands in a server that its bot never joined."""
    foreign = env.discord.add_guild("Foreign", bot_member=False)
    foreign.join(env.alice)
    channel = foreign.add_channel("general")
    async with env.bot():
        reply = await env.alice.slash(channel, "veo track", id=ID)

    assert reply.message is not None
    assert reply.ephemeral
    assert "not a member" in reply.message.content


async def test_commands_are_registered_only_when_their_definition_changed(
    env: InProcessEnv, monkeypatch: pytest.MonkeyPatch
):
    """Discord allows 200 new commands a day: the hash of what it has is kept."""
    async with env.bot():
        pass
    async with env.bot():
        pass
    assert len(env.discord.registrations) == 1

    original = CourierClient.use

    def with_another_command(self: CourierClient, *args: object) -> None:
        original(self, *args)  # type: ignore[arg-type]
        self.tree.remove_command("veo")

    monkeypatch.setattr(CourierClient, "use", with_another_command)
    async with env.bot():
        pass
    assert len(env.discord.registrations) == 2


async def test_development_guild_gets_the_commands_for_itself(env: InProcessEnv):
    """DISCORD_GUILD_ID registers there and nowhere else."""
    async with env.bot(discord_guild_id=env.guild.id):
        answer = await private(env, env.alice, "veo list")

    [(scope, _)] = env.discord.registrations
    assert scope == env.guild.id
    assert answer


@pytest.mark.parametrize(
    ("error", "answered"),
    [
        (StorageUnavailable("the database did not answer: disk full"), "database does not answer"),
        (ZeroDivisionError("secret detail"), "Something went wrong on my side"),
    ],
)
async def test_failing_command_is_answered_without_the_exceptions_text(
    env: InProcessEnv, monkeypatch: pytest.MonkeyPatch, error: Exception, answered: str
):
    """One handler for all commands; the log has the rest."""

    async def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr(Lookups, "overview", broken)
    async with env.bot():
        answer = await private(env, env.alice, "veo list")

    assert answered in answer
    assert str(error) not in answer


@pytest.mark.parametrize("label", ["Notify me", "Delete"])
async def test_failing_button_is_answered_as_well(
    env: InProcessEnv, monkeypatch: pytest.MonkeyPatch, label: str
):
    """discord.py would log it and leave the person with a failed interaction."""

    async def broken(*_: object) -> None:
        raise StorageUnavailable("the database did not answer: locked")

    env.api.create(ID)
    async with env.bot():
        card = await env.track(ID)
        env.api.create("vgen_done").fail("no")
        await env.track("vgen_done")
        [result] = await env.results()
        monkeypatch.setattr(TrackingQueries, "watch", broken)
        monkeypatch.setattr(Lookups, "delivery", broken)
        pressed = await env.alice.press(card if label == "Notify me" else result, label)

    assert pressed.message is not None
    assert pressed.ephemeral
    assert "database does not answer" in pressed.message.content


@pytest.mark.parametrize("typed", ["nobody\0s", "nobody\ud800s"], ids=["NUL", "half a character"])
async def test_text_that_postgresql_refuses_finds_nothing(
    env: InProcessEnv, server: Server, brought_up: str, typed: str, caplog: pytest.LogCaptureFixture
):
    """No id holds such characters; the person gets an answer all the same."""
    async with env.bot(database_url=server.database(brought_up)):
        await env.track(ID)
        suggested = await env.alice.autocomplete(env.channel, "veo status", focused="id", id=typed)
        answer = await private(env, env.alice, "veo status", id=typed)

    assert suggested == []
    assert "`nobodys` is not tracked in this channel" in answer
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
