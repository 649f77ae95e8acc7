"""Statements that are built once, because building one takes several times as long as running it."""

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar, get_args, get_origin

import sqlalchemy as sa

Parameters = ParamSpec("Parameters")
Statement = TypeVar("Statement", bound=sa.Executable)
_TYPES: dict[Any, type[sa.types.TypeEngine[Any]]] = {int: sa.BigInteger, str: sa.Text}


def prepared(
    build: Callable[Parameters, Statement],
) -> Callable[Parameters, tuple[Statement, dict[str, Any]]]:
    """Build the statement at the first call, with a bound parameter for each argument.

    A call returns what `connection.execute(*...)` takes: the statement and the values. `build` must not look
    at its arguments, which are placeholders. Their types are `int`, `str`, one of them or None, or a Sequence
    of one for `in_`.
    """
    signature = inspect.signature(build)

    @functools.cache
    def statement() -> Statement:
        given = signature.parameters.items()
        placeholders: dict[str, Any] = {name: _placeholder(name, each.annotation) for name, each in given}
        return build(**placeholders)  # type: ignore[call-arg]

    @functools.wraps(build)
    def bind(*arguments: Parameters.args, **named: Parameters.kwargs) -> tuple[Statement, dict[str, Any]]:
        given = signature.bind(*arguments, **named).arguments
        return statement(), {_name(name): value for name, value in given.items()}

    return bind


def _placeholder(name: str, annotation: Any) -> sa.BindParameter[Any]:
    kinds = get_args(annotation) or (annotation,)
    kind = next(kind for kind in kinds if kind in _TYPES)
    return sa.bindparam(_name(name), type_=_TYPES[kind](), expanding=get_origin(annotation) is Sequence)


def _name(name: str) -> str:
    """Not the name of a column, which SQLAlchemy keeps for itself."""
    return f"given_{name}"
