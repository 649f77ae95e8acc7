"""The demo as a page: a chat in the browser, with an inspector of the bot and the API beside it."""

from demo.page.server import PageServer

__all__ = ["PageServer"]
