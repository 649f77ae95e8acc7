"""Creates and edits messages from a request's payload, or raises Discord's refusal."""

from __future__ import annotations

import mimetypes
import re
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

from sandbox.discord import components, errors, limits, video_metadata
from sandbox.discord.media_items import MediaItems
from sandbox.discord.mentions import mentioned_users, pings
from sandbox.discord.message_parts import (
    COMPONENTS_V2,
    EPHEMERAL,
    LOADING,
    SUPPRESS_EMBEDS,
    SUPPRESS_NOTIFICATIONS,
    Attachment,
    Json,
    Origin,
)
from sandbox.discord.world import Message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.discord.record import Record, Upload
    from sandbox.discord.world import Channel, World

_SETTABLE = SUPPRESS_EMBEDS | SUPPRESS_NOTIFICATIONS | COMPONENTS_V2
_VIDEO_ENDINGS = (".mp4", ".mov", ".m4v")
_SETTABLE_BY_EDIT = SUPPRESS_EMBEDS | COMPONENTS_V2


class Nonces:
    """The messages by author and nonce, remembered for `window` seconds."""

    def __init__(self, window: float) -> None:
        self.window = window
        self._known: dict[tuple[int, str], tuple[Message, float]] = {}
        self.hits = 0

    def find(self, author_id: int, nonce: str) -> Message | None:
        message, at = self._known.get((author_id, nonce), (None, 0.0))
        if message is None or time.monotonic() - at >= self.window:
            return None
        self.hits += 1
        return message

    def remember(self, message: Message) -> None:
        if message.nonce is not None:
            self._known[message.author_id, message.nonce] = (message, time.monotonic())

    def forget(self) -> None:
        self._known.clear()


