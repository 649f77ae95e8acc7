"""The state of an API pause: why no task is polled at the moment. Stored for commands and cards."""

import json
from dataclasses import asdict, dataclass
from enum import StrEnum

# The name under which it is stored: that of version 0.1.0.
API_PAUSE_KEY = "video_api.trouble"


class PauseReason(StrEnum):
    """What the video API has against this bot, not against one task."""

    KEY_REFUSED = "key refused"
    THROTTLED = "throttled"


@dataclass(frozen=True, slots=True)
class PauseState:
    """No task is polled before `until`. The reason has lasted since `since` (UTC milliseconds).

    `is_shown`: it has lasted for so long that the cards show it.
    """

    reason: PauseReason
    since: int
    until: int
    is_shown: bool = False

    def to_text(self) -> str:
        """As it is stored; version 0.1.0 called the reason `kind`."""
        values = asdict(self)
        return json.dumps({"kind": values.pop("reason"), **values})

    @classmethod
    def from_text(cls, text: str) -> "PauseState":
        value = json.loads(text)
        reason, is_shown = PauseReason(value["kind"]), bool(value.get("is_shown"))
        return cls(reason, int(value["since"]), int(value["until"]), is_shown)
