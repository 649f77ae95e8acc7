"""`/healthz` and `/metrics` of the real bot: 200 when all is well, and what is wrong when not."""

import asyncio
import json
import logging
import platform
import re
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bot.core.errors import DependencyDown
from bot.core.version import VERSION
from sandbox.faults import Fault
from sandbox.patience import PATIENCE
from sandbox.video_api import Clip
from tests.integration.conftest import InProcessEnv
from tests.ports import reserved_port
from tests.timing import eventually

ID = "vgen_abc123def456"
DOCS = Path(__file__).parents[2] / "docs"
VIA = {"Via": "1.1 google", "Retry-After": "1"}


@pytest.fixture
def port() -> Iterator[int]:
    with reserved_port() as port:
        yield port


async def fetch(port: int, path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as answer:
        return answer.status, await answer.text()


async def health(port: int, *, ok: bool) -> tuple[int, str]:
    """What /healthz says once all is well, or once it is not; a gateway needs seconds for either."""
    while ((said := await fetch(port, "/healthz"))[0] == 200) is not ok:  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    return said


async def samples(port: int) -> dict[tuple[str, str | None], float]:
    """One scrape: by name and label values."""
    status, text = await fetch(port, "/metrics")
    assert status == 200
    return {
        (sample.name, " ".join(sample.labels.values()) or None): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


# What a process says of itself alone.
EACH_ITS_OWN = {"veo_gateway_up", "veo_servers", "veo_build_info"}


async def test_healthy_bot_says_ok(env: InProcessEnv, port: int):
    env.api.create(ID)
    # The next poll is not late, however long the machine pauses.
    async with env.bot(http_port=port, poll_interval=30):
        card = await env.track(ID)
        await env.discord.until(lambda: "in the queue" in card.content)
        assert await fetch(port, "/healthz") == (200, "ok\n")


async def test_lost_gateway_is_named_until_it_is_back(env: InProcessEnv, port: int):
    async with env.bot(http_port=port):
        env.discord.refuse_connections(2)
        await env.discord.disconnect_gateway()
        await env.discord.until(lambda: not env.discord.connected)
        lost = await health(port, ok=False)
        await env.discord.until(lambda: env.discord.connected)
        await health(port, ok=True)

    status, said = lost
    assert status == 503
    assert re.match(
        r"Discord's gateway (\(shard 1\) )?is not connected since \d\d:\d\d:\d\d UTC \(.+\)$", said
    )


async def test_lost_shard_is_named_though_the_other_is_there(env: InProcessEnv, port: int):
    """Its servers' commands do not arrive."""
    env.discord.shards = env.discord.session_starts["max_concurrency"] = 2
    async with env.bot(http_port=port):
        await health(port, ok=True)
        env.discord.refuse_connections(2)
        await env.discord.disconnect_gateway(shard=1)
        lost = await health(port, ok=False)
        assert env.discord.connected_shards == {0}
        await health(port, ok=True)
        assert env.discord.connected_shards == {0, 1}

    status, said = lost
    assert status == 503
    assert re.match(
        r"Discord's gateway (\(shard 1\) )?is not connected since \d\d:\d\d:\d\d UTC \(.+\)$", said
    )


@pytest.mark.parametrize("tasks", [1, 8])
async def test_late_polls_are_named_with_their_reason(env: InProcessEnv, port: int, tasks: int):
    """A wrong key: one poll at a time goes on, for nothing; it is told also when there is one task."""
    env.api.faults.add(Fault("GET /v1/result/*", status=401, body={"error": "bad key"}, times=None))
    async with env.bot(http_port=port):
        await env.track(" ".join(f"vgen_late{number}" for number in range(tasks)))
        while "late (key refused)" not in (health := await fetch(port, "/healthz"))[1]:
            continue

    assert health[0] == 503


async def test_metrics_have_every_state(env: InProcessEnv, port: int):
    env.api.create(ID).fail("no")
    env.api.create("vgen_open")
    async with env.bot(http_port=port):
        await env.track(f"{ID} vgen_open")
        await env.results()
        card = env.channel.messages[0]
        await env.discord.until(lambda: "failed: " in card.content and "in the queue" in card.content)
        values = await samples(port)

    assert values["veo_tasks", "failed"] == 1
    assert values["veo_tasks", "waiting"] == 1
    assert values["veo_tasks", "lost"] == 0
    assert values["veo_deliveries", "posted"] == 1
    assert values["veo_gateway_up", None] == 1
    assert values["veo_oldest_owed_result_seconds", None] == 0
    assert values["veo_last_usable_answer_timestamp_seconds", None] > 0


async def test_metrics_count_what_happened_on_the_way_of_a_video(env: InProcessEnv, port: int):
    """A poll without an answer, a file that is too large, a rate limit, and the video in the end."""
    clip = Clip.padded(9 * 1024 * 1024)
    posts = f"POST /channels/{env.channel.id}/messages"
    env.api.faults.add(Fault("GET /v1/result/*", status=503, body=""))
    env.discord.faults.add(Fault(posts, status=413, body={"code": 40005, "message": "too large"}))
    env.discord.faults.add(
        Fault(posts, status=429, body={"message": "slow", "retry_after": 0.1, "global": False}, headers=VIA)
    )
    env.api.create(ID).complete(clip)
    async with env.bot(http_port=port):
        await env.track(ID)
        [result] = await env.results()
        while (values := await samples(port))["veo_delivery_attempts_total", "posted"] == 0:
            continue

    assert values["veo_polls_total", "error"] == 1
    assert values["veo_polls_total", "completed"] == 1
    assert values["veo_download_bytes_total", None] == clip.size
    assert values["veo_download_seconds_count", None] == 1
    assert values["veo_uploads_too_large_total", None] == 1
    assert values["veo_wait_seconds_total", "discord"] == 1
    assert values["veo_upload_bytes_total", None] == result.attachments[0].size < clip.size
    assert values["veo_upload_seconds_count", None] == 1
    assert values["veo_completed_to_posted_seconds_count", None] == 1
    assert 0 < values["veo_upload_seconds_sum", None] < values["veo_completed_to_posted_seconds_sum", None]


async def test_metrics_show_every_value_of_a_label_from_the_start_and_no_other(env: InProcessEnv, port: int):
    """`rate` does not see a series that begins at 1; and an id as a label would be a series for each task."""
    env.api.create(ID).fail("no")
    async with env.bot(http_port=port):
        before = await samples(port)
        await env.track(ID)
        await env.results()
        while (after := await samples(port))["veo_delivery_attempts_total", "posted"] == 0:
            continue

    assert after.keys() == before.keys()
    assert before["veo_delivery_attempts_total", "posted"] == 0


async def test_untracked_task_is_not_counted_as_open(env: InProcessEnv, port: int):
    """It is no longer polled: an alert on `waiting` tasks would fire for ever."""
    env.api.create(ID)
    async with env.bot(http_port=port):
        await env.track(ID)
        waiting = await samples(port)
        await env.alice.slash(env.channel, "veo untrack", id=ID)
        untracked = await samples(port)

    assert (waiting["veo_tasks", "waiting"], waiting["veo_deliveries", "open"]) == (1, 1)
    assert (untracked["veo_tasks", "waiting"], untracked["veo_deliveries", "open"]) == (1, 0)


async def test_event_loop_is_measured_while_somebody_may_read_it(env: InProcessEnv, port: int):
    """Twice a second, beside everything else."""
    async with env.bot(http_port=port):
        while (await samples(port))["veo_event_loop_lag_seconds_count", None] == 0:
            continue
        values = await samples(port)

    assert values["veo_event_loop_lag_seconds_sum", None] >= 0


# -- what is written about them --------------------------------------------------------------------


def used(expressions: list[str]) -> set[str]:
    return {
        name for expression in expressions for name in re.findall(r"\b(?:veo|process)_[a-z_]+", expression)
    }


def alert_rules() -> list[str]:
    return re.findall(r"^ +expr: (.+)$", (DOCS / "operating.md").read_text(encoding="utf-8"), re.MULTILINE)


def panel_queries() -> list[str]:
    dashboard = json.loads((DOCS / "grafana.json").read_text(encoding="utf-8"))
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


async def test_every_metric_of_alerts_and_dashboard_is_exposed(env: InProcessEnv, port: int):
    """An alert on a name that nobody exports never fires, and its panel stays empty."""
    async with env.bot(http_port=port):
        exposed = {name for name, _ in await samples(port)}

    assert len(alert_rules()) == 5
    assert used(alert_rules()) <= exposed
    assert used(panel_queries()) <= exposed


async def test_every_metric_is_in_the_table_and_on_the_dashboard(env: InProcessEnv, port: int):
    """What nobody knows of, nobody looks at."""
    async with env.bot(http_port=port):
        _, text = await fetch(port, "/metrics")

    families = {family.name: family for family in text_string_to_metric_families(text)}
    rows = [
        line.split("|")[1]
        for line in (DOCS / "operating.md").read_text(encoding="utf-8").splitlines()
        if line.startswith(("| `veo_", "| `process_"))
    ]
    assert {name.removesuffix("_total") for name in used(rows)} == families.keys()
    shown = used(panel_queries())
    hidden = {name for name, f in families.items() if not shown & {s.name for s in f.samples}}
    assert hidden == {"process_virtual_memory_bytes", "process_max_fds"}


@pytest.mark.parametrize("expression", alert_rules() + panel_queries())
def test_numbers_of_several_processes_are_put_together_rightly(expression: str):
    """What is read from the database is the same in each; what was counted adds up."""
    for name in used([expression]):
        counted = re.search(rf"\bsum(?: by \([a-z, ]+\))? ?\((?:rate|increase)\({name}[\[{{]", expression)
        read = re.search(rf"\b(?:max|min)(?: by \([a-z]+\))? ?\({name}\b", expression)
        is_counter = name.endswith(("_total", "_bucket"))
        assert counted if is_counter else read or name in EACH_ITS_OWN, name


async def test_loopback_alone_is_listened_on(env: InProcessEnv, port: int):
    """Who is in the same network has no business there; a container says HTTP_HOST=0.0.0.0."""
    async with env.bot(http_port=port):
        with pytest.raises(ConnectionRefusedError), socket.socket() as other:
            other.connect(("127.0.0.2", port))
    async with env.bot(http_port=port, http_host="0.0.0.0"):
        with socket.socket() as other:
            other.connect(("127.0.0.2", port))


async def test_process_is_alive_though_its_database_is_not(env: InProcessEnv, port: int):
    """A disk in trouble is no reason to restart the process."""
    async with env.bot(http_port=port):
        other = sqlite3.connect(env.folder / "data" / "bot.db", isolation_level=None, check_same_thread=False)
        # The bot writes now and then; in a thread, because waiting for it here would keep it from going on.
        other.execute(f"PRAGMA busy_timeout={PATIENCE * 1000:.0f}")
        await asyncio.to_thread(other.execute, "BEGIN IMMEDIATE")
        try:
            assert await fetch(port, "/livez") == (200, "ok\n")
            status, text = await fetch(port, "/healthz")
        finally:
            other.execute("ROLLBACK")
            other.close()
        assert status == 503
        assert "the database " in text


async def test_rate_that_is_too_low_is_told_and_is_no_fault(
    env: InProcessEnv, port: int, caplog: pytest.LogCaptureFixture
):
    """Late polls that the rate explains do not call for a restart: more tasks wait than it can serve."""
    caplog.set_level(logging.WARNING)
    ids = [f"vgen_many{number}" for number in range(20)]
    for task_id in ids:
        env.api.create(task_id)
    async with env.bot(http_port=port, poll_interval=2, poll_rate=2):
        await env.track(" ".join(ids))
        while "POLL_RATE" not in (health := await fetch(port, "/healthz"))[1]:
            continue
        await eventually(lambda: "POLL_RATE" in caplog.text)
        assert (await fetch(port, "/healthz"))[0] == 200

    assert health[0] == 200
    # A task that has just been polled is not due within the interval, and waits for nothing.
    assert re.match(
        r"ok\nPOLL_RATE is too low for (1\d|20) waiting tasks: at 2 a second each is polled every \d+ s "
        r"instead of every 2 s \(POLL_INTERVAL\); \d+ would do",
        health[1],
    )
    assert caplog.text.count("POLL_RATE is too low for ") == 1


async def test_process_tells_what_it_is_and_what_it_takes(env: InProcessEnv, port: int):
    async with env.bot(http_port=port):
        while not (values := await samples(port))["veo_gateway_up", None]:
            continue
        values = await samples(port)

    assert values["veo_build_info", f"{platform.python_version()} {VERSION}"] == 1
    assert values["veo_servers", None] == 1
    assert values["process_resident_memory_bytes", None] > 10_000_000
    assert values["process_cpu_seconds_total", None] > 0
    assert 0 < values["process_open_fds", None] < values["process_max_fds", None]
    assert values["process_start_time_seconds", None] > 0


async def test_commands_and_buttons_are_counted_by_how_they_ended(env: InProcessEnv, port: int):
    """One place for all of them; a person's quota is no bug."""
    env.api.create(ID)
    async with env.bot(http_port=port, max_open_per_user=1):
        card = await env.track(ID)
        await env.alice.slash(env.channel, "veo track", id="vgen_one_too_many")
        await env.alice.slash(env.channel, "veo list")
        await env.bob.press(card, "Notify me")
        while not (values := await samples(port))["veo_commands_total", "notify answered"]:
            continue

    used = {
        labels: value for (name, labels), value in values.items() if name == "veo_commands_total" and value
    }
    assert used == {"track answered": 1, "track refused": 1, "list answered": 1, "notify answered": 1}


async def test_port_in_use_ends_the_start(env: InProcessEnv):
    """69, with the setting's name."""
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(DependencyDown, match="HTTP_PORT"):
        async with env.bot(http_port=taken.getsockname()[1]):
            pass


async def test_without_the_setting_nothing_listens(env: InProcessEnv, port: int):
    async with env.bot():
        with pytest.raises(aiohttp.ClientConnectorError):
            await fetch(port, "/healthz")
