"""Every environment variable: name, type, default, meaning. Read once, by the command line.

.env.example lists the same; tests/unit/test_settings.py holds the two together.
"""

import ipaddress
import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import unquote, urlsplit

from pydantic import (
    AfterValidator,
    AnyHttpUrl,
    BeforeValidator,
    ByteSize,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from bot.core.errors import SettingsWrong
from bot.core.tracking import Limits
from bot.storage.engine import POSTGRESQL_PREFIXES, SQLITE_PREFIX, is_postgresql

MIN_POLL_INTERVAL = 30.0
# What is copied along with the base address: the bot adds it itself.
_API_PATH = re.compile(r"(?<![:/])/+v1(?:/+result(?:/.*)?)?/*$")
# Discord recommends about one per 1,000 servers.
_MAX_SHARDS = 10_000
_MIN_PASSWORD = 8
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
# Cloud machines have their metadata service, and its passwords, on a link-local address.
_LINK_LOCAL = (ipaddress.ip_network("169.254.0.0/16"), ipaddress.ip_network("fe80::/10"))
_LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


def _without_slash(url: AnyHttpUrl) -> str:
    return str(url).rstrip("/")


def _api_address(url: AnyHttpUrl) -> str:
    """The base address, also out of the documentation's whole one: the bot adds /v1/result/ and the id."""
    if url.username or url.password:
        raise ValueError("must hold no user and password: the key goes into VEO_API_KEY")
    if url.query or url.fragment:
        raise ValueError("must end before the ? or #")
    return _API_PATH.sub("", str(url)).rstrip("/")


def _not_blank(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value().strip()
    if not text or any(c.isspace() or not c.isprintable() for c in text):
        raise ValueError("is empty or contains a space")
    return SecretStr(text)


def _shard_ids(text: Any) -> Any:
    """Shard ids from a text: `0,2-4` names four."""
    if not isinstance(text, str):
        return text
    ids: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise ValueError("must be numbers and ranges, such as 0,2-4")
        ids.update(range(int(first), min(int(last or first), _MAX_SHARDS) + 1))
    return tuple(sorted(ids))


def _networks(text: Any) -> Any:
    """Networks in CIDR form, separated by commas: `198.18.0.0/15, 10.1.0.0/16`."""
    if not isinstance(text, str):
        return text
    return tuple(_network(part.strip()) for part in text.split(",") if part.strip())


def _network(text: str) -> Network:
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text!r} is not a network in CIDR form, such as 198.18.0.0/15") from None
    if "/" in text and ipaddress.ip_interface(text).ip != network.network_address:
        raise ValueError(f"{text!r} names one address and a network: the network is {network}")
    if any(network.version == never.version and network.overlaps(never) for never in _LINK_LOCAL):
        raise ValueError(f"{text!r} contains link-local addresses, where no video is ever downloaded from")
    if any(network.version == never.version and network.overlaps(never) for never in _LOOPBACK):
        raise ValueError(f"{text!r} contains loopback addresses: only a VEO_API_URL on loopback allows them")
    return network


BaseUrl = Annotated[AnyHttpUrl, AfterValidator(_without_slash)]
ApiUrl = Annotated[AnyHttpUrl, AfterValidator(_api_address)]
Secret = Annotated[SecretStr, AfterValidator(_not_blank)]
Count = Annotated[int, Field(ge=1, le=100_000)]
ShardIds = Annotated[tuple[int, ...], NoDecode, BeforeValidator(_shard_ids)]
Networks = Annotated[tuple[Network, ...], NoDecode, BeforeValidator(_networks)]


class Settings(BaseSettings):
    """Frozen; secrets print as stars. Spans are seconds here, as operators think of them."""

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
    data_dir: Path = Path("data")
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
    shard_count: int | None = Field(None, ge=1, le=_MAX_SHARDS)
    shard_ids: ShardIds = ()
    http_port: int | None = Field(None, ge=1, le=65_535)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["console", "json"] = "console"

    @field_validator("poll_interval")
    @classmethod
    def _is_polite(cls, interval: float, info: ValidationInfo) -> float:
        if interval < MIN_POLL_INTERVAL and not _on_loopback(str(info.data.get("veo_api_url"))):
            raise ValueError(
                "must be 30 or more, as the video API asks (less only for a VEO_API_URL on this machine)"
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
        """Whether the video API runs on this machine: a stand-in, which may be asked more often."""
        return _on_loopback(str(self.veo_api_url))

    @property
    def api_is_unencrypted(self) -> bool:
        """Whether VEO_API_KEY crosses a network in plain text."""
        return str(self.veo_api_url).startswith("http:") and not self.api_on_loopback

    @property
    def database(self) -> str:
        """The address to open, and nothing else: for PostgreSQL it may hold the password."""
        return self.database_url.get_secret_value() or f"{SQLITE_PREFIX}{self.data_dir / 'bot.db'}"

    @property
    def on_postgresql(self) -> bool:
        """Whether other processes may share the database; a SQLite file has one process."""
        return is_postgresql(self.database)

    @property
    def limits(self) -> Limits:
        return Limits(
            per_user=self.max_open_per_user,
            per_channel=self.max_open_per_channel,
            per_guild=self.max_open_per_guild,
        )

    @property
    def interval_ms(self) -> int:
        return int(self.poll_interval * 1000)

    @property
    def lease_ms(self) -> int:
        return int(self.lease_time * 1000)

    @property
    def secrets(self) -> tuple[str, ...]:
        """For the log's redaction and nothing else."""
        password = urlsplit(self.database).password if self.on_postgresql else None
        # A shorter password is a common word: masking it would hide nothing but the log.
        spelled = {password, unquote(password)} if password and len(password) >= _MIN_PASSWORD else set()
        return (self.discord_token.get_secret_value(), self.veo_api_key.get_secret_value(), *sorted(spelled))


class Role(StrEnum):
    """What a process does: `chat` holds the gateway and answers people; `work` polls and delivers."""

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
        """Raises SettingsWrong for a part of the bot on SQLite: no other process can share the file."""
        if self is not Role.ALL and not settings.on_postgresql:
            raise SettingsWrong(
                [f"--role {self}: needs a DATABASE_URL of PostgreSQL, as a SQLite file is for one process"]
            )


def _on_loopback(url: str) -> bool:
    host = (urlsplit(url).hostname or "").lower()
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def read_settings(**overrides: Any) -> Settings:
    """From the environment and `.env`. Raises SettingsWrong with one line per problem."""
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise SettingsWrong([_problem(e) for e in error.errors(include_input=False)]) from None
    except UnicodeDecodeError:
        raise SettingsWrong([".env: is not a text in UTF-8"]) from None


def _problem(error: Any) -> str:
    message = str(error["msg"]).removeprefix("Value error, ")
    if not error["loc"]:
        return message
    name = str(error["loc"][0]).upper()
    if error["type"] == "missing":
        return f"{name}: is not set; see .env.example"
    if not message.startswith("URL"):
        message = message[0].lower() + message[1:]
    return f"{name}: {message}"