class Posting:
    def __init__(self, world: World, record: Record, nonces: Nonces) -> None:
        self._world = world
        self._record = record
        self.nonces = nonces
        self.address = ""
        """The address that serves attachments; the server sets it once it has a port."""

    def create(
        self,
        channel: Channel,
        payload: Json,
        files: list[Upload],
        *,
        author_id: int,
        origin: Origin | None = None,
        only_for: int | None = None,
        extra_flags: int = 0,
        inside: str = "",
    ) -> Message:
        """A new message. `inside` is the field of the request that has the payload, such as "data"."""
        self._check(channel, payload, files, inside)
        message = Message(
            id=self._world.snowflakes.next(),
            channel=channel,
            author_id=author_id,
            flags=((payload.get("flags") or 0) & _SETTABLE) | extra_flags,
            nonce=_nonce(payload),
            reference=_reference(payload),
            only_for=only_for,
            origin=origin,
        )
        self._set_content(message, payload, files)
        self._set_mentions(message, payload)
        self.nonces.remember(message)
        return self._world.post(message)

    def fill_placeholder(self, message: Message, payload: Json, files: list[Upload]) -> Message:
        """Replace "is thinking…" by the first content; whether it is ephemeral does not change."""
        self._check(message.channel, payload, files)
        message.flags = (message.flags & ~LOADING) | ((payload.get("flags") or 0) & _SETTABLE)
        self._set_content(message, payload, files)
        self._set_mentions(message, payload)
        self._world.announce("message edited", message)
        return message

    def edit(self, message: Message, payload: Json, files: list[Upload], *, inside: str = "") -> Message:
        flags = _edited_flags(message.flags, payload)
        merged = {**self._as_payload(message), **payload, "flags": flags}
        kept = [file.filename for file in _kept(message, merged)]
        self._check(message.channel, merged, files, inside, kept, edited=payload)
        message.edits.append(message.text)
        message.edited_at = datetime.now(UTC)
        message.flags = flags
        self._set_content(message, payload, files)
        message.mentioned = sorted(mentioned_users(message.text))
        self._world.announce("message edited", message)
        return message

    def _check(
        self,
        channel: Channel,
        payload: Json,
        files: list[Upload],
        inside: str = "",
        kept: Sequence[str] = (),
        edited: Json | None = None,
    ) -> None:
        """Raises Refusal for what Discord refuses, and records a surprise, because the bot has a bug then.

        `edited` is an edit's own part of the payload: the components that are stored already are not read.
        """
        if any(len(file.content) > channel.upload_limit for file in files):
            raise errors.too_large()
        names = {file.part: file.filename for file in files}
        given = payload if edited is None else {**payload, "components": edited.get("components")}
        if problems := limits.broken_rules(given, names, kept):
            refusal = errors.invalid_form({f"{inside}.{path}".lstrip("."): p for path, p in problems.items()})
        elif not _has_content(payload, files):
            refusal = errors.empty_message()
        elif limits.is_too_big(given.get("components") or []):
            refusal = errors.broken_discord()
        else:
            return
        self._record.surprise(f"a message Discord would refuse: {refusal.body()}")
        raise refusal

    def _as_payload(self, message: Message) -> Json:
        kept = [{"id": str(file.id)} for file in message.attachments]
        return {
            "content": message.sent_content,
            "embeds": message.embeds,
            "components": message.components,
            "attachments": kept,
            "flags": message.flags,
        }

    def _set_content(self, message: Message, payload: Json, files: list[Upload]) -> None:
        if "content" in payload:
            message.sent_content = payload["content"] or ""
        if "embeds" in payload:
            message.embeds = payload["embeds"] or []
        if "attachments" in payload or files:
            message.attachments = self._attachments(message, payload, files)
            self._world.attachments.update((file.id, file) for file in message.attachments)
        if "components" in payload:
            items = MediaItems(message.attachments, self._world.snowflakes)
            message.components = components.stored(payload["components"] or [], items)
        self._note_hidden_files(message)

    def _note_hidden_files(self, message: Message) -> None:
        """Record a surprise when nobody sees a file: a V2 message shows the ones in its components only."""
        shown = {item.get("attachment_id") for _, item in components.media(message.components)}
        hidden = [file.filename for file in message.attachments if str(file.id) not in shown]
        if hidden and message.is_v2:
            self._record.surprise(f"nobody sees the files {hidden}, because no component names them")

    def _attachments(self, message: Message, payload: Json, files: list[Upload]) -> list[Attachment]:
        """The attachments that the payload keeps, then the new files.

        In the payload, an upload's id is the number of its multipart part.
        """
        described = _described(payload)
        kept = _kept(message, payload) if "attachments" in payload else message.attachments
        return [
            *(_described_again(file, described.get(str(file.id), {})) for file in kept),
            *(
                self._attachment(message.channel, file, described.get(_part_number(file), {}))
                for file in files
            ),
        ]

    def _attachment(self, channel: Channel, file: Upload, described: Json) -> Attachment:
        identity = self._world.snowflakes.next()
        name = described.get("filename") or file.filename
        return Attachment(
            id=identity,
            filename=name,
            content=file.content,
            url=f"{self.address}/attachments/{channel.id}/{identity}/{quote(name)}",
            content_type=mimetypes.guess_type(name)[0] or "application/octet-stream",
            description=described.get("description"),
            video=video_metadata.read(file.content) if name.lower().endswith(_VIDEO_ENDINGS) else None,
        )

    def _set_mentions(self, message: Message, payload: Json) -> None:
        replied_to = self._world.messages.get(message.reference or 0)
        found = pings(message.text, payload, message.channel, message.author_id, replied_to)
        message.mentioned = list(found.named)
        message.mention_everyone = found.everyone
        message.mentions = set(found.users)
        if message.flags & EPHEMERAL:
            # Discord notifies nobody: the one person who sees it is looking at it.
            message.mentions = set()


def _edited_flags(flags: int, payload: Json) -> int:
    """The flags after an edit, which cannot take IS_COMPONENTS_V2 away."""
    if payload.get("flags") is None:
        return flags
    kept = flags & ~(_SETTABLE_BY_EDIT & ~COMPONENTS_V2)
    return kept | (int(payload["flags"]) & _SETTABLE_BY_EDIT)


def _described(payload: Json) -> dict[str, Json]:
    return {str(each["id"]): each for each in payload.get("attachments") or []}


def _kept(message: Message, payload: Json) -> list[Attachment]:
    """The message's attachments that the payload lists by their ids."""
    return [file for file in message.attachments if str(file.id) in _described(payload)]


def _described_again(file: Attachment, described: Json) -> Attachment:
    """An attachment that an edit keeps, with the description that the edit gives it."""
    if "description" not in described:
        return file
    return replace(file, description=described["description"])


def _part_number(file: Upload) -> str:
    return re.sub(r"\D", "", file.part)


def _nonce(payload: Json) -> str | None:
    nonce = payload.get("nonce")
    return None if nonce is None else str(nonce)


def _reference(payload: Json) -> int | None:
    reference = payload.get("message_reference")
    return int(reference["message_id"]) if reference else None


def _has_content(payload: Json, files: list[Upload]) -> bool:
    # A message of spaces only is empty as well, because Discord trims the text.
    if (payload.get("content") or "").strip() or files:
        return True
    return any(payload.get(name) for name in ("embeds", "components", "sticker_ids", "attachments", "poll"))
