"""Replies in other words, keys and encodings than the documentation's: read, cleaned and masked."""

import json
import time
from collections.abc import Mapping
from typing import Any

import pytest

from sandbox.discord import Message
from sandbox.video_api import CLIP, Clip, Fault
from tests.integration.conftest import InProcessEnv

ID = "vgen_abc123def456"
POLL = f"GET /v1/result/{ID}"
INTERVAL = 0.1
PNG = "https://cdn.example/cover.png"


def reply_with(
    env: InProcessEnv, body: Any, *, status: int = 200, headers: Mapping[str, str | None] | None = None
) -> None:
    """Answer every poll of the id with this; its video is there for a download."""
    env.api.create(ID).complete()
    env.api.faults.add(Fault(POLL, status=status, body=body, headers=headers or {}, times=None))


def link_of(env: InProcessEnv) -> str:
    return f"{env.api.url}/videos/{ID}.mp4"


async def the_result(env: InProcessEnv, **changes: Any) -> Message:
    async with env.bot(poll_interval=INTERVAL, **changes):
        await env.track(ID)
        [result] = await env.results()
    return result


def are_an_interval_apart(env: InProcessEnv, count: int) -> bool:
    """Whether the id was polled so many times, the last two an interval apart."""
    polls = env.api.polls_of(ID)
    return len(polls) == count and polls[-1].at - polls[-2].at >= INTERVAL - 0.02


# -- status ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["succeed", "done", "finished", "complete", "FINISHED", "已完成"])
async def test_unlisted_word_with_a_link_is_completed_by_a_second_answer(env: InProcessEnv, word: str):
    """A4: an interval later, and the video is posted."""
    reply_with(env, {"id": ID, "status": word, "video_url": link_of(env)})
    result = await the_result(env)

    assert result.attachments[0].content == CLIP.content
    assert are_an_interval_apart(env, 2)


@pytest.mark.parametrize("word", ["rejected", "blocked", "moderated", "审核失败"])
async def test_unlisted_word_with_an_error_is_failed_by_a_second_answer(env: InProcessEnv, word: str):
    """A5: with the API's text."""
    reply_with(env, {"id": ID, "status": word, "error": "unsafe"})
    result = await the_result(env)

    assert "unsafe" in result.content
    assert "there is no video" in result.content
    assert are_an_interval_apart(env, 2)


async def test_unlisted_word_that_a_second_answer_contradicts_is_no_verdict(env: InProcessEnv):
    """The first was a moment between two states."""
    task = env.api.create(ID)
    env.api.faults.add(Fault(POLL, status=200, body={"id": ID, "status": "rejected", "error": "busy"}))
    async with env.bot(poll_interval=INTERVAL):
        card = await env.track(ID)
        await env.discord.until(lambda: "in the queue" in card.content)
        task.complete()
        [result] = await env.results()

    assert result.attachments


async def test_text_of_a_completed_task_without_a_link_is_the_reason(env: InProcessEnv):
    """A10: a refusal that is called completed."""
    refusal = "Veo could not generate 1 videos. You will not be charged for this request."
    reply_with(env, {"id": ID, "status": "completed", "video_url": None, "error": refusal})
    result = await the_result(env)

    assert refusal in result.content
    assert are_an_interval_apart(env, 2)


async def test_completed_task_without_a_link_or_a_text_is_asked_about_for_six_intervals(env: InProcessEnv):
    """The link may come a moment after the status."""
    reply_with(env, {"id": ID, "status": "completed", "video_url": None, "error": None})
    result = await the_result(env)

    polls = env.api.polls_of(ID)
    assert "The video API finished, but gave no video." in result.content
    assert polls[-1].at - polls[0].at >= 6 * INTERVAL - 0.05


@pytest.mark.parametrize("status", [422, 500, 400, 404])
async def test_failure_with_its_id_counts_under_any_http_code(env: InProcessEnv, status: int):
    """A12: at once, because it is the API's own word about this id."""
    reply_with(env, {"id": ID, "status": "failed", "error": "unsafe prompt"}, status=status)
    result = await the_result(env)

    assert "unsafe prompt" in result.content
    assert len(env.api.polls_of(ID)) == 1


@pytest.mark.parametrize("key", ["task_status", "status", "state"])
async def test_status_of_the_task_counts_and_not_the_envelopes(env: InProcessEnv, key: str):
    """A13: `success` says that the question was answered."""
    body = {"status": "success", "data": {"id": ID, key: "processing"}}
    task = env.api.create(ID)
    env.api.faults.add(Fault(POLL, status=200, body=body, times=10))
    async with env.bot(poll_interval=INTERVAL):
        card = await env.track(ID)
        await env.discord.until(lambda: "being generated" in card.content)
        await env.api.until(lambda: len(env.api.faults.taken) == 10)
        task.complete()
        [result] = await env.results()

    assert result.attachments


# -- link and reason -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "found_at",
    [
        lambda link: {"metadata": {"url": link}},
        lambda link: {"video": {"url": link}},
        lambda link: {"output": {"video_url": link}},
        lambda link: {"videos": [link]},
        lambda link: {"videos": [{"url": link, "cover": PNG}], "thumbnail": PNG},
        lambda link: {"resultJson": json.dumps({"resultUrls": [link]})},
        lambda link: {"url": link, "image_url": PNG},
    ],
    ids=["metadata", "video", "output", "list", "objects", "JSON text", "beside a picture"],
)
async def test_only_video_link_is_found_wherever_it_is(env: InProcessEnv, found_at: Any):
    """A14: and no picture is taken for it."""
    reply_with(env, {"id": ID, "status": "completed", **found_at(link_of(env))})
    result = await the_result(env)

    assert result.attachments[0].content == CLIP.content


