"""A short story that shows the bot: three ids are tracked, and each ends differently."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from sandbox.video_api import CLIP

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sandbox.bot_environment import BotEnvironment
    from sandbox.discord import Message

MADE = "vgen_abc123def456"
REFUSED = "vgen_9f27c1d08b3e"
MISTYPED = "vgen_abc123def4"
POLICY = (
    "The prompt could not be submitted. This prompt contains words that violate Vertex AI's usage "
    "guidelines. Try rephrasing the prompt. Support codes: 29310472"
)


class Story:
    """Runs the story in an environment. `report` gets each step as a line."""

    def __init__(self, env: BotEnvironment, report: Callable[[str], None]) -> None:
        self._env = env
        self._report = report
        self.private: list[Message] = []

    async def run(self) -> Message:
        """Run the story, and return the message with the video."""
        env = self._env
        made, refused = env.api.create(MADE), env.api.create(REFUSED)
        await env.start_bot()
        self._report("The bot is on line and has registered its commands.")
        await self._track()
        made.proceed()
        self._report("The video API works on two of them, and does not know the third.")
        await self._result_of(MISTYPED)
        refused.fail(POLICY)
        self._report(f"It refuses {REFUSED} for its prompt.")
        await self._result_of(REFUSED)
        made.complete()
        self._report(f"{MADE} is ready.")
        video = await self._result_of(MADE)
        listed = await env.alice.slash(env.channel, "veo list")
        self._report("alice types  /veo list")
        if listed.message is not None:
            self.private.append(listed.message)
        return video

    async def _track(self) -> None:
        env = self._env
        ids = f"{MADE} {REFUSED} {MISTYPED}"
        self._report(f"alice types  /veo track id:{ids} note:harbour at dawn")
        reply = await env.alice.slash(env.channel, "veo track", id=ids, note="harbour at dawn")
        if reply.message is None:
            raise RuntimeError("the bot did not answer with a card")
        self._report(f"The card is there after {reply.acknowledged_after * 1000:.0f} ms.")
        pressed = await env.bob.press(reply.message, "Notify me")
        self._report("bob presses  Notify me" + (f": “{pressed.text}”" if pressed.ephemeral else ""))

    async def _result_of(self, task_id: str) -> Message:
        channel = self._env.channel

        def posted() -> Message | None:
            return next((m for m in channel.messages[1:] if f"`{task_id}`" in m.text), None)

        found = await self._env.discord.until(posted, within=15)
        if found is None:
            raise RuntimeError(f"no result message for {task_id}")
        card = channel.messages[0]
        await self._env.discord.until(lambda: str(found.id) in card.text, within=15)
        return found


def save_video(message: Message, folder: Path) -> tuple[Path, bool]:
    """Save the attachment. Returns its path, and whether its bytes are the API's."""
    attachment = message.attachments[0]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / attachment.filename
    path.write_bytes(attachment.content)
    return path, hashlib.sha256(path.read_bytes()).hexdigest() == CLIP.sha256
