"""What people paste: the id is tracked, and nothing that looks like a secret is shown, stored or sent."""

import logging
from pathlib import Path

import pytest

from bot.chat.texts.replies import NOT_A_LIST_OF_IDS
from tests.integration.conftest import InProcessEnv

ID = "vgen_abc123def456"
KEY = "sk-live-51HxYz0987654321abcdef"
API = "https://zcbservice.example/kyyReactApiServer/v1"


def stored(folder: Path) -> str:
    """Every byte of the database and its journal, as text."""
    return "".join(path.read_bytes().decode("latin-1") for path in (folder / "data").glob("bot.db*"))


def assert_nowhere(env: InProcessEnv, caplog: pytest.LogCaptureFixture, *secrets: str) -> None:
    """Not in the channel, the database, the log, or a request to the API."""
    said = "\n".join(text for message in env.channel.messages for text in (message.content, *message.edits))
    asked = " ".join(poll.task_id for poll in env.api.polls)
    for secret in secrets:
        assert secret not in said
        assert secret not in asked
        assert secret not in stored(env.folder)
        assert secret not in caplog.text


@pytest.mark.parametrize(
    "pasted",
    [
        f"curl {API}/result/{ID} -H 'Authorization: Bearer {KEY}'",
        f'curl --request GET --url {API}/result/{ID} --header "Authorization: Bearer {KEY}" --compressed',
        f'curl -X GET "{API}/result/{ID}" \\\n  -H "Authorization: Bearer {KEY}" \\\n  -H "Accept: */*"',
        f"GET /v1/result/{ID} HTTP/1.1\nHost: x\nAuthorization: Bearer {KEY}",
        f"{API}/result/{ID}?key={KEY}",
        f"https://user:{KEY}@zcbservice.example/v1/result/{ID}",
        f"VEO_API_KEY={KEY} python poll.py {ID}",
        f"2026-11-26 09:05:00 INFO polled {ID} with token {KEY}: processing",
        f'requests.get("{API}/result/{ID}", headers={{"Authorization": "Bearer {KEY}"}})',
    ],
    ids=["curl", "long options", "lines", "raw request", "query", "password", "shell", "log", "python"],
)
async def test_id_is_taken_out_of_what_holds_a_secret(
    env: InProcessEnv, caplog: pytest.LogCaptureFixture, pasted: str
):
    """B1: the id is tracked, the rest is ignored."""
    caplog.set_level(logging.DEBUG, "bot")
    env.api.create(ID).fail("no")
    async with env.bot():
        card = await env.track(pasted)
        await env.results()
    assert f"`{ID}`" in card.content
    assert {poll.task_id for poll in env.api.polls} == {ID}
    assert_nowhere(env, caplog, KEY, "Bearer", "curl", "zcbservice")


@pytest.mark.parametrize(
    ("pasted", "secret"),
    [
        (KEY, KEY),
        (f"Bearer {KEY}", KEY),
        (f"Authorization: Bearer {KEY}", KEY),
        (f"curl -H 'Authorization: Bearer {KEY}' https://zcbservice.example/", KEY),
        ("curl -H 'Authorization: Bearer hunter2hunter2'", "hunter2hunter2"),
        ("-H x-api-key: hunter2hunter2", "hunter2hunter2"),
        ("api_key=hunter2hunter2", "hunter2hunter2"),
        ("password: hunter2hunter2", "hunter2hunter2"),
        ("AIzaSyA1234567890abcdefghijklmnopqrstuv", "AIzaSy"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJlc2lnbmF0dXJl", "eyJhbGci"),
        ("ghp_0123456789abcdefghijABCDEFGHIJ012345", "ghp_"),
        ("AKIAIOSFODNN7EXAMPLE", "AKIA"),
        (f'{{"id": "{KEY}"}}', KEY),
        (f"my-task {KEY}", KEY),
        (f"{API}/result/{KEY}", KEY),
        (f"{API}/status?id={KEY}", KEY),
    ],
)
async def test_only_a_secret_is_refused_without_being_repeated(
    env: InProcessEnv, caplog: pytest.LogCaptureFixture, pasted: str, secret: str
):
    """B1: privately, with what to do instead."""
    caplog.set_level(logging.DEBUG, "bot")
    async with env.bot():
        answer = await env.track(pasted)

    assert answer.ephemeral
    assert answer.content == NOT_A_LIST_OF_IDS
    assert env.channel.messages == []
    assert env.api.polls == []
    assert_nowhere(env, caplog, secret)


async def test_secret_in_a_note_is_masked(env: InProcessEnv, caplog: pytest.LogCaptureFixture):
    """A note is shown on the card and in the result."""
    env.api.create(ID).fail("no")
    async with env.bot():
        card = await env.track(ID, note=f"cat, with Bearer {KEY}")
        [result] = await env.results()

    assert "cat, with" in card.content
    assert "cat, with" in result.content
    assert_nowhere(env, caplog, KEY)


X = "vgen_x"


@pytest.mark.parametrize(
    "pasted",
    [
        f"id: {X}.",
        f"1. {X}",
        f"- {X}",
        f"* {X}",
        f"• {X}",
        f"{API}/result/{X}/content",
        f"{API}/videos?id={X}",
        f"https://cdn.example/v/{X}.mp4",
        f'```json\n{{"id": "{X}", "status": "queued"}}\n```',
        f'```\n{{"data": {{"id": "{X}"}}}}\n```',
        "vgen\\_x",
        f"{X}\uff0c{X}",
        f"{X}\u3001{X}\uff1b",
        f"\u200b{X}\u200b",
        "vgen_\u200bx\ufeff",
        f"`{X}`",
        f"**{X}**",
        f"“{X}”",
        f"<{API}/result/{X}>",
        f"({X})",
        f"task id = {X}",
        f'"task_id": "{X}",',
        f"Your task {X} is processing.",
        f"[INFO] task={X} status=processing",
    ],
)
async def test_id_is_found_in_what_surrounds_it(env: InProcessEnv, pasted: str):
    """B2: one id, spelled as the API gave it."""
    env.api.create(X).fail("no")
    async with env.bot():
        card = await env.track(pasted)
        assert not card.ephemeral
        await env.results()

    assert "1 video" in card.content
    assert {poll.task_id for poll in env.api.polls} == {X}


@pytest.mark.parametrize(
    "pasted",
    ["vgen_a1 vgen_b22 vgen_abc123def456", "1. vgen_a1\n2. vgen_b22\n3. vgen_abc123def456"],
)
async def test_short_ids_in_a_list_are_not_left_out(env: InProcessEnv, pasted: str):
    """An id that is dropped without a word is a video that never comes."""
    ids = {"vgen_a1", "vgen_b22", "vgen_abc123def456"}
    async with env.bot():
        card = await env.track(pasted)
        await env.api.until(lambda: {poll.task_id for poll in env.api.polls} == ids)

    assert "3 videos" in card.content


async def test_bare_ids_of_other_families_still_work(env: InProcessEnv):
    """Ids are opaque: a list of plain words is a list of ids."""
    ids = ["0b0f0f6e-1c9b-4b52-9b0e-5b6f3f3b8a11", "task.1:2", "1761635478", "operations-abc"]
    for task_id in ids:
        env.api.create(task_id)
    async with env.bot():
        await env.track(", ".join(ids))
        await env.api.until(lambda: len({poll.task_id for poll in env.api.polls}) == len(ids))

    assert {poll.task_id for poll in env.api.polls} == set(ids)
