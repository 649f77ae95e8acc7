"""From `/veo track` to the result message, as a channel shows it."""

import itertools
import sqlite3
from contextlib import closing

import pytest

from bot.work import downloading
from sandbox.faults import Fault
from sandbox.video_api import CLIP
from tests.integration.conftest import POLL_INTERVAL, InProcessEnv
from tests.results import tracked_id

ID = "vgen_abc123def456"


async def test_completed_task_is_posted_with_the_apis_bytes_and_mentions_only_the_asker(env: InProcessEnv):
    """The main job: one attachment veo_<id>.mp4, the same bytes, one ping."""
    task = env.api.create(ID)
    async with env.bot():
        await env.track(ID, note="harbour")
        task.complete()
        [result] = await env.results()

    [attachment] = result.attachments
    assert attachment.filename == f"veo_{ID}.mp4"
    assert attachment.content == b"".join(CLIP.chunks())
    assert result.mentions == {env.alice.id}
    assert f"`{ID}`" in result.content
    assert "`harbour`" in result.content
    assert [b.label for b in result.buttons] == ["Original", "Post again", "Delete"]


async def test_failed_task_tells_the_apis_reason_as_plain_text(env: InProcessEnv):
    """The reason is shown word for word, and the person who asked is told."""
    reason = "This prompt contains words that violate Vertex AI's usage guidelines. Support codes: 29310472"
    env.api.create(ID).fail(reason)
    async with env.bot():
        await env.track(ID)
        [result] = await env.results()

    assert reason in result.content
    assert ID in result.content
    assert result.mentions == {env.alice.id}
    assert not result.attachments


async def test_unknown_id_is_said_and_nothing_stays_open(env: InProcessEnv):
    """The card says so at once; after 6 intervals a mistyped id is reported, and polled no more."""
    async with env.bot():
        card = await env.track("vgen_typo")
        await env.discord.until(lambda: "does not know it (yet)" in card.content)
        [result] = await env.results()
        await env.discord.until(lambda: str(result.id) in card.content)
        listed = await env.alice.slash(env.channel, "veo list")

    assert "does not know this id" in result.content
    polls = env.api.polls_of("vgen_typo")
    assert 3 <= len(polls) <= 7
    assert polls[-1].at - polls[0].at >= 6 * POLL_INTERVAL - 0.1
    assert listed.message is not None
    assert "On the way" not in listed.message.content


async def test_card_follows_the_api_and_is_edited_only_when_a_state_changes(env: InProcessEnv):
    """Polls that bring nothing new edit nothing."""
    task = env.api.create(ID)
    async with env.bot():
        card = await env.track(ID)
        await env.discord.until(lambda: "in the queue" in card.content)
        edits = len(card.edits)
        await env.api.until(lambda: len(env.api.polls_of(ID)) >= 4)
        assert len(card.edits) == edits
        task.set_status("upscaling")
        await env.discord.until(lambda: "`upscaling`" in card.content)
        task.complete()
        [result] = await env.results()
        await env.discord.until(lambda: str(result.id) in card.content and not card.buttons)

    assert "2 to 5 minutes" in card.edits[0]
    assert "2 to 5 minutes" not in card.content


@pytest.mark.parametrize("reads", [True, False])
async def test_card_whose_message_was_never_stored_is_found(env: InProcessEnv, reads: bool):
    """The bot was killed between Discord's answer and the commit. Without its history the card stays."""
    task = env.api.create(ID)
    async with env.bot():
        card = await env.track(ID)
        await env.discord.until(lambda: "in the queue" in card.content)
    with closing(sqlite3.connect(env.folder / "data" / "bot.db")) as database, database:
        database.execute("UPDATE cards SET message_id = NULL, due_at = NULL")
    if not reads:
        env.channel.deny(env.discord.bot, "read_message_history")
    task.complete()
    async with env.bot(lease_time=1):
        [result] = await env.results()
        if reads:
            await env.discord.until(lambda: str(result.id) in card.content)
        else:
            await env.discord.until(lambda: env.discord.requests("GET", "*/messages"))

    assert (str(result.id) in card.content) is reads


async def test_answer_that_arrived_is_the_only_card(env: InProcessEnv):
    """The connection broke before Discord said that it has taken the answer."""
    task = env.api.create(ID)
    env.discord.faults.add(Fault("POST /interactions/*", cut="after", times=1))
    async with env.bot():
        await env.alice.slash(env.channel, "veo track", id=ID)
        task.complete()
        [result] = await env.results()
        await env.discord.until(lambda: str(result.id) in env.channel.messages[0].content)

    assert [message.is_v2 for message in env.channel.messages] == [True, False]


async def test_twenty_ids_share_one_card_and_each_gets_its_result(env: InProcessEnv):
    """One card shows them all; a 21st id is refused."""
    ids = [f"vgen_{n:012d}" for n in range(20)]
    for task_id in ids:
        env.api.create(task_id).fail("no")
    async with env.bot():
        refused = await env.track(" ".join([*ids, "vgen_21"]))
        assert refused.ephemeral
        assert "21 ids" in refused.content
        card = await env.track(", ".join(ids))
        assert all(f"…{task_id[-4:]}`" in card.content for task_id in ids)
        results = await env.results(20)

    assert {tracked_id(m) for m in results} == set(ids)


