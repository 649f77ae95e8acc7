"""Why nobody may ask the video API at the moment: kept in the database, shown by /veo status."""

import json
from dataclasses import asdict, dataclass
from enum import StrEnum


class TroubleKind(StrEnum):
    """What the video API holds against us, not against one task."""

    KEY_REFUSED = "key refused"
    THROTTLED = "throttled"


@dataclass(frozen=True, slots=True)
class ApiTrouble:
    """Nobody asks before `until`; it has lasted since `since` (UTC milliseconds)."""

    kind: TroubleKind
    since: int
    until: int

    def to_text(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> "ApiTrouble":
        value = json.loads(text)
        return cls(TroubleKind(value["kind"]), int(value["since"]), int(value["until"]))
