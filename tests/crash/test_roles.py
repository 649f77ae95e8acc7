"""Chat and work as processes over one PostgreSQL: each of them may die, and nothing is lost or doubled."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from bot.chat.texts import DATABASE_DOWN
from bot.core.shards import shard_of
from bot.storage.migrations import NEWEST
from sandbox.bot_process import BotProcess
from sandbox.discord import Message
from sandbox.postgres import Server, postgres
from tests.crash.conftest import Theatre
from tests.secrecy import leaked
from tests.timing import eventually

pytestmark = [pytest.mark.crash, pytest.mark.timeout(90)]

ID = "vgen_abc123def456"
POSTS = "POST /channels/*/messages"


class Troupe(Theatre):
    """Several processes of one bot."""

    def __init__(self, folder: Path, **settings: str) -> None:
        super().__init__(folder, **settings)
        self.players: list[BotProcess] = []

    async def join(self, role: str, **changes: str) -> BotProcess:
        """Another process, once it does its part."""
        player = BotProcess(self.settings() | changes, self.folder / f"{len(self.players)}-{role}.log")
        self.players.append(player)
        await player.start("--role", role)
        ready = "ready without a gateway" if role == "work" else "ready as"
        await eventually(lambda: player.exit_code is not None or ready in player.output(), within=20)
        assert player.exit_code is None, player.output()
        return player

    async def assert_one_result(self) -> None:
        [result] = await self.settled(ID)
        assert result.attachments
        await self.discord.until(lambda: "completed: https://" in self.card.content, within=20)
        for player in self.players:
            await player.stop()
        assert self.results() == [result]

    async def track_it(self) -> None:
        self.card = await self.track(ID)


@pytest.fixture
async def troupe(tmp_path: Path, server: Server, brought_up: str) -> AsyncIterator[Troupe]:
    settings = {"DATABASE_URL": server.database(brought_up), "LEASE_TIME": "2", "POLL_INTERVAL": "0.3"}
    async with Troupe(tmp_path, POLL_RATE="1000", LOG_LEVEL="DEBUG", **settings) as troupe:
        troupe.discord.interaction_deadline = 15
        yield troupe
        for player in troupe.players:
            await player.stop()
            assert leaked(player.output()) == []
            assert "Traceback" not in player.output(), player.output()
        troupe.check()


async def test_command_in_one_process_is_worked_on_in_another_within_a_second(troupe: Troupe):
    """The worker sleeps for up to half a minute when nothing waits: it is woken."""
    troupe.api.create(ID).complete()
    await troupe.join("work")
    await troupe.join("chat")
    await troupe.track_it()
    told = asyncio.get_running_loop().time()
    await troupe.more_questions_than(0, ID)

    assert asyncio.get_running_loop().time() - told < 1
    await troupe.assert_one_result()


@pytest.mark.parametrize("stage", ["received", "accepted"])
async def test_worker_killed_during_an_upload_is_replaced_by_another(troupe: Troupe, stage: str):
    """Within its lease, and with the nonce that it had used."""
    troupe.api.create(ID).complete()
    first = await troupe.join("work")
    await troupe.join("chat")
    hold = troupe.discord.hold(POSTS, stage=stage)  # type: ignore[arg-type]
    await troupe.track_it()
    await hold.reached()
    await troupe.join("work")
    await first.kill()
    hold.drop()

    await troupe.assert_one_result()


async def test_worker_that_freezes_and_comes_back_does_not_post_twice(troupe: Troupe):
    """Its lease is over, another has posted, and it still holds a request that it had begun."""
    troupe.api.create(ID).complete()
    frozen = await troupe.join("work")
    await troupe.join("chat")
    hold = troupe.api.hold("GET /videos/*", stage="half")
    await troupe.track_it()
    await hold.reached()
    frozen.freeze()
    await troupe.join("work")
    hold.release()
    await troupe.settled(ID)
    frozen.thaw()

    await troupe.assert_one_result()


async def test_results_arrive_though_nobody_answers_commands(troupe: Troupe):
    """The gateway's process may be gone for as long as it likes."""
    task = troupe.api.create(ID)
    await troupe.join("work")
    chat = await troupe.join("chat")
    await troupe.track_it()
    await troupe.discord.until(lambda: "queued" in troupe.card.content)
    await chat.kill()
    task.complete()
    await troupe.settled(ID)
    await troupe.join("chat")

    assert "completed" in await troupe.listed()
    await troupe.assert_one_result()


async def test_database_that_goes_and_comes_back_loses_nothing(troupe: Troupe):
    """It is stopped while a result is on its way to Discord, which takes it: nobody can record that yet."""
    with postgres() as own:
        address = own.database()
        task = troupe.api.create(ID)
        worker = await troupe.join("work", DATABASE_URL=address)
        await troupe.join("chat", DATABASE_URL=address)
        await troupe.track_it()
        hold = troupe.discord.hold(POSTS, stage="received")
        task.complete()
        await hold.reached()
        own.stop()
        hold.release()
        await eventually(lambda: "PostgreSQL cannot be reached" in worker.output(), within=20)
        assert await troupe.listed() == DATABASE_DOWN
        own.start()

        await troupe.assert_one_result()