@pytest.mark.parametrize(
    "told",
    [
        {"failure_reason": "It&#39;s unsafe.<br/>Try again."},
        {"error_message": "It&#39;s unsafe.<br/>Try again."},
        {"reason": "It&#39;s unsafe.<br/>Try again."},
        {"detail": "It&#39;s unsafe.<br/>Try again."},
        {"error": {"errors": [{"message": "It&#39;s unsafe.<br/>Try again."}]}},
        {"error": json.dumps({"message": "It&#39;s unsafe.<br/>Try again."})},
        {"error": None, "fail_reason": "<p>It&amp;#39;s unsafe.</p><p>Try again.</p>"},
    ],
    ids=lambda told: ",".join(told),
)
async def test_reason_is_found_and_cleaned(env: InProcessEnv, told: dict[str, Any]):
    """A15: neither tags nor entities nor raw JSON are shown."""
    reply_with(env, {"id": ID, "status": "failed", **told})
    result = await the_result(env)

    assert "It's unsafe.\nTry again." in result.content
    assert not set("<{&") & set(result.content.split("```")[1])


@pytest.mark.parametrize(
    ("reason", "secret", "rest"),
    [
        ("call had Authorization: Bearer sk-live-1234567890abcdef", "sk-live-1234567890abcdef", "call had"),
        (
            "see https://x.example/?key=AIzaSyA1234567890abcdefghijklmnopqr",
            "AIzaSyA123",
            "see https://x.example",
        ),
        ("proxy https://user:hunter2hunter2@proxy.example failed", "hunter2hunter2", "proxy.example failed"),
        ("api_key=0123456789abcdef0123 has no credit", "0123456789abcdef0123", "has no credit"),
    ],
    ids=["header", "query", "password", "name"],
)
async def test_credential_in_a_reason_is_masked(
    env: InProcessEnv, caplog: pytest.LogCaptureFixture, reason: str, secret: str, rest: str
):
    """A16: in the channel, in `/veo status`, in the database and in the log."""
    reply_with(env, {"id": ID, "status": "failed", "error": reason})
    async with env.bot(poll_interval=INTERVAL):
        await env.track(ID)
        [result] = await env.results()
        status = await env.alice.slash(env.channel, "veo status", id=ID)
    stored = b"".join(path.read_bytes() for path in (env.folder / "data").glob("bot.db*"))

    assert rest in result.content
    assert status.message is not None
    assert secret not in result.content + status.message.content + caplog.text
    assert secret.encode() not in stored


# -- bytes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "encoding", "content_type", "shown"),
    [
        ("first line\nsecond line", "utf-8", "application/json", "first line\nsecond line"),
        ("tab\tand \x07bell", "utf-8", "application/json", "tab and bell"),
        ("内容违规", "gbk", "application/json", "内容违规"),
        ("内容违规", "gbk", "application/json; charset=gbk", "内容违规"),
        ("refusé", "latin-1", "application/json; charset=ISO-8859-1", "refusé"),
        ("\ufeffunsafe", "utf-8", "text/html", "unsafe"),
    ],
    ids=["line break", "control characters", "GBK", "GBK by header", "Latin-1", "text/html"],
)
async def test_reply_is_read_though_it_is_no_strict_json(
    env: InProcessEnv, error: str, encoding: str, content_type: str, shown: str
):
    """A11: control characters inside a text, and other encodings than UTF-8."""
    body = f'{{"id": "{ID}", "status": "failed", "error": "{error}"}}'.encode(encoding)
    reply_with(env, body, headers={"Content-Type": content_type})
    result = await the_result(env)

    assert shown in result.content
    assert len(env.api.polls_of(ID)) == 1


async def test_reply_whose_text_was_cut_inside_a_character_is_read(env: InProcessEnv):
    """A11: some services cut a text to so many bytes."""
    cut = "内容违规".encode()[:-1]
    reply_with(env, f'{{"id": "{ID}", "status": "failed", "error": "'.encode() + cut + b'"}')
    result = await the_result(env)

    assert "内容违" in result.content


# -- when the link ends ----------------------------------------------------------------------------

HOURS = 3600


@pytest.mark.parametrize(
    ("created", "query", "ends"),
    [
        (-20 * HOURS, "", 4 * HOURS),
        (-20 * HOURS, "?Expires={in_an_hour}&Signature=abc", 1 * HOURS),
        (0, "?X-Amz-Date={now_iso}&X-Amz-Expires=7200", 2 * HOURS),
        (-90 * HOURS, "", 24 * HOURS),
    ],
    ids=["created", "Expires", "X-Amz-Expires", "created too long ago"],
)
async def test_end_of_the_link_is_the_earliest_that_is_known(
    env: InProcessEnv, created: int, query: str, ends: int
):
    """A19: what the API and the link say themselves."""
    now = int(time.time())
    signed = query.format(in_an_hour=now + HOURS, now_iso=time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now)))
    reply_with(
        env,
        {"id": ID, "status": "completed", "created": now + created, "video_url": link_of(env) + signed},
    )
    result = await the_result(env)

    [told] = [part.split(":")[0] for part in result.content.split("<t:")[1:]]
    assert result.attachments
    assert abs(int(told) - (now + ends)) <= 30


async def test_link_that_ended_by_every_estimate_is_tried_once(env: InProcessEnv):
    """An estimate informs people; it never costs them a video that is still there."""
    past = int(time.time()) - HOURS
    reply_with(
        env, {"id": ID, "status": "completed", "video_url": f"{link_of(env)}?Expires={past}&Signature=x"}
    )
    result = await the_result(env)

    assert result.attachments[0].size == Clip(CLIP.content).size
