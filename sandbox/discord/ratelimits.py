"""Per-route rate limits with Discord's headers; there are none unless a test adds one."""

from __future__ import annotations

import time
from dataclasses import dataclass

from sandbox.faults import matches


@dataclass(frozen=True, slots=True)
class RateLimitResult:
    allowed: bool
    headers: dict[str, str]
    retry_after: float


@dataclass(slots=True)
class _Window:
    ends: float = 0.0
    used: int = 0


class Bucket:
    """``limit`` requests per ``window`` seconds, counted separately for each channel, guild or webhook."""

    def __init__(self, route: str, limit: int, window: float) -> None:
        self.route = route
        self._limit = limit
        self._seconds = window
        self._windows: dict[str, _Window] = {}

    def counts(self, method: str, path: str) -> bool:
        return matches(self.route, method, path)

    def take(self, path: str) -> RateLimitResult:
        now = time.monotonic()
        window = self._windows.setdefault("/".join(path.split("/")[:3]), _Window())
        if now >= window.ends:
            window.ends, window.used = now + self._seconds, 0
        allowed = window.used < self._limit
        window.used += allowed
        left = window.ends - now
        return RateLimitResult(allowed, self._headers(window, left), left)

    def _headers(self, window: _Window, left: float) -> dict[str, str]:
        return {
            "X-RateLimit-Limit": str(self._limit),
            "X-RateLimit-Remaining": str(self._limit - window.used),
            "X-RateLimit-Reset": f"{time.time() + left:.3f}",
            "X-RateLimit-Reset-After": f"{left:.3f}",
            "X-RateLimit-Bucket": f"{abs(hash(self.route)):x}",
        }
