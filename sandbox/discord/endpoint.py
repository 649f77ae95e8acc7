"""A REST route as a value: its method, its path template, and the function that answers calls to it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sandbox.discord import errors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandbox.discord.record import Request, Upload


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a call; a header whose value is None is left out of it."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str | None] = field(default_factory=dict)


NO_CONTENT = Answer(status=204)


@dataclass(frozen=True, slots=True)
class Call:
    """A request that matched an endpoint, with the parameters from its path."""

    request: Request
    params: dict[str, str]

    @property
    def payload(self) -> Any:
        return self.request.body

    @property
    def files(self) -> list[Upload]:
        return self.request.files

    def number(self, name: str) -> int:
        """A path parameter as an id. Raises Refusal when it is not a snowflake."""
        value = self.params[name]
        if not value.isdecimal():
            reason = f'Value "{value}" is not snowflake.'
            raise errors.invalid_form({name: ("NUMBER_TYPE_COERCE", reason)})
        return int(value)


@dataclass(frozen=True, slots=True)
class Endpoint:
    method: str
    template: str
    handle: Callable[[Call], Answer]
    needs_token: bool = True

    def params(self, path: str) -> dict[str, str] | None:
        """The parameters in this path, or None when the template does not match."""
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", self.template)
        found = re.fullmatch(pattern, path)
        return found.groupdict() if found else None
