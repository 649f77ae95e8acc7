"""The tables as they are today. A change here needs a step in migrations.py; a test compares the two.

Three of them are queues (tasks, deliveries, cards), and share three columns:
`due_at`     when there is work to do, in UTC milliseconds; NULL when there is none;
`lease`      the number of the claim that holds the row; NULL when nobody does;
`set_aside`  why handling it failed in a way that nobody foresaw; NULL once that went well.
"""

from enum import StrEnum

import sqlalchemy as sa

from bot.core.tasks import LIVE, DeliveryState, TaskState

metadata = sa.MetaData()


def _words(enum: type[StrEnum]) -> sa.Enum:
    """Plain text in the database, members of `enum` in Python, on both dialects."""
    return sa.Enum(enum, native_enum=False, create_constraint=False, length=None, values_callable=list)


def _is_live(state: sa.Column[DeliveryState]) -> sa.ColumnElement[bool]:
    return state.in_([sa.literal_column(f"'{s}'") for s in LIVE])


# SQLite gives a row id only to the exact type INTEGER.
_ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")

tasks = sa.Table(
    "tasks",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("state", _words(TaskState), nullable=False),
    sa.Column("word", sa.Text),
    sa.Column("word_at", sa.BigInteger),
    sa.Column("reason", sa.Text),
    sa.Column("video_url", sa.Text),
    sa.Column("seconds", sa.Double),
    sa.Column("registered_at", sa.BigInteger, nullable=False),
    sa.Column("asked_at", sa.BigInteger),
    sa.Column("finished_at", sa.BigInteger),
    sa.Column("due_at", sa.BigInteger),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("doubts", sa.Integer, nullable=False),
    sa.Column("lease", sa.BigInteger),
    sa.Column("set_aside", sa.Text),
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
    sa.Column("set_aside", sa.Text),
    # Grows with every change of what it should show: what changed while it was drawn is drawn again.
    sa.Column("version", sa.BigInteger, nullable=False, server_default=sa.text("0")),
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
    sa.Column("state", _words(DeliveryState), nullable=False),
    sa.Column("nonce", sa.Text, nullable=False, unique=True),
    sa.Column("card_id", sa.BigInteger, sa.ForeignKey("cards.id")),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("due_at", sa.BigInteger),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("sending_at", sa.BigInteger),
    sa.Column("message_id", sa.BigInteger),
    sa.Column("ended_at", sa.BigInteger),
    sa.Column("trouble", sa.Text),
    sa.Column("ended_by", sa.BigInteger),
    sa.Column("lease", sa.BigInteger),
    sa.Column("set_aside", sa.Text),
    sa.Column("posted_in", sa.BigInteger),
    # When it was last taken up, which decides whose turn is next.
    sa.Column("served_at", sa.BigInteger),
    # Buttons carry these ids for as long as their message stands: an id is never given twice.
    sqlite_autoincrement=True,
)

watchers = sa.Table(
    "watchers",
    metadata,
    sa.Column("delivery_id", sa.BigInteger, sa.ForeignKey("deliveries.id"), primary_key=True),
    sa.Column("user_id", sa.BigInteger, primary_key=True),
)

# Guilds with rows here that the bot is not a member of any more.
departures = sa.Table(
    "departures",
    metadata,
    sa.Column("guild_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("since", sa.BigInteger, nullable=False),
)

facts = sa.Table(
    "facts",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

# How fast all processes together call somebody: until when, in microseconds, the calls so far use up.
paces = sa.Table(
    "paces",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("used_until", sa.BigInteger, nullable=False),
)

for _queue in (tasks, deliveries, cards):
    _waits = _queue.c.due_at.is_not(None)
    sa.Index(f"{_queue.name}_due", _queue.c.due_at, sqlite_where=_waits, postgresql_where=_waits)

_live = _is_live(deliveries.c.state)
# At most one live delivery per task and channel: the constraint decides between two who ask at once.
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
