"""Ids that the API never knew: one message and one mention for each command."""

import pytest

from bot.core.rate_limit import RateLimit
from bot.storage import personal_pace
from tests.integration.conftest import InProcessEnv


async def test_made_up_ids_of_a_command_share_a_message(env: InProcessEnv, monkeypatch: pytest.MonkeyPatch):
    """Three commands with twenty each and a note: three messages, and three mentions in all."""
    monkeypatch.setattr(personal_pace, "_NEW_IDS", RateLimit(rate=1000, burst=1000))
    commands = [[f"vgen_made_up_{number}_{n:02}" for n in range(20)] for number in range(3)]
    async with env.bot(max_open_per_user=100, max_open_per_channel=100):
        cards = [await env.track(" ".join(ids), note="for the trailer") for ids in commands]
        results = await env.results(3)
        await env.discord.until(
            lambda: all(f"…{ids[-1][-4:]}`" in c.content for ids, c in zip(commands, cards, strict=True))
        )

    assert len(results) == 3
    assert [r.mentions for r in results] == [{env.alice.id}] * 3
    named = {i for result in results for ids in commands for i in ids if f"`{i}`" in result.content}
    assert len(named) == 60
    assert all(r.content.count(f"<@{env.alice.id}>") == 1 for r in results)


async def test_id_that_is_known_after_all_has_its_own_result(env: InProcessEnv):
    """The others do not wait for it, and it is not named among them."""
    made_up = [f"vgen_made_up_{n}" for n in range(4)]
    async with env.bot():
        await env.track(" ".join([*made_up, "vgen_late"]))
        await env.api.until(lambda: bool(env.api.polls_of("vgen_late")))
        env.api.create("vgen_late").complete()
        together, own = sorted(await env.results(2), key=lambda r: len(r.attachments))

    assert own.attachments
    assert own.mentions == {env.alice.id}
    assert all(f"`{i}`" in together.content for i in made_up)
    assert "vgen_late" not in together.content
    assert together.mentions == {env.alice.id}


async def test_id_that_is_decided_later_comes_in_a_next_message(
    env: InProcessEnv, monkeypatch: pytest.MonkeyPatch
):
    """New ids of one person are polled one after the other; the first wait for six intervals."""
    monkeypatch.setattr(personal_pace, "_NEW_IDS", RateLimit(rate=0.2, burst=4))
    made_up = [f"vgen_made_up_{n}" for n in range(4)]
    async with env.bot():
        await env.track(" ".join([*made_up, "vgen_late"]))
        first, second = await env.results(2)

    assert all(f"`{i}`" in first.content for i in made_up)
    assert "vgen_late" not in first.content
    assert "`vgen_late`" in second.content
