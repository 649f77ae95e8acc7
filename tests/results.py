"""What tests read of cards and result messages, so that no test depends on a whole sentence."""

from sandbox.discord import Message


def is_result(message: Message) -> bool:
    """Whether it is a result message of the bot, in any language: by the custom id of its *Delete*."""
    return any((button.custom_id or "").startswith("veo:delete:") for button in message.buttons)


def tracked_id(result: Message) -> str:
    """The task's id: the last text in code on a result message."""
    return result.content.split("`")[-2]


def is_undeliverable(card: Message) -> bool:
    """Whether a line of the card has the mark of a result that could not be posted."""
    return "⚠️ `" in card.content
