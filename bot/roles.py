"""What a process does: everything, or one half of it beside others over one PostgreSQL."""

from enum import StrEnum

from bot.core.errors import SettingsWrong
from bot.settings import Settings


class Role(StrEnum):
    """`chat` holds the gateway and answers people; `work` polls and delivers over REST alone."""

    ALL = "all"
    CHAT = "chat"
    WORK = "work"

    @property
    def chats(self) -> bool:
        return self is not Role.WORK

    @property
    def works(self) -> bool:
        return self is not Role.CHAT

    def check(self, settings: Settings) -> None:
        """Raises SettingsWrong: a half alone, on a database that nobody else can share."""
        if self is not Role.ALL and not settings.on_postgresql:
            raise SettingsWrong(
                [f"--role {self}: needs a DATABASE_URL of PostgreSQL, as a SQLite file is for one process"]
            )
