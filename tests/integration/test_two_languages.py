"""Two languages: private answers follow the person, everything else follows the server that chose one."""

# ruff: noqa: RUF001 - Chinese has punctuation of its own

import pytest

from sandbox.discord import Message
from sandbox.video_api import CLIP
from tests.integration.conftest import InProcessEnv

ID, OTHER = "vgen_abc123def456", "vgen_other"
CHINESE_CARD = "### 1 个视频"
ENGLISH_CARD = "### 1 video"
CHINESE_RESULT = "你的视频"
CHINESE_LABELS = ["原始文件", "重新发布", "删除"]


def labels(message: Message) -> list[str | None]:
    return [button.label for button in message.buttons]


async def ready(env: InProcessEnv, task_id: str = ID) -> tuple[Message, Message]:
    """The card and the video of a task that alice tracks, once both show the end."""
    env.api.create(task_id).complete()
    card = await env.track(task_id)
    result = (await env.results())[-1]
    await env.discord.until(lambda: str(result.id) in card.text)
    return card, result


# -- who reads what --------------------------------------------------------------------------------


async def test_person_is_answered_in_their_language(env: InProcessEnv):
    """Commands, buttons and suggestions; another person reads English at the same time."""
    env.alice.locale = "zh-CN"
    env.api.create(ID)
    async with env.bot():
        nothing = await env.alice.slash(env.channel, "veo list")
        card = await env.track(ID)
        await env.discord.until(lambda: "排队中" in card.text)
        own = await env.alice.press(card, "也 @ 我")
        added = await env.bob.press(card, "也 @ 我")
        question = await env.alice.press(card, "停止")
        chinese = await env.alice.autocomplete(env.channel, "veo status", focused="id", id="vgen")
        english = await env.bob.autocomplete(env.channel, "veo status", focused="id", id="vgen")
        status = await env.bob.slash(env.channel, "veo status", id=ID)

    assert nothing.text == "本频道没有跟踪任何视频。用 `/veo track` 开始。"
    assert own.text == "这是你自己请求的，我本来就会 @ 你。"
    assert added.text.startswith("I mention you too")
    assert question.text.startswith("要停止这 1 个视频吗？")
    assert question.message is not None
    assert labels(question.message) == ["确认停止"]
    assert chinese == [(f"{ID} · 排队中", ID)]
    assert english == [(f"{ID} · in the queue", ID)]
    assert "in the queue since" in status.text


async def test_server_that_chose_a_language_has_its_messages_in_it(env: InProcessEnv):
    """The card, its edits and the result are Chinese; what only alice reads is English."""
    env.guild.preferred_locale = "zh-CN"
    async with env.bot():
        card, result = await ready(env)
        status = await env.alice.slash(env.channel, "veo status", id=ID)

    assert card.text.startswith(CHINESE_CARD)
    assert all(text.startswith(CHINESE_CARD) for text in card.edits)
    assert "查看视频" in card.text
    assert CHINESE_RESULT in result.text
    assert labels(result) == CHINESE_LABELS
    assert result.attachments[0].content == CLIP.content
    assert "see the video" in status.text


async def test_server_without_a_language_has_that_of_the_person_who_asks(env: InProcessEnv):
    """Every server is en-US until somebody chooses: that says nothing about its people."""
    env.alice.locale = "zh-CN"
    async with env.bot():
        card, result = await ready(env)
        env.api.create(OTHER).fail("no")
        english = await env.bob.slash(env.channel, "veo track", id=OTHER)
        await env.results(2)

    assert card.text.startswith(CHINESE_CARD)
    assert CHINESE_RESULT in result.text
    assert english.text.startswith(ENGLISH_CARD)
    assert "there is no video." in env.channel.messages[-1].text


async def test_chosen_language_without_a_translation_is_english(env: InProcessEnv):
    """Nobody in a German server expects Chinese because one person's Discord is Chinese."""
    env.guild.preferred_locale, env.alice.locale = "de", "zh-CN"
    async with env.bot():
        card, result = await ready(env)
        listed = await env.alice.slash(env.channel, "veo list")

    assert card.text.startswith(ENGLISH_CARD)
    assert "your video is ready." in result.text
    assert "查看视频" in listed.text


async def test_reason_and_what_to_do_are_translated_and_the_apis_words_are_not(env: InProcessEnv):
    env.guild.preferred_locale = "zh-CN"
    env.api.create(ID).fail("The video could not be generated: the service is overloaded.")
    async with env.bot():
        await env.track(ID)
        [result] = await env.results()

    assert "视频 API 太忙了。请过几分钟再创建一次任务。" in result.text
    assert "视频 API 的原话：" in result.text
    assert "the service is overloaded" in result.text
    assert labels(result) == ["删除"]


