"""One browser for all tests of the page; a new environment, server and tab for each."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from demo.page import PageServer
from demo.page.browser import MISSING, find, open_browser
from demo.page.run import populate
from sandbox.bot_environment import BotEnvironment
from sandbox.bot_process import BotProcess
from sandbox.discord import Channel, Message, Person
from sandbox.patience import PATIENCE
from tests.page.bot_in_loop import BotInLoop

WIDE: Any = {"width": 1280, "height": 800}
# Above the usual port, so that a demo that runs on this machine is not in the way.
PORT = 18080
BY_HAND = 0.0

expect.set_options(timeout=PATIENCE * 1000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Playwright's objects live in one event loop, so all of these tests do."""
    here = Path(__file__).parent
    for item in items:
        if item.path.parent == here:
            if iscoroutinefunction(getattr(item, "function", None)):
                item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
            if find() is None and "opened" in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.skip(reason=MISSING))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with open_browser() as browser:
        yield browser


class Opened:
    """An environment with its page, and what people do there with a mouse or a keyboard."""

    def __init__(self, env: BotEnvironment, server: PageServer, page: Page) -> None:
        self.env = env
        self.server = server
        self.page = page
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._on_console)
        page.on("dialog", lambda dialog: self.errors.append(f"a dialog: {dialog.message}"))

    def _on_console(self, message: Any) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    @property
    def composer(self) -> Any:
        return self.page.locator("#composer-text")

    @property
    def carol(self) -> Person:
        return self.person("carol")

    def person(self, name: str) -> Person:
        return next(
            u for u in self.env.discord.world.users.values() if isinstance(u, Person) and u.name == name
        )

    def channel(self, name: str) -> Channel:
        return next(c for c in self.env.discord.world.channels.values() if c.name == name)

    async def type(self, text: str) -> None:
        await self.composer.fill(text)
        await self.page.keyboard.press("Enter")

    async def track(self, task_id: str) -> None:
        await self.type(f"/veo track id:{task_id}")
        await expect(self.messages.filter(has_text=task_id).first).to_be_visible()

    async def become(self, name: str) -> None:
        await self.page.locator(".person", has_text=name).click()

    async def change(self, task_id: str, choice: str) -> None:
        """Choose an entry of a task's menu in the panel."""
        await self.page.get_by_label(f"Change {task_id}").select_option(choice)

    @property
    def messages(self) -> Any:
        return self.page.locator(".message")

    def results(self, task_id: str, channel: Channel | None = None) -> list[Message]:
        """The messages that end a delivery: everything about the task but its card."""
        shown = (channel or self.env.channel).messages
        return [m for m in shown if f"`{task_id}`" in m.text and not m.is_v2]


@pytest.fixture
def bot_process() -> None:
    """The bot is a process: for tests that kill it, and for those of the whole demo."""


@pytest_asyncio.fixture(loop_scope="session")
async def opened(
    browser: Browser,
    tmp_path: Path,
    brought_up_file: Path,
    discord_addresses: None,
    request: pytest.FixtureRequest,
) -> AsyncIterator[Opened]:
    (tmp_path / "data").mkdir()
    shutil.copy(brought_up_file, tmp_path / "data")
    bot = BotProcess if "bot_process" in request.fixturenames else BotInLoop
    async with _open(browser, tmp_path, bot, viewport=WIDE) as found:
        yield found


@asynccontextmanager
async def _open(browser: Browser, folder: Path, bot: type[BotProcess], **look: Any) -> AsyncIterator[Opened]:
    async with BotEnvironment(folder) as env:
        env.bot = bot(env.settings(), folder / "bot.log")
        # Longer than the bot may pause, and shorter than what waits for its end.
        env.discord.interaction_deadline = PATIENCE / 3
        populate(env)
        async with PageServer(env, PORT) as server:
            server.speed.factor = BY_HAND
            server.bot.start()
            context = await browser.new_context(**look)
            await context.grant_permissions(["clipboard-read", "clipboard-write"])
            context.set_default_timeout(PATIENCE * 1000)
            found = Opened(env, server, await context.new_page())
            await found.page.goto(server.url)
            await expect(found.page.locator(".bot-state")).to_have_attribute("data-state", "running")
            yield found
            await context.close()
        env.check()
        assert found.errors == []
