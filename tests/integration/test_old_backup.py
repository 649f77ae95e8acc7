"""A database that was put back by hand: what was delivered after the copy is not delivered again."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.integration.conftest import InProcessEnv
from tests.timing import eventually

ID, HIDDEN, FAILED = "vgen_abc123def456", "vgen_hidden", "vgen_failed"


def is_settled(database: Path) -> bool:
    with closing(sqlite3.connect(database)) as connection:
        owed = connection.execute("SELECT count(*) FROM deliveries WHERE state IN ('open', 'due')")
        return bool(owed.fetchone()[0] == 0)


async def test_backup_put_back_by_hand_posts_and_tells_nothing_twice(env: InProcessEnv):
    """Results and direct messages; Discord has forgotten every nonce."""
    hidden = env.guild.add_channel("hidden")
    tasks = [env.api.create(task_id) for task_id in (ID, HIDDEN, FAILED)]
    file, copy = env.folder / "data" / "bot.db", env.folder / "copy.db"
    async with env.bot():
        await env.track(f"{ID} {FAILED}")
        await env.bob.slash(hidden, "veo track", id=HIDDEN)
        await env.api.until(lambda: len({poll.task_id for poll in env.api.polls}) == 3)
    shutil.copy(file, copy)
    hidden.deny(env.discord.bot, "view_channel")
    for task in tasks[:2]:
        task.complete()
    tasks[2].fail("no")
    async with env.bot():
        results = await env.results(2)
        await eventually(lambda: is_settled(file))
    for left in (file.with_name("bot.db-wal"), file.with_name("bot.db-shm")):
        left.unlink(missing_ok=True)
    shutil.copy(copy, file)
    env.discord.forget_nonces()
    async with env.bot():
        await eventually(lambda: is_settled(file), within=20)

    assert await env.results(2) == results
    assert len(env.bob.direct_channel.messages) == 1
    assert env.alice.direct_channel.messages == []
