"""The demo as a page: a chat in the browser, and a panel that shows the bot and the video API beside it."""

from demo.page.server import PageServer

__all__ = ["PageServer"]
