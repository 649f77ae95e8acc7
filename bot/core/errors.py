"""All exceptions of the bot, grouped by how callers react.

CourierError
├── TryLater                 temporary failure outside our control: retried by the durable loop
│   ├── DownloadFailed       the video was not downloaded this time
│   │   ├── DownloadInterrupted  the video did not arrive as a whole
│   │   └── LinkRefused          the video's host sent no video: often for ever, sometimes only for now
│   ├── DiscordUnavailable   Discord did not take the message, and may later
│   ├── NotTold              Discord did not take the direct message, and may later
│   └── StorageUnavailable   the database did not answer
├── GiveUp                   permanent failure: another form is tried, or the requester is notified
│   ├── VideoUnusable        there is a link, but no video that we may post
│   └── DiscordRefused       Discord does not take the call as it is; `reaction` says what else to try
├── CannotFit                a video cannot be made small enough: its link is given instead
├── ClientStalled            calls to Discord do not return: the process exits with 70
├── CannotStart              the process exits with `exit_code`, after one line for the operator
│   ├── SettingsWrong        2
│   ├── DependencyDown       69
│   └── TokenRefused         77
└── IllegalMove              our bug: no state table has this move

Every other exception is our bug, too. Clients never retry; the durable loop does.
"""

from typing import ClassVar

from bot.core.problems import Problem, ProblemCode
from bot.core.reactions import Reaction


class CourierError(Exception):
    """Base of all exceptions that this program raises on purpose."""


class TryLater(CourierError):
    """The same attempt may succeed later.

    `retry_after` is the wait that the other side asked for, in seconds, or None. `problem` is for people, the
    message for the log.
    """

    code: ClassVar[ProblemCode] = ProblemCode.OTHER

    def __init__(self, message: str, *, retry_after: float | None = None, **data: str | int) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.problem = Problem(self.code, data)


class DownloadFailed(TryLater):
    """The video was not downloaded this time. `progressed`: this try brought bytes of the video."""

    def __init__(
        self,
        message: str,
        *,
        code: ProblemCode | None = None,
        retry_after: float | None = None,
        progressed: bool = False,
        **data: str | int,
    ) -> None:
        super().__init__(message, retry_after=retry_after, **data)
        self.problem = Problem(code or self.code, data)
        self.progressed = progressed


class DownloadInterrupted(DownloadFailed):
    """The video's host did not deliver the whole file this time."""

    code = ProblemCode.DOWNLOAD_INTERRUPTED


class LinkRefused(DownloadFailed):
    """The video's host answered 4xx, sent no MP4, or resolves to a forbidden address.

    A new link may not work yet; a dead link never works again.
    """

    code = ProblemCode.LINK_REFUSED


class DiscordUnavailable(TryLater):
    """Discord did not accept the call; a later attempt may succeed.

    `reaction` is PASSING, ODD or EDGE_BLOCK.
    """

    code = ProblemCode.DISCORD_UNAVAILABLE

    def __init__(
        self,
        message: str,
        *,
        reaction: Reaction = Reaction.PASSING,
        retry_after: float | None = None,
        **data: str | int,
    ) -> None:
        super().__init__(message, retry_after=retry_after, **data)
        self.reaction = reaction


class NotTold(TryLater):
    """Discord did not take the direct message this time."""

    code = ProblemCode.DISCORD_UNAVAILABLE


class StorageUnavailable(TryLater):
    """The database did not answer: locked for too long, disk full, connection lost."""

    code = ProblemCode.STORAGE_UNAVAILABLE


class GiveUp(CourierError):
    """No later attempt can succeed. `problem` is for the requester."""

    def __init__(self, code: ProblemCode, **data: str | int) -> None:
        self.problem = Problem(code, data)
        super().__init__(str(self.problem))


class VideoUnusable(GiveUp):
    """The link leads to nothing that can be posted: gone, too large, not an MP4, a forbidden address."""


class CannotFit(CourierError):
    """The video cannot be made small enough for the channel. The message is for the log."""


class DiscordRefused(GiveUp):
    """Discord does not take this call in this form; `reaction` says which other form it may take."""

    def __init__(self, reaction: Reaction, code: ProblemCode, **data: str | int) -> None:
        super().__init__(code, **data)
        self.reaction = reaction


class ClientStalled(CourierError):
    """Calls to Discord do not return. Only a new process gets a working client."""


class CannotStart(CourierError):
    """The process must end. The message is one line for the operator."""

    exit_code: ClassVar[int]


class SettingsWrong(CannotStart):
    """Settings are wrong: `problems` has one line for each, and the message joins them."""

    exit_code = 2

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class DependencyDown(CannotStart):
    """Discord, the database, the data folder or the file lock is unavailable."""

    exit_code = 69


class TokenRefused(CannotStart):
    """Discord refused the bot's token. Restarting cannot help."""

    exit_code = 77


class IllegalMove(CourierError):
    """A state change that is in no state table."""
