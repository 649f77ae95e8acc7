"""The media items of thumbnails, galleries and file components: what their addresses lead to."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandbox.discord.message_parts import Attachment, Json
    from sandbox.discord.snowflakes import Snowflakes

_ATTACHMENT = "attachment://"


class MediaItems:
    """The media items of one message, which has these files. The stand-in fetches no other addresses."""

    def __init__(self, files: Iterable[Attachment], snowflakes: Snowflakes) -> None:
        self._files = {file.filename: file for file in files}
        self._snowflakes = snowflakes

    def file(self, url: str) -> Attachment | None:
        """The message's file with the name in `attachment://<name>`; None for another address."""
        return self._files.get(url.removeprefix(_ATTACHMENT)) if url.startswith(_ATTACHMENT) else None

    def item(self, url: str) -> Json:
        """The media item for an address, as Discord stores it in the component."""
        file = self.file(url)
        if file is None:
            unknown = {"width": None, "height": None, "content_type": None}
            return {"id": str(self._snowflakes.next()), "url": url, "proxy_url": url, **unknown}
        return {
            "id": str(file.id),
            "url": file.url,
            "proxy_url": file.url,
            "width": file.video.width if file.video else None,
            "height": file.video.height if file.video else None,
            "content_type": file.content_type,
            "attachment_id": str(file.id),
        }
