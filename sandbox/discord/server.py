"""The stand-in Discord as one object: it builds the parts, serves them, and is what tests use."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from aiohttp import WSCloseCode, web

from sandbox.discord import command_locales, locales
from sandbox.discord.account_routes import AccountRoutes
from sandbox.discord.attachments import AttachmentFiles
from sandbox.discord.commands import Commands, Scope
from sandbox.discord.contract import Contract
from sandbox.discord.gateway import Gateway
from sandbox.discord.gateway_controls import GatewayControls
from sandbox.discord.history import History
from sandbox.discord.interaction_routes import InteractionRoutes
from sandbox.discord.interactions import Interactions
from sandbox.discord.message_routes import MessageRoutes
from sandbox.discord.people import Connections, Person
from sandbox.discord.posting import Nonces, Posting
from sandbox.discord.ratelimits import Bucket
from sandbox.discord.record import Record, Request
from sandbox.discord.rest import PREFIX, HoldPoint, RestApi
from sandbox.discord.world import World
from sandbox.faults import Faults
from sandbox.holds import Hold, Holds
from sandbox.loopback import LOOPBACK, LoopbackServer
from sandbox.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sandbox.discord.message_parts import Json
    from sandbox.discord.user import User
    from sandbox.discord.world import Guild

T = TypeVar("T")

HEARTBEAT_INTERVAL_MS = 41_250
NONCE_WINDOW = 300.0
# Far above every upload limit, because the routes refuse too large files in Discord's words.
MAX_REQUEST = 2 * 1024**3


class StandInDiscord(GatewayControls, LoopbackServer):
    """A Discord on 127.0.0.1 while its `async with` is open. `check` raises when the bot did wrong."""

    def __init__(
        self,
        token: str = "stand-in-token",  # noqa: S107 - opens nothing but this stand-in
        port: int = 0,
        *,
        heartbeat_interval: int = HEARTBEAT_INTERVAL_MS,
    ) -> None:
        self.token = token
        self.world = World()
        self.faults = Faults()
        self._record = Record()
        self._holds = Holds()
        self._buckets: list[Bucket] = []
        self._contract = Contract()
        self._commands = Commands(self.world, self._record)
        self._posting = Posting(self.world, self._record, Nonces(NONCE_WINDOW))
        self._gateway = Gateway(
            token=token,
            world=self.world,
            record=self._record,
            heartbeat_interval=heartbeat_interval,
        )
        self._interactions = Interactions(self.world, self._gateway.dispatch_now)
        self._rest = RestApi(
            token=token,
            record=self._record,
            faults=self.faults,
            holds=self._holds,
            buckets=self._buckets,
            contract=self._contract,
        )
        self._history = History()
        self._account = AccountRoutes(self.world, self._commands)
        self._rest.add(self._account.endpoints())
        self._rest.add(InteractionRoutes(self.world, self._interactions, self._posting).endpoints())
        self._messages = MessageRoutes(self.world, self._posting, self._history)
        self._rest.add(self._messages.endpoints())
        self.world.listeners.append(lambda _: self._record.notify())
        super().__init__(self._application(), port)

    def _application(self) -> web.Application:
        application = web.Application(client_max_size=MAX_REQUEST)
        application.router.add_get("/gateway", self._gateway.handle)
        application.router.add_get(
            "/attachments/{channel}/{id}/{filename}", AttachmentFiles(self.world).handle
        )
        application.router.add_route("*", PREFIX + "/{path:.*}", self._rest.handle)
        return application

    # --- opening and closing

    async def _opened(self) -> None:
        self._posting.address = self.url
        self._gateway.url = self._account.gateway_url = self.gateway_url

    async def _closing(self) -> None:
        self._holds.drop_all()
        await self._gateway.disconnect(WSCloseCode.GOING_AWAY)

    @property
    def api_url(self) -> str:
        """The REST API's address, as DISCORD_API_URL takes it."""
        return f"{self.url}{PREFIX}"

    @property
    def gateway_url(self) -> str:
        return f"ws://{LOOPBACK}:{self.port}/gateway"

    # --- the world

    @property
    def bot(self) -> User:
        return self.world.bot

    def add_guild(
        self, name: str, *, premium_tier: int = 0, bot_member: bool = True, shard: tuple[int, int] = (0, 1)
    ) -> Guild:
        return self.world.add_guild(name, premium_tier=premium_tier, bot_member=bot_member, shard=shard)

    def add_person(self, name: str, *, locale: str = locales.DEFAULT) -> Person:
        """A person whose client is in this language; `person.locale = "zh-CN"` changes it later."""
        parts = Connections(self.world, self._commands, self._interactions, self._record)
        person = Person(name, parts, locale)
        self.world.add_user(person)
        return person

    def upload_limit(self, guild: Guild) -> int:
        return guild.upload_limit

    # --- what happened

    @property
    def record(self) -> list[Request]:
        """Every REST request so far."""
        return self._record.requests

    @property
    def surprises(self) -> list[str]:
        return self._record.surprises

    @property
    def registrations(self) -> list[tuple[Scope, list[Json]]]:
        """Every bulk overwrite of commands, as (scope, payload)."""
        return self._commands.registrations

    @property
    def commands(self) -> list[Json]:
        """All registered commands, of every scope."""
        return self._commands.everywhere()

    def commands_of(self, scope: Scope) -> list[Json]:
        """The commands of a server, or with None those of all servers."""
        return self._commands.registered(scope)

    def commands_seen_by(self, person: User) -> list[Json]:
        """All registered commands in this person's language.

        Commands, options and choices have `name_localized` and `description_localized`, which a client shows.
        """
        return [command_locales.shown(command, person.locale) for command in self.commands]

    def overwrite_commands(self, scope: Scope, commands: list[Json]) -> None:
        """Replace the commands, as another program with the same token does."""
        self._commands.overwrite(scope, commands)
        self.registrations.pop()

    @property
    def contract_checked(self) -> bool:
        """Whether requests are checked against Discord's OpenAPI description, which must be here for it.

        A benchmark assigns False, because the checks take longer than the answers.
        """
        return self._contract.available

    @contract_checked.setter
    def contract_checked(self, wanted: bool) -> None:
        self._contract.wanted = wanted

    def requests(self, method: str, path: str = "*") -> list[Request]:
        """The REST requests so far with this method, and with a path that matches the pattern."""
        return self._record.matching(method, path)

    async def until(self, predicate: Callable[[], T | Awaitable[T]], within: float = PATIENCE) -> T:
        """Wait for the predicate to become true; it is evaluated again after every change.

        Returns its value. Raises TimeoutError with the requests so far.
        """
        return await self._record.until(predicate, within)

    def watch(self, watcher: Callable[[], None]) -> None:
        """Call `watcher` after every request, answer, change and connection."""
        self._record.watchers.append(watcher)

    def check(self) -> None:
        """Raises AssertionError when something surprised the stand-in."""
        if self.surprises:
            raise AssertionError("the stand-in was surprised:\n" + "\n".join(self.surprises))

    # --- what goes wrong

    def hold(self, route: str, point: HoldPoint = "received") -> Hold:
        """Stop the next request to this route, such as "POST /channels/*/messages"."""
        return self._holds.add(route, point)

    def rate_limit(self, route: str, limit: int, window: float) -> None:
        """Allow `limit` requests to this route per `window` seconds, for each channel, guild or webhook."""
        self._buckets.append(Bucket(route, limit, window))

    @property
    def edge_limit(self) -> int | None:
        """The largest request in bytes that a proxy in front lets through; larger ones get 413 with HTML.

        None: there is no such proxy.
        """
        return self._rest.edge_limit

    @edge_limit.setter
    def edge_limit(self, size: int | None) -> None:
        self._rest.edge_limit = size

    @property
    def nonce_window(self) -> float:
        """Seconds for which Discord remembers a nonce."""
        return self._posting.nonces.window

    @nonce_window.setter
    def nonce_window(self, seconds: float) -> None:
        self._posting.nonces.window = seconds

    @property
    def nonce_hits(self) -> int:
        """How often a nonce was answered with the message that it had created before."""
        return self._posting.nonces.hits

    def forget_nonces(self) -> None:
        """Forget every nonce, as Discord does after its window: the same nonce makes a new message then."""
        self._posting.nonces.forget()

    @property
    def history_lag(self) -> float:
        """The number of requests for a channel's history that miss a message posted from now on.

        `math.inf`: until `release_history`.
        """
        return self._history.lag

    @history_lag.setter
    def history_lag(self, requests: float) -> None:
        self._history.lag = requests

    def release_history(self) -> None:
        """Make the histories show every message from now on; those posted later lag again."""
        self._history.release()

    @property
    def hidden_threads_exist(self) -> bool:
        """Whether a private thread that the bot does not see answers 403 (50001), and not 404 (10003)."""
        return self._messages.hidden_threads_exist

    @hidden_threads_exist.setter
    def hidden_threads_exist(self, exist: bool) -> None:
        self._messages.hidden_threads_exist = exist

    @property
    def interaction_deadline(self) -> float:
        """Seconds that the bot has to acknowledge."""
        return self._interactions.deadline

    @interaction_deadline.setter
    def interaction_deadline(self, seconds: float) -> None:
        self._interactions.deadline = seconds

    @property
    def interaction_lifetime(self) -> float:
        """Seconds for which an interaction's token can be used."""
        return self._interactions.lifetime

    @interaction_lifetime.setter
    def interaction_lifetime(self, seconds: float) -> None:
        self._interactions.lifetime = seconds