async def test_json_reply_and_url_can_be_pasted(env: InProcessEnv):
    """What the API gave is what people paste."""
    env.api.create("vgen_json")
    env.api.create("vgen_url")
    async with env.bot():
        json_card = await env.track('{"id":"vgen_json","object":"video","status":"queued"}')
        url_card = await env.track("https://zcbservice.example/kyyReactApiServer/v1/result/vgen_url")

    assert "`vgen_json`" in json_card.edits[0] if json_card.edits else "`vgen_json`" in json_card.content
    assert "vgen_url" in url_card.content


@pytest.mark.parametrize("text", ["ä", "vgen abc/def", "x" * 129, "https://example.com/", "..", '{"id": 5}'])
async def test_malformed_id_is_told_privately_and_nothing_is_stored(env: InProcessEnv, text: str):
    """Bad input is one sentence for the person who typed it."""
    async with env.bot():
        answer = await env.track(text)
        listed = await env.alice.slash(env.channel, "veo list")

    assert answer.ephemeral
    assert "Nothing was tracked" in answer.content
    assert env.channel.messages == []
    assert listed.message is not None
    assert listed.message.content.startswith("No video is tracked")


async def test_same_id_again_is_answered_with_a_link_to_the_first_card(env: InProcessEnv):
    """No second delivery, no second card."""
    env.api.create(ID)
    async with env.bot():
        card = await env.track(ID)
        again = await env.bob.slash(env.channel, "veo track", id=f"{ID} vgen_new")
        only_again = await env.bob.slash(env.channel, "veo track", id=ID)

    [private] = again.followups
    assert private.ephemeral
    assert f"/{env.channel.id}/{card.id}" in private.content
    assert again.message is not None
    assert ID not in again.message.content
    assert only_again.ephemeral


async def test_task_of_two_channels_is_polled_once_and_posted_in_both(env: InProcessEnv):
    """One row per task, one delivery per channel, one download."""
    other = env.guild.add_channel("other")
    task = env.api.create(ID)
    async with env.bot():
        await env.track(ID)
        await env.bob.slash(other, "veo track", id=ID)
        await env.api.until(lambda: len(env.api.polls_of(ID)) >= 3)
        polled = [poll.at for poll in env.api.polls_of(ID)]
        task.complete()
        [first] = await env.results()
        [second] = await env.results(channel=other)

    assert all(later - earlier > 0.19 for earlier, later in itertools.pairwise(polled))
    assert first.attachments[0].content == second.attachments[0].content
    assert second.mentions == {env.bob.id}
    assert len(env.api.downloads) == 1


async def test_thread_and_voice_chat_get_their_results(env: InProcessEnv):
    """Threads and voice chats are channels like others."""
    thread = env.channel.add_thread("clips")
    voice = env.guild.add_channel("lounge", kind="voice")
    async with env.bot():
        for n, place in enumerate((thread, voice)):
            env.api.create(f"vgen_{n}").complete()
            await env.alice.slash(place, "veo track", id=f"vgen_{n}")
            assert await env.results(channel=place)


async def test_hostile_reason_and_note_ping_nobody_else_and_fit(env: InProcessEnv):
    """Text from outside can never ping, forge markdown or exceed 2,000 characters."""
    hostile = f"@everyone <@{env.bob.id}> ```\n**bold** `x` \x00\u202e" + "A" * 5000
    env.api.create(ID).fail(hostile)
    async with env.bot():
        await env.track(ID, note="@everyone <@1> ``` " + "n" * 100)
        [result] = await env.results()

    assert result.mentions == {env.alice.id}
    assert not result.mention_everyone
    assert len(result.content) <= 2000
    assert "\x00" not in result.content
    assert "\u202e" not in result.content


async def test_quota_is_told_with_its_numbers(env: InProcessEnv):
    """The limit of open deliveries, and what would exceed it."""
    async with env.bot(max_open_per_user=2):
        env.api.create("a")
        env.api.create("b")
        await env.track("a b")
        refused = await env.track("c")

    assert refused.ephemeral
    assert "2 of 2" in refused.content


async def test_video_larger_than_the_channels_limit_is_given_as_a_link(env: InProcessEnv):
    """Too large to attach: the message says so and carries the link."""
    env.guild.upload_limit = 1000
    env.api.create(ID).complete()
    async with env.bot():
        await env.track(ID)
        [result] = await env.results()

    assert not result.attachments
    assert "too large" in result.content
    assert f"/videos/{ID}.mp4" in result.content
    assert result.buttons[0].url is not None


async def test_what_is_not_an_mp4_is_not_posted(env: InProcessEnv, monkeypatch: pytest.MonkeyPatch):
    """A link to something else ends in a sentence, not in an attachment; the six tries come quickly here."""
    monkeypatch.setattr(downloading, "_TRY_DELAYS", (20,) * 5)
    env.api.create(ID).complete(url=f"{env.api.url}/v1/result/{ID}")
    env.allowed.append("without the right key")
    async with env.bot():
        await env.track(ID)
        [result] = await env.results()

    assert not result.attachments
    assert result.mentions == {env.alice.id}
