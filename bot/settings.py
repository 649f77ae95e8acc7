"""Every environment variable: name, type, default, meaning. The command line reads them once.

.env.example lists the same; tests/unit/test_settings.py compares the two.
"""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import unquote, urlsplit

from pydantic import ByteSize, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, DotEnvSettingsSource, SettingsConfigDict

from bot.core.database_url import POSTGRESQL_PREFIXES, SQLITE_PREFIX, is_postgresql
from bot.core.errors import SettingsWrong
from bot.core.poll_rate import PollRate
from bot.core.tracking import Limits
from bot.setting_problems import NOT_SET, describe_problem, unknown_names
from bot.setting_values import (
    MAX_SHARDS,
    ApiUrl,
    BaseUrl,
    Count,
    Folder,
    ListeningAddress,
    LowerCase,
    Networks,
    Secret,
    ShardIds,
    UpperCase,
    on_loopback,
    tidy,
)
from bot.storage.sqlite_files import sqlite_path

MIN_POLL_INTERVAL = 30.0
_MIN_PASSWORD = 8


class Settings(BaseSettings):
    """The settings. They are frozen, and secrets print as stars.

    Times are in seconds, as operators set them.
    """

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    discord_token: Secret
    veo_api_key: Secret
    veo_api_url: ApiUrl = "https://zcbservice.aizfw.cn/kyyReactApiServer"  # type: ignore[assignment]
    database_url: SecretStr = SecretStr("")  # may hold a password
    data_dir: Folder = Path("data")
    poll_interval: float = Field(MIN_POLL_INTERVAL, gt=0, le=3600)
    poll_rate: float = Field(10, gt=0, le=1_000_000)
    task_deadline: float = Field(21_600, ge=1, le=30 * 86_400)
    lease_time: float = Field(30, ge=1, le=3600)
    max_video_bytes: ByteSize = Field(ByteSize(512 * 1024**2), gt=0)
    video_networks: Networks = ()
    max_open_per_user: Count = 20
    max_open_per_channel: Count = 50
    max_open_per_guild: Count = 200
    discord_api_url: BaseUrl | None = None
    discord_proxy: BaseUrl | None = Field(None, repr=False)  # may hold a password
    discord_guild_id: int | None = Field(None, gt=0)
    shard_count: int | None = Field(None, ge=1, le=MAX_SHARDS)
    shard_ids: ShardIds = ()
    http_host: ListeningAddress = "127.0.0.1"
    http_port: int | None = Field(None, ge=1, le=65_535)
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], UpperCase] = "INFO"
    log_format: Annotated[Literal["console", "json"], LowerCase] = "console"

    @field_validator("*", mode="before")
    @classmethod
    def _tidy(cls, value: Any, info: ValidationInfo) -> Any:
        """Treat a value that is empty without its quotes and spaces as not set."""
        text = tidy(value)
        if text != "" or info.field_name is None:
            return text
        field = cls.model_fields[info.field_name]
        if field.is_required():
            raise ValueError(NOT_SET)
        return field.default

    @field_validator("poll_interval")
    @classmethod
    def _is_polite(cls, interval: float, info: ValidationInfo) -> float:
        if interval < MIN_POLL_INTERVAL and not on_loopback(str(info.data.get("veo_api_url"))):
            raise ValueError(
                f"{interval:g} is too small: it must be 30 or more, as the video API asks "
                "(less only for a VEO_API_URL on this machine)"
            )
        return interval

    @field_validator("database_url")
    @classmethod
    def _is_known(cls, secret: SecretStr) -> SecretStr:
        url = secret.get_secret_value()
        if url and not url.startswith((SQLITE_PREFIX, *POSTGRESQL_PREFIXES)):
            raise ValueError("must begin with sqlite:/// or postgresql://")
        if url in (SQLITE_PREFIX, f"{SQLITE_PREFIX}:memory:"):
            raise ValueError("must name a file: what is only in memory is lost with the process")
        if url.startswith(SQLITE_PREFIX):
            sqlite_path(url)
        return secret

    @field_validator("shard_ids")
    @classmethod
    def _is_counted(cls, ids: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        count = info.data.get("shard_count")
        if not ids:
            return ids
        if count is None:
            raise ValueError("needs SHARD_COUNT, the number of shards in all processes together")
        if ids[-1] >= count:
            raise ValueError(f"must be below SHARD_COUNT, which is {count}")
        return ids

    @property
    def api_on_loopback(self) -> bool:
        """Whether the video API runs on this machine: a stand-in, which may be polled more often."""
        return on_loopback(str(self.veo_api_url))

    @property
    def api_is_unencrypted(self) -> bool:
        """Whether VEO_API_KEY crosses a network in plain text."""
        return str(self.veo_api_url).startswith("http:") and not self.api_on_loopback

    @property
    def database(self) -> str:
        """The address to open. For PostgreSQL it may hold the password."""
        return self.database_url.get_secret_value() or self._file_in_data_dir

    @property
    def _file_in_data_dir(self) -> str:
        return f"{SQLITE_PREFIX}{self.data_dir / 'bot.db'}"

    @property
    def sqlite_database(self) -> str:
        """The address of the SQLite file, also of one that is no longer used."""
        return self._file_in_data_dir if self.on_postgresql else self.database

    @property
    def on_postgresql(self) -> bool:
        """Whether other processes may share the database; a SQLite file has one process."""
        return is_postgresql(self.database)

    @property
    def limits(self) -> Limits:
        """How many deliveries may be live at once."""
        return Limits(
            per_user=self.max_open_per_user,
            per_channel=self.max_open_per_channel,
            per_guild=self.max_open_per_guild,
        )

    @property
    def interval_ms(self) -> int:
        """POLL_INTERVAL in milliseconds."""
        return int(self.poll_interval * 1000)

    @property
    def rate(self) -> PollRate:
        """POLL_RATE and POLL_INTERVAL together."""
        return PollRate(self.poll_rate, self.interval_ms)

    @property
    def lease_ms(self) -> int:
        """LEASE_TIME in milliseconds."""
        return int(self.lease_time * 1000)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secrets that the log must hide."""
        password = urlsplit(self.database).password if self.on_postgresql else None
        # A shorter password may be a common word, and masking that would make the log unreadable.
        spelled = {password, unquote(password)} if password and len(password) >= _MIN_PASSWORD else set()
        return (self.discord_token.get_secret_value(), self.veo_api_key.get_secret_value(), *sorted(spelled))


class Role(StrEnum):
    """What a process does: `chat` holds the gateway and answers users; `work` polls and delivers."""

    ALL = "all"
    CHAT = "chat"
    WORK = "work"

    @property
    def chats(self) -> bool:
        """Whether it holds the gateway and answers users."""
        return self is not Role.WORK

    @property
    def works(self) -> bool:
        """Whether it polls and delivers."""
        return self is not Role.CHAT

    def check(self, settings: Settings) -> None:
        """Raise SettingsWrong for a role other than `all` on SQLite, which only one process can use."""
        if self is not Role.ALL and not settings.on_postgresql:
            raise SettingsWrong(
                [f"--role {self}: needs a DATABASE_URL of PostgreSQL, as a SQLite file is for one process"]
            )


def read_settings(**overrides: Any) -> Settings:
    """Read the environment and `.env`. Raises SettingsWrong with one line per problem."""
    try:
        settings = Settings(**overrides)
    except ValidationError as error:
        raise SettingsWrong([*_misspelt(), *map(describe_problem, error.errors())]) from None
    except UnicodeDecodeError:
        raise SettingsWrong([".env: is not a text in UTF-8"]) from None
    if problems := _misspelt():
        raise SettingsWrong(problems)
    return settings


def _misspelt() -> list[str]:
    """Return a line for each misspelt name in `.env`, which is an error.

    Names of other programs are ignored.
    """
    names = DotEnvSettingsSource(Settings).env_vars
    return [f".env: {problem}" for problem in unknown_names(names, Settings.model_fields)]


def misspelt_variables() -> list[str]:
    """Return a line for each misspelt name in the environment.

    For a warning only, because other programs use the environment, too.
    """
    return unknown_names(os.environ, Settings.model_fields)
