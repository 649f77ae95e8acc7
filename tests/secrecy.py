"""No secret in anything that a test or a process of its own printed.

The stand-ins' token, key and interaction tokens all begin like these; the real bot takes them for real ones.
"""

SECRETS = ("stand-in-token", "stand-in-key", "stand-in-interaction-")


def leaked(printed: str) -> list[str]:
    """What of them is in it, with a few words around."""
    return [
        printed[max(at - 60, 0) : at + len(secret) + 10]
        for secret in SECRETS
        if (at := printed.find(secret)) >= 0
    ]
