"""`/healthz` and `/metrics` of the real bot: 200 when all is well, and what is wrong when not."""

import re
import socket
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bot.core.errors import DependencyDown
from sandbox.faults import Fault
from tests.integration.conftest import Scene

ID = "vgen_abc123def456"
OPERATING = Path(__file__).parents[2] / "docs" / "operating.md"


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


async def fetch(port: int, path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as answer:
        return answer.status, await answer.text()


async def test_healthy_bot_says_ok(scene: Scene, port: int):
    task = scene.api.create(ID)
    async with scene.bot(http_port=port):
        card = await scene.track(ID)
        await scene.discord.until(lambda: "queued" in card.content)
        assert await fetch(port, "/healthz") == (200, "ok\n")
        task.fail("no")
        await scene.results()


async def test_lost_gateway_is_named_until_it_is_back(scene: Scene, port: int):
    async with scene.bot(http_port=port):
        scene.discord.refuse_connections(2)
        await scene.discord.disconnect_gateway()
        await scene.discord.until(lambda: not scene.discord.connected)
        while (lost := await fetch(port, "/healthz"))[0] == 200:
            continue
        await scene.discord.until(lambda: scene.discord.connected, within=30)
        while (await fetch(port, "/healthz"))[0] != 200:
            continue

    assert lost == (503, "Discord's gateway is not connected\n")


async def test_questions_that_are_late_are_named_with_their_reason(scene: Scene, port: int):
    """A wrong key: the gate is closed, and nobody asks."""
    scene.api.faults.add(Fault("GET /v1/result/*", status=401, body={"error": "bad key"}, times=None))
    scene.api.create(ID)
    async with scene.bot(http_port=port):
        await scene.track(ID)
        while (health := await fetch(port, "/healthz"))[0] == 200:
            continue

    assert health[0] == 503
    assert "late (key refused)" in health[1]


async def test_metrics_tell_every_state_in_prometheus_words(scene: Scene, port: int):
    scene.api.create(ID).fail("no")
    scene.api.create("vgen_open")
    async with scene.bot(http_port=port):
        await scene.track(f"{ID} vgen_open")
        await scene.results()
        card = scene.channel.messages[0]
        await scene.discord.until(lambda: "failed: " in card.content and "queued" in card.content)
        status, text = await fetch(port, "/metrics")

    samples = {
        (sample.name, sample.labels.get("state")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert status == 200
    assert samples["veo_tasks", "failed"] == 1
    assert samples["veo_tasks", "waiting"] == 1
    assert samples["veo_tasks", "lost"] == 0
    assert samples["veo_deliveries", "posted"] == 1
    assert samples["veo_gateway_up", None] == 1
    assert samples["veo_oldest_owed_result_seconds", None] == 0
    assert samples["veo_last_usable_answer_timestamp_seconds", None] > 0


async def test_every_metric_of_the_alerts_exists(scene: Scene, port: int):
    """An alert on a name that nobody exports never fires."""
    text = OPERATING.read_text(encoding="utf-8")
    async with scene.bot(http_port=port):
        _, exported = await fetch(port, "/metrics")

    named = set(re.findall(r"\bveo_[a-z_]+", text))
    assert len(named) >= 5
    assert named <= set(re.findall(r"^veo_[a-z_]+", exported, re.MULTILINE))


async def test_port_in_use_ends_the_start(scene: Scene):
    """69, with the setting's name."""
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        with pytest.raises(DependencyDown, match="HTTP_PORT"):
            async with scene.bot(http_port=taken.getsockname()[1]):
                pass


async def test_without_the_setting_nothing_listens(scene: Scene, port: int):
    async with scene.bot():
        with pytest.raises(aiohttp.ClientConnectorError):
            await fetch(port, "/healthz")
