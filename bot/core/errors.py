"""All exceptions of the bot, grouped by how callers react.

CourierError
├── TryLater                 temporary failure outside our control: retried by the durable loop
│   ├── DownloadFailed       whether this try brought bytes of the video
│   │   ├── DownloadInterrupted  the video did not arrive as a whole
│   │   └── LinkRefused          the video's host answered something else: often for ever, sometimes not yet
│   ├── DiscordUnavailable   Discord did not take the message, and may later
│   ├── NotTold              the same for the direct message in its place
│   └── StorageUnavailable   the database did not answer
├── GiveUp                   permanent failure: another form is tried, or the person who asked is told
│   ├── VideoUnusable        there is a link, but no video that we may post
│   └── DiscordRefused       Discord does not take the call as it is; `reaction` says what else to try
├── CannotFit                a video cannot be made small enough: its link is given instead
├── ClientStalled            the process leaves with 70: only a new one helps
├── CannotStart              the process leaves with `exit_code`, after one line
│   ├── SettingsWrong        2
│   ├── DependencyDown       69
│   └── TokenRefused         77
└── IllegalMove              our bug: a state table does not know this move

Everything else that is raised is our bug, too. Clients never retry; the durable loop does.
"""

from typing import ClassVar

from bot.core.problems import Problem, ProblemCode
from bot.core.reactions import Reaction


class CourierError(Exception):
    """Everything that this program raises on purpose."""


class TryLater(CourierError):
    """The same attempt may succeed later.

    `retry_after` is the wait that the other side wants, in seconds, or None. `problem` is for people, the
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
    """The video's host answered 4xx, something that is no MP4, or has an address that we may not visit.

    A new link may need a moment; a dead one never comes back.
    """

    code = ProblemCode.LINK_REFUSED


class DiscordUnavailable(TryLater):
    """Discord did not accept the call, and nothing says that it never will.

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
    """No later attempt can succeed. `problem` is for the person who asked."""

    def __init__(self, code: ProblemCode, **data: str | int) -> None:
        self.problem = Problem(code, data)
        super().__init__(str(self.problem))


class VideoUnusable(GiveUp):
    """What the link leads to cannot be posted: gone, too large, not an MP4, a forbidden address."""


class CannotFit(CourierError):
    """The video cannot be made small enough for the channel. The message is for the log."""


class DiscordRefused(GiveUp):
    """Discord does not take this call in this form; `reaction` says which other form it may take."""

    def __init__(self, reaction: Reaction, code: ProblemCode, **data: str | int) -> None:
        super().__init__(code, **data)
        self.reaction = reaction


class ClientStalled(CourierError):
    """Calls to Discord do not come back: only a new process gets a new client."""


class CannotStart(CourierError):
    """The process must end before it did any work. The message is one line for the operator."""

    exit_code: ClassVar[int]


class SettingsWrong(CannotStart):
    """One line per problem in `problems`; the message joins them."""

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
    """A state change that no state table knows."""
