"""The tables as they are today, and how their rows become objects.

A change here needs a step in migrations.py; a test compares the two. Three tables are queues (tasks,
deliveries, cards) and share three columns:

- `due_at`: when there is work to do, in UTC milliseconds; NULL when there is none.
- `lease`: the number of the claim that holds the row; NULL when no process holds it.
- `quarantine_reason`: the exception of our own bug that stopped the row; NULL once it was handled again.
"""

from dataclasses import fields
from enum import StrEnum
from typing import Any, TypeVar

import sqlalchemy as sa

from bot.core.language import Language
from bot.core.tasks import (
    LIVE,
    Card,
    Delivery,
    DeliveryState,
    Doubt,
    Form,
    Obstacle,
    TaskState,
    TrackedTask,
    Trouble,
)

AnyRow = sa.Row[*tuple[Any, ...]]
Record = TypeVar("Record", TrackedTask, Delivery, Card)

metadata = sa.MetaData()


def _text_of(enum: type[StrEnum]) -> sa.Enum:
    """Make a text column type that holds the values of `enum`, on both dialects."""
    return sa.Enum(enum, native_enum=False, create_constraint=False, length=None, values_callable=list)


def _is_live(state: sa.Column[DeliveryState]) -> sa.ColumnElement[bool]:
    return state.in_([sa.literal_column(f"'{s}'") for s in LIVE])


# SQLite gives a row id only to the exact type INTEGER.
_ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")

