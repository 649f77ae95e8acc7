"""Buttons that outlive their database, and their message."""

import shutil

import pytest

from sandbox.faults import Fault
from tests.integration.conftest import InProcessEnv

ID, OTHER = "vgen_abc123def456", "vgen_of_bob"


async def test_old_buttons_do_nothing_to_what_a_new_database_numbers_alike(env: InProcessEnv):
    """The bell mentions nobody in a stranger's result, and no stranger deletes an old one."""
    env.api.create(ID).fail("no")
    kept = env.api.create("vgen_kept")
    async with env.bot():
        card = await env.track(f"{ID} vgen_kept")
        [old] = await env.results()
        # The card keeps its bell, because not everything on it has ended.
        await env.discord.until(lambda: str(old.id) in card.content)
    shutil.rmtree(env.folder / "data")
    task = env.api.create(OTHER)
    async with env.bot():
        await env.bob.slash(env.channel, "veo track", id=OTHER)
        bell = await env.alice.press(card, "Notify me")
        await env.bob.press(old, "Delete")
        task.fail("no")
        _, new = await env.results(2)
        kept.fail("no")

    assert not old.deleted
    assert new.mentions == {env.bob.id}
    assert bell.followups or bell.message


async def test_button_of_a_new_database_acts(env: InProcessEnv):
    """What is theirs they still delete."""
    env.api.create(ID).fail("no")
    async with env.bot():
        await env.track(ID)
        [result] = await env.results()
        await env.bob.press(result, "Delete")
        assert not result.deleted
        await env.confirm(env.alice, result, "Delete")
        await env.discord.until(lambda: result.deleted)


def told(env: InProcessEnv) -> list[str]:
    """What only alice sees."""
    return [m.content for m in env.alice.sees(env.channel) if m.ephemeral]


MAY_NOT = "Discord does not let me delete this message."


@pytest.mark.parametrize(
    ("status", "code", "answer"),
    [
        (404, 10008, "Deleted."),
        (403, 50001, MAY_NOT),
        (403, 50013, MAY_NOT),
        (503, 0, "Discord did not take that just now."),
    ],
    ids=["gone", "no access", "no permission", "busy"],
)
async def test_message_that_cannot_be_deleted_is_no_bug(
    env: InProcessEnv, caplog: pytest.LogCaptureFixture, status: int, code: int, answer: str
):
    """A message that is gone is deleted; otherwise the person who pressed is told."""
    env.api.create(ID).fail("no")
    async with env.bot():
        await env.track(ID)
        [result] = await env.results()
        refused = {"code": code, "message": "in Discord's words"}
        env.discord.faults.add(Fault("DELETE /channels/*", status=status, body=refused))
        await env.confirm(env.alice, result, "Delete")
        await env.discord.until(lambda: any(answer in text for text in told(env)))

    first, *_ = env.discord.requests("DELETE", "/channels/*")
    assert first.status == status
    assert "a bug" not in caplog.text
    assert "Traceback" not in caplog.text
