"""LOG_FORMAT=json of the real process: the history of one task by its `task_id` field."""

import json
from itertools import groupby
from typing import Any

import pytest

from sandbox.bot_process import BotProcess
from sandbox.faults import Fault
from tests.crash.conftest import CrashEnv
from tests.timing import eventually

pytestmark = pytest.mark.crash

ID, OTHER = "vgen_abc123def456", "vgen_other"
VIA = {"Via": "1.1 google", "Retry-After": "1"}


def entries(env: CrashEnv) -> list[dict[str, Any]]:
    """Every complete line. Each must be one JSON object."""
    return [json.loads(line) for line in env.bot.output().splitlines(keepends=True) if line[-1] == "\n"]


async def test_one_task_is_followed_from_tracked_to_posted_by_its_id_field(env: CrashEnv):
    """Through a silent API and a rate limit of Discord; the other task's lines have another id."""
    settings = env.settings() | {"LOG_FORMAT": "json", "LOG_LEVEL": "INFO"}
    env.bot = BotProcess(settings, env.folder / "bot.log")
    env.api.faults.add(Fault(f"GET /v1/result/{ID}", status=503, body=""))
    slow = {"message": "slow down", "retry_after": 0.1, "global": False}
    env.discord.faults.add(Fault("POST /channels/*/messages", status=429, body=slow, headers=VIA))
    task = env.api.create(ID)
    env.api.create(OTHER).set_status("processing")
    await env.start_bot()
    await env.track(f"{ID} {OTHER}")
    await eventually(lambda: f"{ID} is queued" in env.bot.output())
    task.complete()
    await env.settled(ID)
    await eventually(lambda: f"{ID} posted" in env.bot.output())

    story = [entry for entry in entries(env) if entry.get("task_id") == ID]
    milestones = ["tracked", "no status", "is queued", "is completed", "downloaded", "rate limited"]
    milestones += ["not posted yet", f"{ID} posted"]
    assert [m for entry in story for m in milestones if m in entry["message"]] == milestones
    assert [action for action, _ in groupby(entry["action"] for entry in story)] == [
        "track",
        "poll",
        "deliver",
    ]
    delivering = [entry for entry in story if entry["action"] == "deliver"]
    for name in ("delivery_id", "guild_id", "channel_id", "person_id"):
        assert len({entry[name] for entry in delivering}) == 1, name
    assert [attempt for attempt, _ in groupby(entry["attempt"] for entry in delivering)] == [1, 2]
    assert (delivering[0]["guild_id"], delivering[0]["channel_id"]) == (env.guild.id, env.channel.id)
    assert delivering[0]["person_id"] == env.alice.id


async def test_line_that_names_a_task_in_its_text_has_it_as_a_field(env: CrashEnv):
    """For a failed task, an untracked one, and a channel without access."""
    settings = env.settings() | {"LOG_FORMAT": "json", "LOG_LEVEL": "INFO"}
    env.bot = BotProcess(settings, env.folder / "bot.log")
    task = env.api.create(ID)
    env.api.create(OTHER)
    await env.start_bot()
    await env.track(f"{ID} {OTHER}")
    await env.alice.slash(env.channel, "veo untrack", id=OTHER)
    env.channel.deny(env.discord.bot, "view_channel")
    env.alice.accepts_direct_messages = False
    task.complete()
    await eventually(lambda: "takes no direct message" in env.bot.output())

    for name in (ID, OTHER):
        about = [entry for entry in entries(env) if name in entry["message"]]
        assert len(about) >= 2
        assert {entry.get("task_id") for entry in about} == {name}
