"""All text of a message: what was typed, its embeds, its components, and what it forwards."""

from collections.abc import Iterable, Iterator

import discord


def text_of(message: discord.Message) -> str:
    """Line by line. Discord sends it with the command, so no intent is needed to read it."""
    parts = [*_parts(message)]
    for snapshot in message.message_snapshots:
        parts += _parts(snapshot)
    return "\n".join(parts)


def _parts(message: discord.Message | discord.MessageSnapshot) -> Iterator[str]:
    yield message.content
    for embed in message.embeds:
        yield from _embed(embed)
    yield from _components(message.components)


def _embed(embed: discord.Embed) -> Iterator[str]:
    fields = ((field.name, field.value) for field in embed.fields)
    texts = (embed.title, embed.description, embed.url, embed.author.name, embed.footer.text)
    for text in (*texts, *(text for pair in fields for text in pair)):
        if text:
            yield text


def _components(components: Iterable[object]) -> Iterator[str]:
    """Text displays, at any depth; buttons and menus have no text of a message."""
    for component in components:
        content = getattr(component, "content", None)
        if isinstance(content, str):
            yield content
        yield from _components(getattr(component, "children", ()))
