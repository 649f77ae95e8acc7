"""Rows become objects here: the one place where column names meet field names."""

from dataclasses import fields
from typing import Any, TypeVar

import sqlalchemy as sa

from bot.core.tasks import Card, Delivery, TrackedTask
from bot.storage import tables

AnyRow = sa.Row[*tuple[Any, ...]]
Record = TypeVar("Record", TrackedTask, Delivery, Card)

_TABLES: dict[type, sa.Table] = {
    TrackedTask: tables.tasks,
    Delivery: tables.deliveries,
    Card: tables.cards,
}


_WIDTHS = {record: len(fields(record)) for record in _TABLES}


def columns(record: type[Record]) -> list[sa.Column[Any]]:
    """The columns of `record`, in the order of its fields."""
    return [_TABLES[record].c[field.name] for field in fields(record)]


def read(record: type[Record], row: AnyRow, start: int = 0) -> Record:
    """The record whose columns begin at position `start` of `row`."""
    return record(*row[start : start + _WIDTHS[record]])
