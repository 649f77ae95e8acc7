"""The state of an API pause: why no task is polled at the moment. Stored for commands and cards."""

import json
from dataclasses import asdict, dataclass
from enum import StrEnum

# The name under which it is stored, as in version 0.1.0.
API_PAUSE_KEY = "video_api.trouble"


class PauseReason(StrEnum):
    """Why the video API refuses the polls of all tasks, and not only of one."""

    KEY_REFUSED = "key refused"
    THROTTLED = "throttled"


@dataclass(frozen=True, slots=True)
class PauseState:
    """An API pause: no task is polled before `until`, because of `reason`, which began at `since`.

    Both times are in UTC milliseconds. `is_shown`: the pause has lasted so long that the cards show it.
    """

    reason: PauseReason
    since: int
    until: int
    is_shown: bool = False

    def to_text(self) -> str:
        """Return the text to store. It calls the reason `kind`, as version 0.1.0 did."""
        values = asdict(self)
        return json.dumps({"kind": values.pop("reason"), **values})

    @classmethod
    def from_text(cls, text: str) -> "PauseState":
        """Read what `to_text` wrote."""
        value = json.loads(text)
        reason, is_shown = PauseReason(value["kind"]), bool(value.get("is_shown"))
        return cls(reason, int(value["since"]), int(value["until"]), is_shown)
