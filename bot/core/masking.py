"""Hides what looks like a credential in text from outside: for the log, for chats, for pasted ids."""

import re

STARS = "********"

# What a person or a program writes before a secret. The value behind it is hidden, the name stays.
_NAMED = re.compile(
    r"""
    ( (?:/interactions/\d+|/webhooks/\d+)/ )            [A-Za-z0-9_\-.]+          # Discord's own addresses
    | ( \b(?:Bot|Bearer|Basic)\s+ )                     [A-Za-z0-9_\-.~+/=]{6,}   # an Authorization header
    | ( \\*['"]token\\*['"]\s?:\s?\\*['"] )             [^'"\\]+                  # a field of a gateway event
    | ( ://[^/\s:@?\#]*: )                              [^/\s@]+(?=@)             # the password in an address
    | ( :// )                                           [^/\s:@?\#]+(?=@)         # or the token alone
    | ( \b(?:passw(?:or)?d|pwd)\s?:\s? )                (?=\S*\d)[^\s"'&]{4,}
    | ( \bauthorization\\*['"]?\s*[:=]\s*\\*['"]? )   (?!(?:bot|bearer|basic)\b)[A-Za-z0-9_\-.~+/=]{6,}
    | ( \b(?:passw(?:or)?d|pwd|secret)\s?=\s? )          [^\s"'&]+
    | ( [?&;](?:[a-z0-9_\-]*(?:key|token|secret|signature|credential|password)|sig|auth|pwd)= ) [^&\s"'<>\#]+
    | ( \b[a-z0-9_\-]*(?:api[_\- ]?key|access[_\- ]?key|secret|token|passw(?:or)?d|pwd|credential)s?
        \\*['"]?\s*[=:]\s*\\*['"]? )                    (?=[^\s"']*\d)[A-Za-z0-9_\-.~+/=]{8,}
    """,
    re.IGNORECASE | re.VERBOSE,
)
# Secrets that are known by their shape, wherever they stand.
_SHAPED = re.compile(
    r"""
    (?:(?<![A-Za-z0-9_])|(?<=%[0-9A-Fa-f]{2})|(?<=\\[nrt])|(?<=\\u[0-9A-Fa-f]{4}))(?:    # or after an escape
        [spr]k[-_][-_A-Za-z0-9*]{8,}                               # OpenAI, Anthropic, Stripe
      | AIza[A-Za-z0-9_\-]{16,} | ya29\.[A-Za-z0-9_\-.]{10,}       # Google
      | gh[oprsu]_[A-Za-z0-9]{16,} | github_pat_[A-Za-z0-9_]{20,} | glpat-[A-Za-z0-9_\-]{16,}
      | gsk_[A-Za-z0-9]{20,} | (?:xai|pplx)-[A-Za-z0-9]{20,} | npm_[A-Za-z0-9]{30,} | r8_[A-Za-z0-9]{30,}
      | SG\.[A-Za-z0-9_\-]{16,}\.[A-Za-z0-9_\-]{16,} | \d{8,10}:AA[A-Za-z0-9_\-]{30,}    # SendGrid, Telegram
      | xox[abeoprs]-[A-Za-z0-9\-]{10,} | hf_[A-Za-z0-9]{20,} | (?:AKIA|ASIA)[A-Z0-9]{12,}
      | eyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8,}(?:\.[A-Za-z0-9_\-]*)?    # a JSON web token
      | [A-Za-z0-9_\-]{23,28}\.[A-Za-z0-9_\-]{6,7}\.[A-Za-z0-9_\-]{27,}    # a Discord bot's token
    )
    """,
    re.VERBOSE,
)
# Longer than the ids of any known service, and mixed as only random text is.
_RANDOM = re.compile(r"(?=.*[a-z])(?=.*[A-Z])(?=.*\d)[A-Za-z0-9_+/=-]{40,}")
_LINK = re.compile(r"""(https?://[^\s/'"<>\\?\#]+)[/?\#][^\s'"<>\\]+""", re.IGNORECASE)
_NAMES = frozenset(
    {
        *("authorization", "bearer", "basic", "token", "password", "passwd", "secret", "cookie"),
        *("x-api-key", "x-goog-api-key", "x-auth-token", "proxy-authorization"),
    }
)
# Control and format characters. They are removed before the search, because a secret may be split by them.
_UNSEEN = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]"
)


def mask_credentials(text: str) -> str:
    """Replace everything in `text` that looks like a credential by stars."""
    seen = _UNSEEN.sub("", text)
    named = _NAMED.sub(lambda match: (match[match.lastindex or 0] or "") + STARS, seen)
    masked = _SHAPED.sub(STARS, named)
    return text if masked == seen else masked


def mask_links(text: str) -> str:
    """Reduce every link in `text` to its host, because the rest may give access to what it leads to."""
    return _LINK.sub(rf"\1/{STARS}", text)


def looks_like_credential(word: str) -> bool:
    """Whether one word without spaces may be a secret, or the name before one."""
    if re.split("[:=]", word.lower(), maxsplit=1)[0] in _NAMES or mask_credentials(word) != word:
        return True
    return _RANDOM.fullmatch(word) is not None
