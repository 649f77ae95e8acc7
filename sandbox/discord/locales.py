"""Discord's languages, and which translation a client shows (Discord's documentation, "Locales")."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT = "en-US"
LOCALES = frozenset(
    (
        *("ar", "bg", "cs", "da", "de", "el", "en-GB", "en-US", "es-419", "es-ES", "fi", "fr", "he", "hi"),
        *("hr", "hu", "id", "it", "ja", "ko", "lt", "nl", "no", "pl", "pt-BR", "ro", "ru", "sv-SE", "th"),
        *("tr", "uk", "vi", "zh-CN", "zh-TW"),
    )
)
_FALLBACKS = {"en-US": "en-GB", "en-GB": "en-US", "es-419": "es-ES"}


def translated(default: str, translations: Mapping[str, str] | None, locale: str) -> str:
    """The text that a client in this language shows."""
    known = translations or {}
    return known.get(locale) or known.get(_FALLBACKS.get(locale, "")) or default
