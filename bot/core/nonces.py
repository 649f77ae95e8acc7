"""The nonce that makes posting a delivery twice harmless."""

import secrets

# Discord takes at most 25 characters and compares by author, not by channel (reference: Create Message,
# `enforce_nonce`), so a nonce must be unique per delivery over all channels and installations.
_RANDOM_BYTES = 15


def new_nonce() -> str:
    """21 characters; 120 random bits, stored with the delivery before the first send."""
    return "v" + secrets.token_urlsafe(_RANDOM_BYTES)


def private_nonce(nonce: str) -> str:
    """Of the direct message about the delivery with `nonce`: as fixed, and another one."""
    return "p" + nonce[1:]