tasks = sa.Table(
    "tasks",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("state", _text_of(TaskState), nullable=False),
    sa.Column("api_status", sa.Text),
    sa.Column("api_status_since", sa.BigInteger),
    sa.Column("reason", sa.Text),
    sa.Column("video_url", sa.Text),
    sa.Column("seconds", sa.Double),
    sa.Column("registered_at", sa.BigInteger, nullable=False),
    sa.Column("polled_at", sa.BigInteger),
    sa.Column("finished_at", sa.BigInteger),
    sa.Column("due_at", sa.BigInteger),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("doubt_count", sa.Integer, nullable=False),
    sa.Column("lease", sa.BigInteger),
    sa.Column("quarantine_reason", sa.Text),
    sa.Column("known", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("doubt", _text_of(Doubt)),
    sa.Column("doubt_time", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    sa.Column("answered_time", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    sa.Column("silent_time", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    sa.Column("judged_at", sa.BigInteger),
    sa.Column("planned_delay", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    sa.Column("words", sa.Text),
    sa.Column("trouble", _text_of(Trouble)),
    sa.Column("cause", sa.Text),
    sa.Column("link_ends_at", sa.BigInteger),
    sa.Column("model", sa.Text),
    sa.Column("created", sa.BigInteger),
    sa.Column("took", sa.BigInteger),
)

cards = sa.Table(
    "cards",
    metadata,
    sa.Column("id", _ROW_ID, primary_key=True),
    sa.Column("guild_id", sa.BigInteger, nullable=False),
    sa.Column("channel_id", sa.BigInteger, nullable=False),
    sa.Column("message_id", sa.BigInteger),
    sa.Column("due_at", sa.BigInteger),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("lease", sa.BigInteger),
    sa.Column("quarantine_reason", sa.Text),
    # Grows with every change of what it should show: a change during an edit leads to another edit.
    sa.Column("version", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    sa.Column("language", _text_of(Language), nullable=False, server_default=Language.ENGLISH),
    sqlite_autoincrement=True,
)

deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("id", _ROW_ID, primary_key=True),
    sa.Column("task_id", sa.Text, sa.ForeignKey("tasks.id"), nullable=False),
    sa.Column("guild_id", sa.BigInteger, nullable=False),
    sa.Column("channel_id", sa.BigInteger, nullable=False),
    sa.Column("requester_id", sa.BigInteger, nullable=False),
    sa.Column("note", sa.Text),
    sa.Column("state", _text_of(DeliveryState), nullable=False),
    sa.Column("nonce", sa.Text, nullable=False, unique=True),
    sa.Column("card_id", sa.BigInteger, sa.ForeignKey("cards.id")),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("due_at", sa.BigInteger),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("first_sent_at", sa.BigInteger),
    sa.Column("message_id", sa.BigInteger),
    sa.Column("ended_at", sa.BigInteger),
    sa.Column("last_error", sa.Text),
    sa.Column("cancelled_by", sa.BigInteger),
    sa.Column("lease", sa.BigInteger),
    sa.Column("quarantine_reason", sa.Text),
    sa.Column("posted_in", sa.BigInteger),
    # When it was last claimed: the person who was served longest ago is next.
    sa.Column("served_at", sa.BigInteger),
    sa.Column("is_preparing", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("download_since", sa.BigInteger),
    sa.Column("download_attempt", sa.Integer, nullable=False, server_default=sa.text("0")),
    sa.Column("download_tries", sa.Integer, nullable=False, server_default=sa.text("0")),
    sa.Column("fresh_links", sa.Integer, nullable=False, server_default=sa.text("0")),
    sa.Column("run", sa.BigInteger),
    sa.Column("passing_since", sa.BigInteger),
    sa.Column("odd_attempt", sa.Integer, nullable=False, server_default=sa.text("0")),
    sa.Column("quarantines", sa.Integer, nullable=False, server_default=sa.text("0")),
    sa.Column("form", _text_of(Form)),
    sa.Column("form_problem", sa.Text),
    sa.Column("read_newest", sa.BigInteger),
    sa.Column("read_oldest", sa.BigInteger),
    sa.Column("obstacle", _text_of(Obstacle)),
    # Our rights in the channel when it was refused, as computed; NULL: not known.
    sa.Column("obstacle_rights", sa.BigInteger),
    sa.Column("obstacle_since", sa.BigInteger),
    # It was tried once although nothing says that its obstacle is gone.
    sa.Column("retried_blindly", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("told_since", sa.BigInteger),
    sa.Column("told_at", sa.BigInteger),
    sa.Column("tell_attempt", sa.Integer, nullable=False, server_default=sa.text("0")),
    # Its id is named in the message of this delivery; due_at is NULL meanwhile.
    sa.Column("leader_id", sa.BigInteger),
    sa.Column("language", _text_of(Language), nullable=False, server_default=Language.ENGLISH),
    sa.Column("deleted_at", sa.BigInteger),
    # Buttons carry these ids for as long as their message exists: an id is never given twice.
    sqlite_autoincrement=True,
)

watchers = sa.Table(
    "watchers",
    metadata,
    sa.Column("delivery_id", sa.BigInteger, sa.ForeignKey("deliveries.id"), primary_key=True),
    sa.Column("user_id", sa.BigInteger, primary_key=True),
)

# Servers with rows here that the bot has left.
left_guilds = sa.Table(
    "left_guilds",
    metadata,
    sa.Column("guild_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("since", sa.BigInteger, nullable=False),
)

# Single values that must outlive the process.
key_values = sa.Table(
    "key_values",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

# The rate limits that all processes share: `used_until` as in core/rate_limit.py.
rate_limits = sa.Table(
    "rate_limits",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("used_until", sa.BigInteger, nullable=False),
)

for _queue in (tasks, deliveries, cards):
    _waits = _queue.c.due_at.is_not(None)
    sa.Index(f"{_queue.name}_due", _queue.c.due_at, sqlite_where=_waits, postgresql_where=_waits)

_live = _is_live(deliveries.c.state)
# At most one live delivery per task and channel: the constraint decides between two requests at once.
sa.Index(
    "deliveries_live",
    deliveries.c.channel_id,
    deliveries.c.task_id,
    unique=True,
    sqlite_where=_live,
    postgresql_where=_live,
)
sa.Index("deliveries_by_task", deliveries.c.task_id)
sa.Index("deliveries_by_channel", deliveries.c.channel_id, deliveries.c.id)
sa.Index("deliveries_by_guild", deliveries.c.guild_id, deliveries.c.state)
sa.Index("deliveries_by_requester", deliveries.c.requester_id, deliveries.c.state)
sa.Index("deliveries_by_card", deliveries.c.card_id)
sa.Index("deliveries_served", deliveries.c.requester_id, deliveries.c.served_at)
_follows = deliveries.c.leader_id.is_not(None)
sa.Index("deliveries_by_leader", deliveries.c.leader_id, sqlite_where=_follows, postgresql_where=_follows)

# Written out, because both databases must see that a query asks for no other row than the index has.
HAS_TIME = (tasks.c.state == sa.literal_column(f"'{TaskState.COMPLETED}'")) & tasks.c.took.is_not(None)
sa.Index(
    "tasks_by_model",
    tasks.c.model,
    tasks.c.finished_at,
    sqlite_where=HAS_TIME,
    postgresql_where=HAS_TIME,
)

IS_LIVE = deliveries.c.state.in_(LIVE)
_leader = deliveries.alias("leader")
# Being sent at this moment, in its own or its leader's message. Its row must stay for the outcome.
IS_BEING_SENT = (deliveries.c.lease.is_not(None) & deliveries.c.first_sent_at.is_not(None)) | (
    sa.exists()
    .where(_leader.c.id == deliveries.c.leader_id, _leader.c.lease.is_not(None))
    .where(_leader.c.first_sent_at.is_not(None))
    .correlate(deliveries)
)
_follower = deliveries.alias("follower")
# Its id is in a message for several ids that was sent once, so the channel may show it already.
MAY_BE_NAMED = (
    sa.exists()
    .where(_leader.c.id == deliveries.c.leader_id, _leader.c.first_sent_at.is_not(None))
    .correlate(deliveries)
) | (
    deliveries.c.first_sent_at.is_not(None)
    & sa.exists().where(_follower.c.leader_id == deliveries.c.id).correlate(deliveries)
)

# Column values of a delivery whose attempts start anew.
FRESH_START: dict[str, Any] = {
    "attempt": 0,
    "lease": None,
    "passing_since": None,
    "odd_attempt": 0,
    "quarantines": 0,
    "form": None,
    "form_problem": None,
    "obstacle": None,
    "is_preparing": False,
    "download_since": None,
    "download_attempt": 0,
    "download_tries": 0,
    "fresh_links": 0,
}

_TABLES: dict[type, sa.Table] = {TrackedTask: tasks, Delivery: deliveries, Card: cards}
_WIDTHS = {record: len(fields(record)) for record in _TABLES}


def columns(record: type[Record]) -> list[sa.Column[Any]]:
    """Return the columns of `record`, in the order of its fields."""
    return [_TABLES[record].c[field.name] for field in fields(record)]


def read(record: type[Record], row: AnyRow, start: int = 0) -> Record:
    """Return the record whose columns begin at position `start` of `row`."""
    return record(*row[start : start + _WIDTHS[record]])
