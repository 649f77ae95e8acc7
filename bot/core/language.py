"""The languages that people read. A delivery keeps the one in which its messages are written."""

from enum import StrEnum

# Every server has this locale until it is a Community and chooses one: it says nothing about its people.
_UNSET_SERVER_LOCALE = "en-US"


class Language(StrEnum):
    """The values are Discord's names of locales (reference: Locales)."""

    ENGLISH = "en-US"
    CHINESE = "zh-CN"


def language_of(locale: str | None) -> Language:
    """The language for a reader with this locale of Discord: English where there is no translation."""
    try:
        return Language(locale or "")
    except ValueError:
        return Language.ENGLISH


def public_language(server_locale: str | None, person_locale: str | None) -> Language:
    """The language of a message that everybody in a channel reads.

    The server's locale decides if somebody has chosen it, else that of the person who asked.
    """
    is_chosen = server_locale is not None and server_locale != _UNSET_SERVER_LOCALE
    return language_of(server_locale if is_chosen else person_locale)
