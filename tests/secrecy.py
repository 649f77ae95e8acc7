"""Finds secrets in what a test or its processes printed or left in a file.

The stand-ins' token, key and interaction tokens all begin with SECRETS; the bot treats them as real secrets.
"""

from pathlib import Path

SECRETS = ("stand-in-token", "stand-in-key", "stand-in-interaction-")


def leaked(printed: str) -> list[str]:
    """The secrets found in the text, each with a few characters around it."""
    return [
        printed[max(at - 60, 0) : at + len(secret) + 10]
        for secret in SECRETS
        if (at := printed.find(secret)) >= 0
    ]


def leaked_into(folder: Path) -> list[str]:
    """The secrets found in any file below `folder`: logs of bot processes, databases, videos."""
    return [
        f"{path.relative_to(folder)}: {found}"
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
        for found in leaked(path.read_bytes().decode(errors="replace"))
    ]
