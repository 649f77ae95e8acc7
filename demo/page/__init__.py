"""The demo as a page: a chat in the browser, and beside it the other side of the glass."""

from demo.page.server import PageServer

__all__ = ["PageServer"]
