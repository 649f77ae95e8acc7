"""What must have happened in a soak that had time for it: a promise that was never tried has not held."""

import asyncio
import random
import re
from collections import Counter
from collections.abc import Sequence

from sandbox.bot_environment import BotEnvironment
from sandbox.discord import Channel
from sandbox.video_api import Clip
from sandbox.video_api.tasks import StandInTask

# What a line of the bot's log shows.
_IN_THE_LOG = {
    "a look-up that found it": re.compile(r"found from an earlier attempt"),
    "a lease taken over": re.compile(r"taking over \d+ pieces of work|another process has it"),
    "a 413 learnt": re.compile(r"in another form: too_large_here"),
    "a direct message told": re.compile(r"was told by direct message"),
    "a fresh link used": re.compile(r"has a fresh link"),
    "a revived undeliverable": re.compile(r"results can be posted again"),
}
_OF_ONE_PROCESS = ("a database put back",)
_OF_SEVERAL = ("an outcome under a lost lease",)
_SEEN = ("a nonce answered with the first message", "a resumed download")
# Below it some of them may not have had their turn.
ENOUGH_MINUTES = 20
# The link of a task is dead for so long.
_DEAD_FOR = 30.0
_SILENT_FOR = (3.0, 12.0)


def sometimes(env: BotEnvironment, log: Sequence[str], put_back: int) -> Counter[str]:
    """How often each of them happened."""
    counts = Counter(what for line in log for what, said in _IN_THE_LOG.items() if said.search(line))
    counts["an outcome under a lost lease"] = sum("another process has it" in line for line in log)
    counts["a nonce answered with the first message"] = env.discord.nonce_hits
    counts["a resumed download"] = sum("Range" in download.headers for download in env.api.downloads)
    counts["a database put back"] = put_back
    return counts


def never(counts: Counter[str], *, several: bool, seconds: float) -> list[str]:
    """What should have happened in a run of such a length, and did not."""
    expected = [*_IN_THE_LOG, *_SEEN, *(_OF_SEVERAL if several else _OF_ONE_PROCESS)]
    return [what for what in expected if not counts[what]] if seconds >= ENOUGH_MINUTES * 60 else []


def complete_by_a_dead_link(env: BotEnvironment, task: StandInTask, clip: Clip) -> None:
    """The first link leads nowhere; the API gives the right one later."""
    task.complete(clip, url=f"{env.api.url}/videos/gone-{task.id}.mp4")
    asyncio.get_running_loop().call_later(_DEAD_FOR, task.complete, clip)


async def silence_now_and_then(
    env: BotEnvironment, channels: Sequence[Channel], chance: random.Random
) -> None:
    """Take the right to send from the bot in one channel, and give it back a moment later."""
    while True:
        await asyncio.sleep(chance.uniform(20, 40))
        channel = chance.choice(channels)
        channel.deny(env.discord.bot, "send_messages")
        try:
            await asyncio.sleep(chance.uniform(*_SILENT_FOR))
        finally:
            channel.allow(env.discord.bot, "send_messages")
