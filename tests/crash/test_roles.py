"""Chat and work as processes over one PostgreSQL: each may die, and nothing is lost or posted twice."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from bot.chat.gateway.shards import shard_of
from bot.chat.texts.replies import DATABASE_DOWN
from bot.storage.migrations import NEWEST
from sandbox.bot_process import BotProcess
from sandbox.discord import Message
from sandbox.patience import PATIENCE
from sandbox.postgres import Server, postgres
from tests.crash.conftest import CrashEnv
from tests.ports import reserved_port
from tests.results import tracked_id
from tests.secrecy import leaked
from tests.timing import eventually

pytestmark = pytest.mark.crash

ID = "vgen_abc123def456"
POSTS = "POST /channels/*/messages"


class MultiProcessEnv(CrashEnv):
    """Several processes of one bot."""

    def __init__(self, folder: Path, **settings: str) -> None:
        super().__init__(folder, **settings)
        self.processes: list[BotProcess] = []

    async def join(self, role: str, **changes: str) -> BotProcess:
        """Start another process, and wait until it works."""
        process = BotProcess(self.settings() | changes, self.folder / f"{len(self.processes)}-{role}.log")
        self.processes.append(process)
        await process.start("--role", role)
        ready = "ready without a gateway" if role == "work" else "ready as"
        await eventually(lambda: process.exit_code is not None or ready in process.output())
        assert process.exit_code is None, process.output()
        if role == "chat":
            await self.discord.until(lambda: self.discord.commands)
        return process

    async def assert_one_result(self) -> None:
        [result] = await self.settled(ID)
        assert result.attachments
        await self.discord.until(lambda: "[see the video](https://" in self.card.content)
        for process in self.processes:
            await process.stop()
        assert self.results() == [result]

    async def track_it(self) -> None:
        self.card = await self.track(ID)


@pytest.fixture
async def env(tmp_path: Path, server: Server, brought_up: str) -> AsyncIterator[MultiProcessEnv]:
    settings = {"DATABASE_URL": server.database(brought_up), "LEASE_TIME": "4", "POLL_INTERVAL": "0.3"}
    async with MultiProcessEnv(tmp_path, POLL_RATE="1000", LOG_LEVEL="DEBUG", **settings) as env:
        env.discord.interaction_deadline = PATIENCE
        yield env
        for process in env.processes:
            await process.stop()
            assert leaked(process.output()) == []
            assert "Traceback" not in process.output(), process.output()
        env.check()


async def test_command_in_one_process_wakes_the_worker_in_another(env: MultiProcessEnv):
    """Without a notification an idle worker sleeps for up to half a minute."""
    env.api.create(ID).complete()
    await env.join("work")
    await env.join("chat")
    await env.track_it()
    tracked_at = asyncio.get_running_loop().time()
    await env.more_polls_than(0, ID)

    assert asyncio.get_running_loop().time() - tracked_at < 20
    await env.assert_one_result()


@pytest.mark.parametrize("point", ["received", "accepted"])
async def test_worker_killed_during_an_upload_is_replaced_by_another(env: MultiProcessEnv, point: str):
    """After its lease has ended, with the nonce that it used."""
    env.api.create(ID).complete()
    first = await env.join("work")
    await env.join("chat")
    hold = env.discord.hold(POSTS, point=point)  # type: ignore[arg-type]
    await env.track_it()
    await hold.reached()
    await env.join("work")
    await first.kill()
    hold.drop()

    await env.assert_one_result()


async def test_worker_that_freezes_and_comes_back_does_not_post_twice(env: MultiProcessEnv):
    """Its lease has ended and another worker has posted, but it still has an open request."""
    env.api.create(ID).complete()
    frozen = await env.join("work")
    await env.join("chat")
    hold = env.api.hold("GET /videos/*", point="half")
    await env.track_it()
    await hold.reached()
    frozen.freeze()
    await env.join("work")
    hold.release()
    await env.settled(ID)
    frozen.thaw()

    await env.assert_one_result()


async def test_results_are_posted_without_a_chat_process(env: MultiProcessEnv):
    task = env.api.create(ID)
    await env.join("work")
    chat = await env.join("chat")
    await env.track_it()
    await env.discord.until(lambda: "in the queue" in env.card.content)
    await chat.kill()
    task.complete()
    await env.settled(ID)
    await env.join("chat")

    assert "see the video" in await env.listed()
    await env.assert_one_result()


async def test_database_that_restarts_loses_nothing(env: MultiProcessEnv):
    """It stops during an upload that Discord accepts, so the end cannot be recorded yet."""
    with postgres() as own:
        address = own.database()
        task = env.api.create(ID)
        worker = await env.join("work", DATABASE_URL=address)
        await env.join("chat", DATABASE_URL=address)
        await env.track_it()
        hold = env.discord.hold(POSTS, point="received")
        task.complete()
        await hold.reached()
        own.stop()
        hold.release()
        await eventually(lambda: "PostgreSQL cannot be reached" in worker.output())
        assert await env.listed() == DATABASE_DOWN
        own.start()

        await env.assert_one_result()


async def test_two_workers_share_many_results(env: MultiProcessEnv):
    """Each result is posted once."""
    ids = [f"vgen_{n:012d}" for n in range(15)]
    tasks = [env.api.create(task_id) for task_id in ids]
    for role in ("work", "work", "chat"):
        await env.join(role)
    await env.track(" ".join(ids))
    for task in tasks:
        task.complete()
    results = await env.settled(*ids)
    for process in env.processes:
        await process.stop()

    assert sorted(map(tracked_id, results)) == ids


async def test_two_processes_share_the_shards(env: MultiProcessEnv):
    """Each answers in its servers. Results of a process that died still arrive."""
    here = shard_of(env.guild.id, 2)
    other = env.discord.add_guild("Elsewhere", shard=(1 - here, 2))
    other.join(env.alice)
    elsewhere = other.add_channel("renders")
    env.discord.session_starts["max_concurrency"] = 2
    await env.join("all", SHARD_COUNT="2", SHARD_IDS=str(here))
    dying = await env.join("all", SHARD_COUNT="2", SHARD_IDS=str(1 - here))
    task = env.api.create(ID)
    await env.track_it()
    await env.alice.slash(elsewhere, "veo track", id=ID)
    await dying.kill()
    task.complete()

    def posted() -> list[Message]:
        return [message for message in elsewhere.messages if message.attachments]

    assert len(await env.discord.until(posted)) == 1
    await env.assert_one_result()
    assert all("1 of 2 shards" in process.output() for process in env.processes)
    assert not any("no longer in server" in process.output() for process in env.processes)
    assert len(posted()) == 1


async def test_single_role_on_sqlite_is_a_wrong_setting(env: MultiProcessEnv):
    """A file is for one process."""
    alone = BotProcess(env.settings() | {"DATABASE_URL": ""}, env.folder / "alone.log")
    await alone.start("run", "--role", "chat")

    assert await alone.ended() == 2
    assert "--role chat: needs a DATABASE_URL of PostgreSQL" in alone.output()


async def test_commands_support_postgresql(env: MultiProcessEnv):
    """Each reports what it found; `backup` refers to PostgreSQL's tools."""
    said = {}
    for command in ("migrate", "check", "doctor"):
        said[command] = await _ended(env, command)
    said["backup"] = await _ended(env, "backup", str(env.folder / "copy"))
    env.expect_check_of_another_address()

    assert said["migrate"] == (0, f"database at schema version {NEWEST}\n")
    assert f"ok    database: PostgreSQL, schema version {NEWEST}, can be written\n" in said["check"][1]
    assert said["check"][0] == said["doctor"][0] == 0
    assert "ok    tasks: none\n" in said["doctor"][1]
    assert said["backup"][0] == 2
    assert "pg_dump" in said["backup"][1]