async def test_two_workers_share_many_results(troupe: Troupe):
    """Each once."""
    ids = [f"vgen_{n:012d}" for n in range(15)]
    tasks = [troupe.api.create(task_id) for task_id in ids]
    for role in ("work", "work", "chat"):
        await troupe.join(role)
    await troupe.track(" ".join(ids))
    for task in tasks:
        task.complete()
    results = await troupe.settled(*ids)
    for player in troupe.players:
        await player.stop()

    assert sorted(m.content.split("`")[1] for m in results) == ids


async def test_two_processes_share_the_shards(troupe: Troupe):
    """Each answers in its own servers and judges those alone; of one that died, the results still arrive."""
    here = shard_of(troupe.guild.id, 2)
    other = troupe.discord.add_guild("Elsewhere", shard=(1 - here, 2))
    other.join(troupe.alice)
    elsewhere = other.add_channel("renders")
    troupe.discord.session_starts["max_concurrency"] = 2
    await troupe.join("all", SHARD_COUNT="2", SHARD_IDS=str(here))
    dying = await troupe.join("all", SHARD_COUNT="2", SHARD_IDS=str(1 - here))
    task = troupe.api.create(ID)
    await troupe.track_it()
    await troupe.alice.slash(elsewhere, "veo track", id=ID)
    await dying.kill()
    task.complete()

    def posted() -> list[Message]:
        return [message for message in elsewhere.messages if message.attachments]

    assert len(await troupe.discord.until(posted, within=20)) == 1
    await troupe.assert_one_result()
    assert all("1 of 2 shards" in player.output() for player in troupe.players)
    assert not any("no longer in server" in player.output() for player in troupe.players)
    assert len(posted()) == 1


async def test_half_of_a_bot_on_sqlite_is_a_wrong_setting(troupe: Troupe):
    """A file is for one process."""
    alone = BotProcess(troupe.settings() | {"DATABASE_URL": ""}, troupe.folder / "alone.log")
    await alone.start("run", "--role", "chat")

    assert await alone.ended() == 2
    assert "--role chat: needs a DATABASE_URL of PostgreSQL" in alone.output()


async def test_commands_know_postgresql(troupe: Troupe):
    """Each says what it found there; a backup is PostgreSQL's own business."""
    said = {}
    for command in ("migrate", "check", "doctor"):
        said[command] = await _ended(troupe, command)
    said["backup"] = await _ended(troupe, "backup", str(troupe.folder / "copy"))

    assert said["migrate"] == (0, f"database at schema version {NEWEST}\n")
    assert f"ok    database: PostgreSQL, schema version {NEWEST}\n" in said["check"][1]
    assert said["check"][0] == said["doctor"][0] == 0
    assert "ok    tasks: none\n" in said["doctor"][1]
    assert said["backup"][0] == 2
    assert "pg_dump" in said["backup"][1]


async def test_database_that_is_gone_at_start_exits_69(troupe: Troupe):
    """One line, without the password."""
    address = "postgresql://bot:hunter2hunter2@127.0.0.1:1/veo"
    code, said = await _ended(troupe, "run", DATABASE_URL=address)

    assert code == 69
    assert "DATABASE_URL: PostgreSQL cannot be reached" in said.splitlines()[-1]
    assert "hunter2" not in said


async def _ended(troupe: Troupe, *arguments: str, **changes: str) -> tuple[int, str]:
    process = BotProcess(troupe.settings() | changes, troupe.folder / f"{arguments[0]}.log")
    await process.start(*arguments)
    return await process.ended(), process.output()


async def test_each_role_tells_its_own_health(troupe: Troupe):
    """A worker needs no gateway, and late questions are not the fault of a process that only chats."""
    troupe.api.create(ID)
    ports = {role: str(_free_port()) for role in ("work", "chat")}
    for role, port in ports.items():
        await troupe.join(role, HTTP_PORT=port)
    await troupe.track_it()
    said = {
        role: [await _fetch(port, page) for page in ("healthz", "metrics")] for role, port in ports.items()
    }

    assert said["work"][0] == said["chat"][0] == "ok\n"
    assert "veo_gateway_up 1.0" in said["chat"][1]
    assert "veo_gateway_up" not in said["work"][1]
    assert 'veo_tasks{state="waiting"} 1.0' in said["work"][1]


async def test_late_questions_are_not_the_fault_of_who_only_chats(troupe: Troupe):
    """Starting it again would mend nothing: nobody works."""
    port = str(_free_port())
    await troupe.join("chat", HTTP_PORT=port)
    await troupe.track_it()
    while _lateness(await _fetch(port, "metrics")) < 2:
        continue

    assert await _fetch(port, "healthz") == "ok\n"


def _lateness(metrics: str) -> float:
    [line] = [each for each in metrics.splitlines() if each.startswith("veo_latest_question_late_seconds ")]
    return float(line.split()[1])


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


async def _fetch(port: str, page: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/{page}") as answer:
        return await answer.text()
