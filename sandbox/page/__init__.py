"""The demo as a page: a chat in the browser, and beside it the other side of the glass."""

from sandbox.page.server import PageServer

__all__ = ["PageServer"]
