"""Messages as the JSON objects that Discord answers with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.discord import components, payloads

if TYPE_CHECKING:
    from sandbox.discord.message_parts import Attachment, Json, Origin
    from sandbox.discord.world import Message, World

PLAIN, REPLY, COMMAND_ANSWER, MENU_ANSWER = 0, 19, 20, 23

_BY_COMMAND = 2
_REFERENCE_TYPE_DEFAULT, _REFERENCE_TYPE_FORWARD = 0, 1
_IN_SNAPSHOT = (
    *("type", "content", "embeds", "attachments", "timestamp", "edited_timestamp"),
    *("flags", "mentions", "mention_roles", "components"),
)


def message(post: Message) -> Json:
    world = post.channel.world
    body: Json = {
        "id": str(post.id),
        "channel_id": str(post.channel_id),
        "type": _message_type(post),
        "content": post.sent_content,
        "author": payloads.user(world.users[post.author_id]),
        "timestamp": payloads.timestamp(post.created_at),
        "edited_timestamp": payloads.timestamp(post.edited_at) if post.edited_at else None,
        "flags": post.flags,
        "pinned": False,
        "tts": False,
        "mention_everyone": post.mention_everyone,
        "mentions": [payloads.user(world.users[each]) for each in post.mentioned if each in world.users],
        "mention_roles": [],
        "attachments": [attachment(each) for each in _listed(post)],
        "embeds": [embed(each) for each in post.embeds],
        "components": post.components,
    }
    if post.nonce is not None:
        body["nonce"] = post.nonce
    if post.reference is not None:
        body |= _reference(world, post)
    if post.forwarded is not None:
        body |= _forward(post.forwarded)
    if post.origin is not None:
        body |= _origin(world, post.origin, post)
    return body


def _listed(post: Message) -> list[Attachment]:
    """The attachments without those that a component shows, because Discord does not list these."""
    shown = {item.get("attachment_id") for _, item in components.media(post.components)}
    return [each for each in post.attachments if str(each.id) not in shown]


def _forward(forwarded: Message) -> Json:
    """A copy of what the forwarded message showed, without its author."""
    original = message(forwarded)
    return {
        "message_reference": {
            "type": _REFERENCE_TYPE_FORWARD,
            "channel_id": str(forwarded.channel_id),
            "message_id": str(forwarded.id),
        },
        "message_snapshots": [{"message": {name: original[name] for name in _IN_SNAPSHOT}}],
    }


def _message_type(post: Message) -> int:
    if post.reference is not None:
        return REPLY
    if post.origin is None or post.origin.original_message_id is not None:
        return PLAIN
    if post.origin.by_menu:
        return MENU_ANSWER
    return COMMAND_ANSWER if post.origin.type == _BY_COMMAND else PLAIN


def _reference(world: World, post: Message) -> Json:
    assert post.reference is not None
    body: Json = {
        "message_reference": {
            "type": _REFERENCE_TYPE_DEFAULT,
            "channel_id": str(post.channel_id),
            "message_id": str(post.reference),
        },
        "referenced_message": None,
    }
    earlier = world.messages.get(post.reference)
    if earlier is not None and not earlier.deleted:
        # Discord answers with one level only: the earlier message lacks its own reference.
        inner = message(earlier)
        inner.pop("referenced_message", None)
        body["referenced_message"] = inner
    return body


def _origin(world: World, origin: Origin, post: Message) -> Json:
    owner = post.channel.guild
    metadata: Json = {
        "id": str(origin.id),
        "type": origin.type,
        "user": payloads.user(world.users[origin.user_id]),
        "authorizing_integration_owners": {"0": str(owner.id) if owner else "0"},
    }
    if origin.pressed_message_id is not None:
        metadata["interacted_message_id"] = str(origin.pressed_message_id)
    if origin.original_message_id is not None:
        metadata["original_response_message_id"] = str(origin.original_message_id)
    return {
        "interaction_metadata": metadata,
        "application_id": str(world.bot.id),
        "webhook_id": str(world.bot.id),
    }


def attachment(file: Attachment) -> Json:
    body: Json = {
        "id": str(file.id),
        "filename": file.filename,
        "size": file.size,
        "url": file.url,
        "proxy_url": file.url,
        "content_type": file.content_type,
    }
    if file.description is not None:
        body["description"] = file.description
    if file.video is not None:
        body |= {"width": file.video.width, "height": file.video.height, "duration_secs": file.video.seconds}
    return body


def embed(given: Json) -> Json:
    """An embed as Discord stores it: without null fields, with the type and `inline` added."""
    kept = {name: value for name, value in given.items() if value is not None}
    kept["type"] = "rich"
    if "fields" in kept:
        kept["fields"] = [{"inline": False, **each} for each in kept["fields"]]
    return kept