async def test_unreachable_database_at_the_start_exits_69(env: MultiProcessEnv):
    """One line, without the password."""
    address = "postgresql://bot:hunter2hunter2@127.0.0.1:1/veo"
    code, said = await _ended(env, "run", DATABASE_URL=address)

    assert code == 69
    assert "DATABASE_URL: PostgreSQL cannot be reached" in said.splitlines()[-1]
    assert "hunter2" not in said


async def _ended(env: MultiProcessEnv, *arguments: str, **changes: str) -> tuple[int, str]:
    process = BotProcess(env.settings() | changes, env.folder / f"{arguments[0]}.log")
    await process.start(*arguments)
    return await process.ended(), process.output()


async def test_each_role_reports_its_own_health(env: MultiProcessEnv):
    """A worker needs no gateway, and late polls do not concern a chat process."""
    env.api.create(ID)
    with reserved_port() as work, reserved_port() as chat:
        ports = {"work": work, "chat": chat}
        for role, port in ports.items():
            # The next poll must not be late, also if the machine pauses.
            await env.join(role, HTTP_PORT=str(port), POLL_INTERVAL="30")
        await env.track_it()
        said = {
            role: [await _fetch(port, page) for page in ("healthz", "metrics")]
            for role, port in ports.items()
        }

    assert said["work"][0] == said["chat"][0] == "ok\n"
    assert "veo_gateway_up 1.0" in said["chat"][1]
    assert "veo_gateway_up" not in said["work"][1]
    assert 'veo_tasks{state="waiting"} 1.0' in said["work"][1]


async def test_late_polls_are_no_problem_of_a_chat_process(env: MultiProcessEnv):
    """Restarting it would not help: no worker is running."""
    with reserved_port() as port:
        await env.join("chat", HTTP_PORT=str(port))
        await env.track_it()
        while _lateness(await _fetch(port, "metrics")) < 2:
            continue

        assert await _fetch(port, "healthz") == "ok\n"


def _lateness(metrics: str) -> float:
    [line] = [each for each in metrics.splitlines() if each.startswith("veo_latest_question_late_seconds ")]
    return float(line.split()[1])


async def _fetch(port: int, page: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/{page}") as answer:
        return await answer.text()