async def test_missing_permission_is_named_as_discord_names_it(env: InProcessEnv):
    env.alice.locale = "zh-CN"
    env.channel.deny(env.discord.bot, "attach_files")
    async with env.bot():
        answer = await env.track(ID)

    assert answer.ephemeral
    assert "**附加文件**" in answer.text


# -- what is kept ----------------------------------------------------------------------------------


async def test_language_of_the_request_outlives_a_restart(env: InProcessEnv):
    """The server's language has changed meanwhile."""
    env.guild.preferred_locale = "zh-CN"
    task = env.api.create(ID)
    async with env.bot():
        card = await env.track(ID)
    env.guild.preferred_locale = "en-US"
    task.complete()
    async with env.bot():
        [result] = await env.results()
        await env.discord.until(lambda: str(result.id) in card.text)

    assert CHINESE_RESULT in result.text
    assert labels(result) == CHINESE_LABELS
    assert card.text.startswith(CHINESE_CARD)


async def test_direct_message_has_the_language_of_the_request(env: InProcessEnv):
    env.alice.locale = "zh-CN"
    task = env.api.create(ID)
    async with env.bot():
        await env.track(ID)
    env.channel.deny(env.discord.bot, "view_channel")
    task.complete()
    async with env.bot():
        [told] = await env.discord.until(lambda: env.alice.direct_channel.messages)
        question = await env.alice.press(told, "删除")

    assert f"`{ID}` 已完成，但我无法把它发布到 <#{env.channel.id}>。" in told.text
    assert "这是你的视频。" in told.text
    assert question.text.startswith("要删除这条消息吗？")


async def test_result_that_is_posted_again_has_the_language_of_who_asks_for_it(env: InProcessEnv):
    env.alice.locale = "zh-CN"
    async with env.bot():
        await ready(env)
        await env.bob.press(env.channel.messages[-1], "重新发布")
        chinese, english = await env.results(2)

    assert labels(chinese) == CHINESE_LABELS
    assert labels(english) == ["Original", "Post again", "Delete"]
    assert "your video is ready." in english.text


# -- commands --------------------------------------------------------------------------------------


async def test_commands_are_described_in_both_languages(env: InProcessEnv):
    """Names of slash commands stay, so that people can tell each other what to type."""
    env.alice.locale = "zh-CN"
    env.api.create(ID)
    async with env.bot():
        chinese = {command["name"]: command for command in env.discord.commands_seen_by(env.alice)}
        english = {command["name"]: command for command in env.discord.commands_seen_by(env.bob)}
        said = env.bob.say(env.channel, f"look: {ID}")
        card = await env.alice.message_command(said, "跟踪 Veo 任务")

    veo, menu = chinese["veo"], chinese["Track Veo tasks"]
    assert (veo["name_localized"], menu["name_localized"]) == ("veo", "跟踪 Veo 任务")
    assert veo["description_localized"] == "Veo 视频完成后发布到这里"
    [track] = [option for option in veo["options"] if option["name"] == "track"]
    assert track["name_localized"] == "track"
    assert track["description_localized"] == "这些视频完成后发布到这里"
    assert [option["name_localized"] for option in track["options"]] == ["id", "note"]
    assert [option["description_localized"] for option in track["options"]] == [
        "最多 20 个任务 ID（结果网址或 API 的 JSON 回复也可以）",
        "方便辨认的几个字",
    ]
    assert english["veo"]["description_localized"] == "Get your Veo videos posted here when they are ready"
    assert card.text.startswith(CHINESE_CARD)


@pytest.mark.parametrize(
    ("locale", "title", "operator"),
    [
        ("en-US", "How to get your Veo videos here", "This bot is run by `owner`."),
        ("zh-CN", "如何把 Veo 视频发布到这里", "这个机器人由 `owner` 运行。"),
    ],
)
async def test_help_says_what_to_type_and_who_runs_the_bot(
    env: InProcessEnv, locale: str, title: str, operator: str
):
    """Discord names the application's owner at the start."""
    env.alice.locale = locale
    async with env.bot():
        told = await env.alice.slash(env.channel, "veo help")

    assert told.ephemeral
    assert told.text.startswith(f"### {title}")
    assert "`/veo track`" in told.text
    assert "`/veo forget-me`" in told.text
    assert operator in told.text
