"""No secret in anything that a test or a process of its own printed, or left in a file.

The stand-ins' token, key and interaction tokens all begin like these; the real bot takes them for real ones.
"""

from pathlib import Path

SECRETS = ("stand-in-token", "stand-in-key", "stand-in-interaction-")


def leaked(printed: str) -> list[str]:
    """What of them is in it, with a few words around."""
    return [
        printed[max(at - 60, 0) : at + len(secret) + 10]
        for secret in SECRETS
        if (at := printed.find(secret)) >= 0
    ]


def leaked_into(folder: Path) -> list[str]:
    """The same for every file below `folder`: logs of bot processes, databases, videos."""
    return [
        f"{path.relative_to(folder)}: {found}"
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
        for found in leaked(path.read_bytes().decode(errors="replace"))
    ]
