"""Describes what is wrong with a setting: its value, unless it may be a secret, and what is right."""

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final

from bot.core.masking import mask_credentials

NOT_SET: Final = "is not set; see .env.example"
# They are secrets, or may hold a password.
_NEVER_SHOWN: Final = frozenset({"discord_token", "veo_api_key", "database_url", "discord_proxy"})
_MAX_SHOWN: Final = 60
_OURS: Final = ("VEO_", "POLL_", "DISCORD_")
# Kubernetes makes these for a service that is called veo-courier.
_NOT_OURS: Final = ("VEO_COURIER_",)
_ALIKE: Final = 0.8

# The words after the value, by pydantic's kind of error. They are made with the error's context.
_SENTENCES: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "int_parsing": lambda _: "is not a whole number, such as 20",
    "int_from_float": lambda _: "is not a whole number, such as 20",
    "int_parsing_size": lambda _: "is too large a number",
    "float_parsing": lambda _: "is not a number, such as 30",
    "finite_number": lambda _: "is not a number, such as 30",
    "greater_than": lambda context: f"is too small: it must be more than {context['gt']:g}",
    "greater_than_equal": lambda context: f"is too small: it must be at least {context['ge']:g}",
    "less_than_equal": lambda context: f"is too large: it must be at most {context['le']:.15g}",
    "literal_error": lambda context: f"is none of {context['expected'].replace(' or ', ', ')}",
    "byte_size": lambda _: "is not a size, such as 512MiB or 500MB",
    "byte_size_unit": lambda _: "is not a size, such as 512MiB or 500MB",
    "url_parsing": lambda _: "is not an address, such as https://host/path",
    "url_scheme": lambda _: "is not an address that begins with http:// or https://",
    "url_too_long": lambda _: "is too long for an address",
}


def describe_problem(error: Any) -> str:
    """Return one line: the setting's name, and what is wrong.

    `error` is an error of pydantic with its input.
    """
    name = str(error["loc"][0]) if error["loc"] else ""
    if error["type"] == "missing":
        return f"{name.upper()}: {NOT_SET}"
    sentence = _SENTENCES.get(error["type"])
    if sentence is None:
        return f"{name.upper()}: {str(error['msg']).removeprefix('Value error, ')}"
    return f"{name.upper()}: {_show_value(name, error['input'])} {sentence(error.get('ctx', {}))}"


def _show_value(name: str, value: object) -> str:
    """Return the value in quotes, or "the value" where it may hold a secret."""
    text = str(value)
    if name in _NEVER_SHOWN or ("://" in text and "@" in text):
        return "the value"
    masked = mask_credentials(text)
    return repr(masked if len(masked) <= _MAX_SHOWN else f"{masked[:_MAX_SHOWN]}...")


def unknown_names(names: Iterable[str], settings: Iterable[str]) -> list[str]:
    """Return a line for each name that looks like one of our settings and is none, with the likely one."""
    known = [setting.upper() for setting in settings]
    problems = []
    for name in sorted({each.upper() for each in names} - set(known)):
        alike = get_close_matches(name, known, n=1, cutoff=_ALIKE)
        ours = name.startswith(_OURS) and not name.startswith(_NOT_OURS)
        if alike or ours:
            meant = f": did you mean {alike[0]}?" if alike else "; .env.example lists them all"
            problems.append(f"{name} is not a setting{meant}")
    return problems
