"""REST routes of channels and their messages, with the permissions that Discord requires."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.discord import channel_payload, errors, message_payload
from sandbox.discord.endpoint import NO_CONTENT, Answer, Call, Endpoint
from sandbox.discord.permissions import Right
from sandbox.discord.world import Message

if TYPE_CHECKING:
    from sandbox.discord.changes import Change
    from sandbox.discord.history import History
    from sandbox.discord.posting import Posting
    from sandbox.discord.world import Channel, World

_MESSAGES = "/channels/{channel_id}/messages"


class MessageRoutes:
    def __init__(self, world: World, posting: Posting, history: History) -> None:
        self._world = world
        self._posting = posting
        self._history = history
        self.hidden_threads_exist = True
        """Whether a thread that the bot does not see is forbidden (403) or, as False, unknown (404)."""
        world.listeners.append(self._on_change)

    def _on_change(self, change: Change) -> None:
        if change.kind == "message posted" and isinstance(change.subject, Message):
            self._history.posted(change.subject)

    def endpoints(self) -> list[Endpoint]:
        one = f"{_MESSAGES}/{{message_id}}"
        return [
            Endpoint("POST", _MESSAGES, self.post),
            Endpoint("GET", _MESSAGES, self.history),
            Endpoint("GET", one, self.read),
            Endpoint("PATCH", one, self.edit),
            Endpoint("DELETE", one, self.delete),
            Endpoint("GET", "/channels/{channel_id}", self.channel),
            Endpoint("PATCH", "/channels/{channel_id}", self.change_channel),
        ]

    def post(self, call: Call) -> Answer:
        channel, allowed = self._channel(call)
        payload = call.payload or {}
        _refuse_sending(channel, allowed, has_files=bool(call.files))
        if payload.get("message_reference") and not allowed & Right.READ_MESSAGE_HISTORY:
            raise errors.no_history_for_reply()
        earlier = self._earlier(payload)
        if earlier is not None:
            if earlier.deleted:
                raise errors.unknown_message()
            return Answer(message_payload.message(earlier))
        message = self._posting.create(channel, payload, call.files, author_id=self._world.bot.id)
        if channel.archived:
            channel.archived = False
        return Answer(message_payload.message(message))

    def _earlier(self, payload: dict[str, object]) -> Message | None:
        """The message that was created with this nonce, in any channel; None without `enforce_nonce`."""
        nonce = payload.get("nonce")
        if nonce is None or not payload.get("enforce_nonce"):
            return None
        return self._posting.nonces.find(self._world.bot.id, str(nonce))

    def history(self, call: Call) -> Answer:
        channel, allowed = self._channel(call)
        if channel.kind == "forum":
            raise errors.not_a_text_channel()
        if channel.guild is not None and not allowed & Right.READ_MESSAGE_HISTORY:
            return Answer([])
        page = self._history.page(channel, call.request.query)
        return Answer([message_payload.message(each) for each in page])

    def read(self, call: Call) -> Answer:
        channel, allowed = self._channel(call)
        message = self._message(channel, call)
        if channel.guild is not None and not allowed & Right.READ_MESSAGE_HISTORY:
            raise errors.missing_permissions()
        return Answer(message_payload.message(message))

    def edit(self, call: Call) -> Answer:
        channel, _ = self._channel(call)
        message = self._message(channel, call)
        if message.author_id != self._world.bot.id:
            raise errors.not_the_author()
        if channel.archived:
            raise errors.thread_archived()
        return Answer(message_payload.message(self._posting.edit(message, call.payload, call.files)))

    def delete(self, call: Call) -> Answer:
        channel, allowed = self._channel(call)
        message = self._message(channel, call)
        if message.author_id != self._world.bot.id and not allowed & Right.MANAGE_MESSAGES:
            raise errors.missing_permissions()
        self._world.delete_message(message)
        return NO_CONTENT

    def channel(self, call: Call) -> Answer:
        return Answer(channel_payload.channel(self._channel(call)[0]))

    def change_channel(self, call: Call) -> Answer:
        """Change a name, or a thread's archived and locked flags; other fields are ignored."""
        channel, allowed = self._channel(call)
        needed = Right.MANAGE_THREADS if channel.is_thread else Right.MANAGE_CHANNELS
        unlocks = channel.locked or "locked" in call.payload or not channel.is_thread
        if unlocks and not allowed & needed:
            raise errors.missing_permissions()
        channel.name = call.payload.get("name") or channel.name
        if "locked" in call.payload:
            channel.locked = bool(call.payload["locked"])
        if "archived" in call.payload:
            channel.archived = bool(call.payload["archived"])
        return Answer(channel_payload.channel(channel))

    def _channel(self, call: Call) -> tuple[Channel, Right]:
        """The channel and the bot's rights there. Raises Refusal when it is gone or hidden from the bot."""
        channel = self._world.channels.get(call.number("channel_id"))
        if channel is None or channel.deleted:
            raise errors.unknown_channel()
        allowed = channel.rights_of(self._world.bot.id)
        if channel.guild is not None:
            hidden = not channel.is_visible_to(self._world.bot.id)
            if hidden and channel.private and not self.hidden_threads_exist:
                raise errors.unknown_channel()
            if hidden or (channel.kind == "voice" and not allowed & Right.CONNECT):
                raise errors.missing_access()
        return channel, allowed

    def _message(self, channel: Channel, call: Call) -> Message:
        message = self._world.messages.get(call.number("message_id"))
        if message is None or message.deleted or message.channel is not channel:
            raise errors.unknown_message()
        # The channel's routes do not know ephemeral messages; only the interaction's routes do.
        if message.ephemeral:
            raise errors.unknown_message()
        return message


def _refuse_sending(channel: Channel, allowed: Right, *, has_files: bool) -> None:
    if channel.kind == "forum":
        raise errors.not_a_text_channel()
    if channel.guild is None:
        if channel.recipient is not None and not channel.recipient.accepts_direct_messages:
            raise errors.cannot_message_user()
        return
    if not allowed & channel.sending_right:
        raise errors.missing_permissions()
    if has_files and not allowed & Right.ATTACH_FILES:
        raise errors.missing_permissions()
    if channel.archived and channel.locked and not allowed & Right.MANAGE_THREADS:
        raise errors.thread_archived()
