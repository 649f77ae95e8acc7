"""What can go wrong in the middle of a video, beyond the faults that both stand-ins share."""

from dataclasses import dataclass

from sandbox.faults import Fault


@dataclass(frozen=True, slots=True)
class BodyFault(Fault):
    """Goes into `api.faults` like any other fault; `times` and `delay` hold, too.

    `cut_at`: the connection closes after so many bytes. `stall_at`: nothing follows after so many
    bytes, the connection stays. `claim`: a wrong Content-Length. `chunked`: no Content-Length.
    `pause`: seconds between two chunks of `chunk` bytes, for a slow line.
    """

    route: str = "GET /videos/*"
    cut_at: int | None = None
    stall_at: int | None = None
    claim: int | None = None
    chunked: bool = False
    pause: float = 0.0
    chunk: int = 64 * 1024

    @property
    def ends_at(self) -> int | None:
        """Where the bytes stop coming."""
        return self.cut_at if self.cut_at is not None else self.stall_at
