"""Every setting: its default, how it is read, which values are refused and how; .env.example."""

import os
import re
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from bot.core.errors import SettingsWrong
from bot.core.tracking import Limits
from bot.settings import Settings, misspelt_variables, read_settings

TOKEN = "MTIzNDU2.GhIjKl.token-of-the-bot"
KEY = "sk-key-of-the-video-api"
EXAMPLE = Path(__file__).parents[2] / ".env.example"

# The defaults of the contract; None if there is no default.
DEFAULTS = {
    "veo_api_url": "https://zcbservice.aizfw.cn/kyyReactApiServer",
    "database": "sqlite:///data/bot.db",
    "data_dir": Path("data"),
    "poll_interval": 30,
    "poll_rate": 10,
    "task_deadline": 21_600,
    "max_video_bytes": 512 * 1024**2,
    "video_networks": (),
    "max_open_per_user": 20,
    "max_open_per_channel": 50,
    "max_open_per_guild": 200,
    "discord_api_url": None,
    "discord_proxy": None,
    "discord_guild_id": None,
    "http_host": "127.0.0.1",
    "http_port": None,
    "log_level": "INFO",
    "log_format": "console",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Removes our variables and .env from the test's environment, and sets the two secrets."""
    names = {name.upper() for name in Settings.model_fields}
    for name in [each for each in os.environ if each.upper() in names]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DISCORD_TOKEN", TOKEN)
    monkeypatch.setenv("VEO_API_KEY", KEY)
    return monkeypatch


def problems() -> list[str]:
    with pytest.raises(SettingsWrong) as caught:
        read_settings()
    assert str(caught.value) == "\n".join(caught.value.problems)
    return caught.value.problems


# -- reading -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "value"), DEFAULTS.items(), ids=DEFAULTS.keys())
def test_setting_that_is_not_set_has_its_default(name: str, value: object):
    assert getattr(read_settings(), name) == value


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("VEO_API_URL", "https://api.example/base/", "https://api.example/base"),
        ("VEO_API_URL", "http://localhost:8080", "http://localhost:8080"),
        ("VEO_API_URL", "https://api.example/v1", "https://api.example"),
        ("VEO_API_URL", "https://api.example/base/v1/", "https://api.example/base"),
        ("VEO_API_URL", "https://api.example/base/v1/result", "https://api.example/base"),
        ("VEO_API_URL", "https://api.example/base//v1/result/vgen_abc123", "https://api.example/base"),
        ("VEO_API_URL", "https://api.example:8443/v1/result/", "https://api.example:8443"),
        ("VEO_API_URL", "https://api.example/v1/proxy", "https://api.example/v1/proxy"),
        ("VEO_API_URL", "https://api.example/v10", "https://api.example/v10"),
        ("VEO_API_URL", "https://v1/", "https://v1"),
        ("DATA_DIR", "/var/lib/veo", Path("/var/lib/veo")),
        ("POLL_INTERVAL", "30", 30),
        ("POLL_INTERVAL", "3600", 3600),
        ("POLL_INTERVAL", "45.5", 45.5),
        ("POLL_RATE", "0.5", 0.5),
        ("TASK_DEADLINE", "86400", 86400),
        ("MAX_VIDEO_BYTES", "512MiB", 536_870_912),
        ("MAX_VIDEO_BYTES", "100 MB", 100_000_000),
        ("MAX_VIDEO_BYTES", "1000", 1000),
        ("VIDEO_NETWORKS", "198.18.0.0/15", (ip_network("198.18.0.0/15"),)),
        ("VIDEO_NETWORKS", " 10.1.2.3 , fc00::/18,", (ip_network("10.1.2.3/32"), ip_network("fc00::/18"))),
        ("MAX_OPEN_PER_USER", "1", 1),
        ("MAX_OPEN_PER_CHANNEL", "100000", 100_000),
        ("MAX_OPEN_PER_GUILD", "7", 7),
        ("DISCORD_API_URL", "http://127.0.0.1:9000/api/v10/", "http://127.0.0.1:9000/api/v10"),
        ("DISCORD_PROXY", "http://127.0.0.1:7890", "http://127.0.0.1:7890"),
        ("DISCORD_GUILD_ID", "1234567890123456789", 1234567890123456789),
        ("HTTP_HOST", "0.0.0.0", "0.0.0.0"),
        ("HTTP_HOST", " [::1] ", "::1"),
        ("HTTP_HOST", "LocalHost", "localhost"),
        ("HTTP_PORT", "9100", 9100),
        ("LOG_LEVEL", "DEBUG", "DEBUG"),
        ("LOG_LEVEL", "info", "INFO"),
        ("LOG_FORMAT", "JSON", "json"),
        ("LOG_FORMAT", "json", "json"),
        ("log_format", "json", "json"),
    ],
)
def test_setting_with_a_valid_value_is_read(
    environment: pytest.MonkeyPatch, name: str, text: str, value: object
):
    """Addresses lose their last slash and /v1; sizes may have units."""
    environment.setenv(name, text)

    assert getattr(read_settings(), name.lower()) == value


@pytest.mark.parametrize("name", [name.upper() for name in Settings.model_fields if "token" not in name])
def test_setting_that_is_empty_counts_as_not_set(environment: pytest.MonkeyPatch, name: str):
    """An empty line in .env is allowed, unless the setting is required."""
    environment.setenv(name, "")

    if name == "VEO_API_KEY":
        assert problems() == ["VEO_API_KEY: is not set; see .env.example"]
    else:
        assert read_settings() == Settings.model_validate({"discord_token": TOKEN, "veo_api_key": KEY})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("fake-ip", "'fake-ip' is not a network in CIDR form, such as 198.18.0.0/15"),
        ("198.18.0.0/33", "'198.18.0.0/33' is not a network in CIDR form, such as 198.18.0.0/15"),
        ("10.0.0.0/8;fc00::/7", "'10.0.0.0/8;fc00::/7' is not a network in CIDR form, such as 198.18.0.0/15"),
        ("10.1.2.3/8", "'10.1.2.3/8' names one address and a network: the network is 10.0.0.0/8"),
        *(
            (text, f"{text!r} contains link-local addresses, where no video is ever downloaded from")
            for text in ("169.254.0.0/16", "169.254.169.254", "0.0.0.0/0", "fe80::/10", "fe80::1", "::/0")
        ),
        *(
            (text, f"{text!r} contains loopback addresses: only a VEO_API_URL on loopback allows them")
            for text in ("127.0.0.1", "127.0.0.0/8", "::1")
        ),
    ],
)
def test_invalid_video_network_is_refused(environment: pytest.MonkeyPatch, text: str, why: str):
    """With the value, and an example of a valid one."""
    environment.setenv("VIDEO_NETWORKS", f"198.18.0.0/15,{text}")

    assert problems() == [f"VIDEO_NETWORKS: {why}"]


@pytest.mark.parametrize("quote", ["'", '"'])
@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("POLL_INTERVAL", "60", 60),
        ("DATA_DIR", "videos of us", Path("videos of us")),
        ("LOG_FORMAT", "", "console"),
    ],
)
def test_quotes_that_docker_keeps_are_stripped(
    environment: pytest.MonkeyPatch, quote: str, name: str, text: str, value: object
):
    """`docker run --env-file` keeps quotes; a shell and a .env file do not."""
    environment.setenv(name, f"{quote}{text}{quote}")
    environment.setenv("DISCORD_TOKEN", f"{quote}{TOKEN}{quote}\r")

    assert getattr(read_settings(), name.lower()) == value
    assert read_settings().discord_token.get_secret_value() == TOKEN


@pytest.mark.parametrize("text", ["'", "it's", "'60\""])
def test_quote_that_is_part_of_a_value_stays(environment: pytest.MonkeyPatch, text: str):
    environment.setenv("DATA_DIR", text)

    assert read_settings().data_dir == Path(text)


def test_home_is_expanded(environment: pytest.MonkeyPatch, tmp_path: Path):
    """No shell expands `~` in a .env file."""
    environment.setenv("HOME", str(tmp_path))
    environment.setenv("DATA_DIR", "~/videos")

    assert read_settings().data_dir == tmp_path / "videos"


def test_secret_with_spaces_around_it_is_trimmed(environment: pytest.MonkeyPatch):
    """A copied secret often ends with a line end."""
    environment.setenv("DISCORD_TOKEN", f" {TOKEN}\n")

    assert read_settings().discord_token.get_secret_value() == TOKEN


def test_default_database_is_in_the_data_folder(environment: pytest.MonkeyPatch):
    """DATA_DIR moves it; DATABASE_URL overrides both."""
    environment.setenv("DATA_DIR", "elsewhere")
    assert read_settings().database == "sqlite:///elsewhere/bot.db"

    environment.setenv("DATABASE_URL", "sqlite:///own.db")
    assert read_settings().database == "sqlite:///own.db"
    assert not read_settings().on_postgresql


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
def test_both_schemes_of_postgresql_are_accepted(environment: pytest.MonkeyPatch, scheme: str):
    """The password is masked in its raw and in its quoted form."""
    url = f"{scheme}://bot:hunter%402hunter@db.example.com/veo?sslmode=require"
    environment.setenv("DATABASE_URL", url)
    settings = read_settings()

    assert settings.on_postgresql
    assert settings.database == url
    assert settings.secrets == (TOKEN, KEY, "hunter%402hunter", "hunter@2hunter")
    assert "hunter" not in repr(settings)


@pytest.mark.parametrize(
    ("count", "ids", "read"),
    [("", "", (None, ())), ("4", "", (4, ())), ("4", "0, 2-3", (4, (0, 2, 3))), ("1", "0", (1, (0,)))],
)
def test_shards_are_numbers_and_ranges(environment: pytest.MonkeyPatch, count: str, ids: str, read: object):
    """Without SHARD_IDS the process runs all shards."""
    environment.setenv("SHARD_COUNT", count)
    environment.setenv("SHARD_IDS", ids)
    settings = read_settings()

    assert (settings.shard_count, settings.shard_ids) == read


@pytest.mark.parametrize(
    ("count", "ids", "said"),
    [
        ("", "0", "needs SHARD_COUNT"),
        ("2", "2", "must be below SHARD_COUNT, which is 2"),
        ("2", "0-99999999999", "must be below SHARD_COUNT"),
        ("2", "one", "numbers and ranges, such as 0,2-4"),
        ("2", "-1", "numbers and ranges"),
        ("2", "1-", "numbers and ranges"),
        ("0", "", "'0' is too small: it must be at least 1"),
    ],
)
def test_invalid_shards_are_refused(environment: pytest.MonkeyPatch, count: str, ids: str, said: str):
    """The message says what to write."""
    environment.setenv("SHARD_COUNT", count)
    environment.setenv("SHARD_IDS", ids)

    [problem] = problems()
    assert said in problem


def test_derived_values_follow_their_settings(environment: pytest.MonkeyPatch):
    """Limits as one value, the interval in milliseconds, the secrets for redaction."""
    environment.setenv("MAX_OPEN_PER_USER", "1")
    environment.setenv("POLL_INTERVAL", "45.5")
    settings = read_settings()

    assert settings.limits == Limits(per_user=1, per_channel=50, per_guild=200)
    assert settings.interval_ms == 45_500
    assert settings.secrets == (TOKEN, KEY)


# -- misspelt names ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("POLL_INTERVALL", "POLL_INTERVALL is not a setting: did you mean POLL_INTERVAL?"),
        ("LOGLEVEL", "LOGLEVEL is not a setting: did you mean LOG_LEVEL?"),
        ("DATABASE_URI", "DATABASE_URI is not a setting: did you mean DATABASE_URL?"),
        ("max_open_per_server", "MAX_OPEN_PER_SERVER is not a setting: did you mean MAX_OPEN_PER_USER?"),
        ("DISCORD_TOKEN_FILE", "DISCORD_TOKEN_FILE is not a setting: did you mean DISCORD_TOKEN?"),
        ("DISCORD_OWNER", "DISCORD_OWNER is not a setting; .env.example lists them all"),
        ("VEO_MODEL", "VEO_MODEL is not a setting; .env.example lists them all"),
        ("POLL_EVERY", "POLL_EVERY is not a setting; .env.example lists them all"),
    ],
)
def test_misspelt_name_is_reported(environment: pytest.MonkeyPatch, tmp_path: Path, name: str, said: str):
    """An error in our .env file; only a warning in the environment."""
    environment.setenv(name, "hunter2")
    assert read_settings().log_level == "INFO"
    assert misspelt_variables() == [said]

    (tmp_path / ".env").write_text(f"{name}=hunter2\nPOLL_RATE=fast\n")
    assert problems() == [f".env: {said}", "POLL_RATE: 'fast' is not a number, such as 30"]


@pytest.mark.parametrize(
    "name", ["POSTGRES_PASSWORD", "HTTP_PROXY", "HTTPS_PROXY", "LOG_DIR", "PATH", "COMPOSE_FILE", "DATA_PATH"]
)
def test_name_of_another_program_is_ignored(environment: pytest.MonkeyPatch, tmp_path: Path, name: str):
    """Docker Compose reads the same file."""
    (tmp_path / ".env").write_text(f"{name}=x\n")
    environment.setenv(name, "x")

    assert read_settings().log_level == "INFO"
    assert misspelt_variables() == []


def test_names_that_kubernetes_sets_are_ignored(environment: pytest.MonkeyPatch):
    """It sets a dozen variables for a service that is called veo-courier."""
    environment.setenv("VEO_COURIER_SERVICE_HOST", "10.0.0.1")
    environment.setenv("VEO_COURIER_PORT_9100_TCP", "tcp://10.0.0.1:9100")

    assert misspelt_variables() == []


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://user:hunter2@api.example", "must hold no user and password: the key goes into VEO_API_KEY"),
        ("https://hunter2@api.example/base", "must hold no user and password: the key goes into VEO_API_KEY"),
        ("http://127.0.0.1@api.example", "must hold no user and password: the key goes into VEO_API_KEY"),
        ("https://api.example/v1?key=hunter2", "must end before the ? or #"),
        ("https://api.example/#hunter2", "must end before the ? or #"),
        ("http://api.example#@localhost", "must end before the ? or #"),
    ],
)
def test_api_address_with_query_or_credentials_is_refused(
    environment: pytest.MonkeyPatch, url: str, said: str
):
    """Each poll would fail. A part that may be a secret is not repeated."""
    environment.setenv("VEO_API_URL", url)

    assert problems() == [f"VEO_API_URL: {said}"]


@pytest.mark.parametrize(
    ("url", "unencrypted"),
    [
        ("https://api.example", False),
        ("http://api.example", True),
        ("http://10.0.0.1:8080", True),
        ("http://127.0.0.1.example.com", True),
        ("http://127.0.0.1:8080", False),
        ("http://localhost", False),
        ("http://[::1]:8080", False),
    ],
)
def test_key_over_plain_http_is_recognised(environment: pytest.MonkeyPatch, url: str, unencrypted: bool):
    """On this machine plain HTTP is safe."""
    environment.setenv("VEO_API_URL", url)

    assert read_settings().api_is_unencrypted is unencrypted


# -- .env ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "byte order mark"])
def test_env_file_in_the_working_folder_is_read(environment: pytest.MonkeyPatch, tmp_path: Path, mark: str):
    """With or without the byte order mark that Windows editors add."""
    environment.delenv("DISCORD_TOKEN")
    lines = "DISCORD_TOKEN=from-the-file\n# a comment\nPOLL_INTERVAL=60\nPATH_OF_OTHERS=x\n"
    (tmp_path / ".env").write_text(mark + lines, encoding="utf-8")

    settings = read_settings()

    assert settings.discord_token.get_secret_value() == "from-the-file"
    assert settings.poll_interval == 60


def test_environment_overrides_the_env_file(environment: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / ".env").write_text("LOG_LEVEL=DEBUG\nLOG_FORMAT=json\n")
    environment.setenv("LOG_LEVEL", "ERROR")

    settings = read_settings()

    assert (settings.log_level, settings.log_format) == ("ERROR", "json")


def test_env_file_that_is_not_utf_8_is_one_problem(tmp_path: Path):
    """PowerShell's `>` writes UTF-16."""
    (tmp_path / ".env").write_text(f"DISCORD_TOKEN={TOKEN}\n", encoding="utf-16")

    assert problems() == [".env: is not a text in UTF-8"]


# -- refused values ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("VEO_API_URL", "api.example", "'api.example' is not an address, such as https://host/path"),
        (
            "VEO_API_URL",
            "ftp://host/",
            "'ftp://host/' is not an address that begins with http:// or https://",
        ),
        ("VEO_API_URL", "ftp://bot:hunter2@host/", "the value is not an address that begins with http://"),
        ("DATABASE_URL", "mysql://user:hunter2@db/x", "must begin with sqlite:/// or postgresql://"),
        ("DATABASE_URL", "sqlite://bot.db", "must begin with sqlite:/// or postgresql://"),
        ("DATABASE_URL", "sqlite:///:memory:", "must name a file"),
        ("DATABASE_URL", "sqlite:///", "must name a file"),
        ("DATABASE_URL", "sqlite:///~nobody-of-this-name/bot.db", "that home folder is not known"),
        ("DATA_DIR", "~nobody-of-this-name/data", "that home folder is not known"),
        ("POLL_INTERVAL", "29.9", "29.9 is too small: it must be 30 or more, as the video API asks"),
        ("POLL_INTERVAL", "0", "'0' is too small: it must be more than 0"),
        ("POLL_INTERVAL", "-5", "'-5' is too small: it must be more than 0"),
        ("POLL_INTERVAL", "3601", "'3601' is too large: it must be at most 3600"),
        ("POLL_INTERVAL", "soon", "'soon' is not a number, such as 30"),
        ("POLL_INTERVAL", "inf", "'inf' is too large: it must be at most 3600"),
        ("POLL_INTERVAL", "nan", "'nan' is "),
        ("POLL_RATE", "0", "'0' is too small: it must be more than 0"),
        ("POLL_RATE", "inf", "at most 1000000"),
        ("TASK_DEADLINE", "0", "'0' is too small: it must be at least 1"),
        ("TASK_DEADLINE", "9999999", "'9999999' is too large: it must be at most 2592000"),
        ("MAX_VIDEO_BYTES", "0", "is too small: it must be more than 0"),
        ("MAX_VIDEO_BYTES", "big", "'big' is not a size, such as 512MiB"),
        ("MAX_VIDEO_BYTES", "5 XB", "'5 XB' is not a size, such as 512MiB"),
        ("MAX_OPEN_PER_USER", "0", "'0' is too small: it must be at least 1"),
        ("MAX_OPEN_PER_CHANNEL", "100001", "'100001' is too large: it must be at most 100000"),
        ("MAX_OPEN_PER_GUILD", "1.5", "'1.5' is not a whole number, such as 20"),
        ("DISCORD_API_URL", "discord.com", "'discord.com' is not an address, such as https://host/path"),
        ("DISCORD_PROXY", "socks5://127.0.0.1:1080", "the value is not an address that begins with http://"),
        ("DISCORD_PROXY", "user:hunter2", "the value is not an address"),
        ("DISCORD_GUILD_ID", "0", "'0' is too small: it must be more than 0"),
        ("DISCORD_GUILD_ID", "my server", "'my server' is not a whole number"),
        ("HTTP_HOST", "metrics.example", "'metrics.example' is not an address: 127.0.0.1 is this machine"),
        ("HTTP_HOST", "127.0.0.1:9100", "'127.0.0.1:9100' is not an address"),
        ("LOG_LEVEL", "TRACE", "'TRACE' is none of 'DEBUG', 'INFO', 'WARNING', 'ERROR'"),
        ("LOG_FORMAT", "xml", "'xml' is none of 'console', 'json'"),
        ("LOG_FORMAT", f"{'x' * 70}", f"'{'x' * 60}...' is none of"),
        ("POLL_RATE", KEY, "'********' is not a number"),
        ("POLL_INTERVAL", "\u201c60\u201d", "is in curly quotes: write straight ones, or none"),
    ],
)
def test_setting_with_an_invalid_value_is_one_line(
    environment: pytest.MonkeyPatch, name: str, text: str, said: str
):
    """Name, value (unless it may be a secret), what is wrong, and a valid form."""
    environment.setenv(name, text)

    (problem,) = problems()

    assert problem.startswith(f"{name}: ")
    assert said in problem
    assert "\n" not in problem
    assert "hunter2" not in problem
    assert "pydantic" not in problem


SPACE = "contains a space or a line break: copy it again, without anything around it"
SIGN = "contains a character that cannot be in it, such as a curly quote: copy it again"


@pytest.mark.parametrize("name", ["DISCORD_TOKEN", "VEO_API_KEY"])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (" ", "is not set; see .env.example"),
        ("\t\n", "is not set; see .env.example"),
        ('""', "is not set; see .env.example"),
        ("hunter2 hunter3", SPACE),
        ("Bearer hunter2", SPACE),
        ("hunter2\x07", SPACE),
        ("hun\nter2", SPACE),
        ("hun\u201dter2", SIGN),
        ("\u0445unter2", SIGN),
        ("\u201chunter2\u201d", "is in curly quotes: write straight ones, or none"),
        ("hunter2\u2019", "is in curly quotes: write straight ones, or none"),
    ],
)
def test_invalid_secret_is_refused_without_showing_it(
    environment: pytest.MonkeyPatch, name: str, text: str, said: str
):
    """Empty, or with a character that an HTTP header cannot carry."""
    environment.setenv(name, text)

    assert problems() == [f"{name}: {said}"]


def test_several_problems_are_one_line_each(environment: pytest.MonkeyPatch):
    """All are reported in one run."""
    environment.delenv("DISCORD_TOKEN")
    environment.setenv("VEO_API_KEY", "hunter2 hunter3")
    environment.setenv("LOG_LEVEL", "LOUD")
    environment.setenv("POLL_INTERVAL", "1")

    found = problems()

    assert [problem.partition(":")[0] for problem in found] == [
        "DISCORD_TOKEN",
        "VEO_API_KEY",
        "POLL_INTERVAL",
        "LOG_LEVEL",
    ]
    assert "DISCORD_TOKEN: is not set; see .env.example" in found
    assert "hunter" not in "\n".join(found)


def test_settings_wrong_carries_no_pydantic_error():
    """Its repr would show the input."""
    with pytest.raises(SettingsWrong) as caught:
        read_settings(log_level="hunter2")

    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert caught.value.exit_code == 2


# -- POLL_INTERVAL -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8080",
        "http://127.8.9.1/base",
        "http://localhost:8080/x",
        "http://LOCALHOST",
        "https://[::1]:8443",
    ],
)
def test_poll_interval_below_30_on_loopback_is_allowed(environment: pytest.MonkeyPatch, url: str):
    """For a stand-in on this machine."""
    environment.setenv("VEO_API_URL", url)
    environment.setenv("POLL_INTERVAL", "0.05")

    settings = read_settings()

    assert settings.interval_ms == 50
    assert settings.api_on_loopback


@pytest.mark.parametrize(
    "url",
    [
        "https://zcbservice.aizfw.cn/kyyReactApiServer",
        "http://127.0.0.1.example.com",
        "http://localhost.example.com",
        "http://example.com/127.0.0.1",
        "http://10.0.0.1",
        "http://192.168.1.5:8080",
        "http://0.0.0.0:8080",
        "http://[2001:db8::1]",
    ],
)
def test_poll_interval_below_30_elsewhere_is_refused(environment: pytest.MonkeyPatch, url: str):
    """The API asks for 30 seconds. A name that only resembles loopback does not count."""
    environment.setenv("VEO_API_URL", url)
    assert not read_settings().api_on_loopback

    environment.setenv("POLL_INTERVAL", "29.99")
    (problem,) = problems()

    assert problem.startswith("POLL_INTERVAL: 29.99 is too small: it must be 30 or more")


# -- the object ----------------------------------------------------------------------------------


def test_settings_in_any_text_show_stars_for_secrets(environment: pytest.MonkeyPatch):
    """Also the password of a proxy."""
    environment.setenv("DISCORD_PROXY", "http://user:hunter2@127.0.0.1:7890")
    settings = read_settings()

    for text in (repr(settings), str(settings), f"{settings}", repr(settings.discord_token)):
        assert TOKEN not in text
        assert KEY not in text
        assert "hunter2" not in text
        assert "****" in text


def test_settings_are_frozen():
    settings: Any = read_settings()

    with pytest.raises(ValidationError, match="frozen"):
        settings.poll_interval = 1.0
    assert settings.poll_interval == 30


# -- .env.example --------------------------------------------------------------------------------


def example() -> dict[str, tuple[bool, str]]:
    """Name -> whether its line is commented out, and the value."""
    found = re.findall(r"^(# )?([A-Z][A-Z_]+)=(.*)$", EXAMPLE.read_text(encoding="utf-8"), re.MULTILINE)
    names = [name for _, name, _ in found]
    assert len(set(names)) == len(names)
    return {name: (bool(mark), value) for mark, name, value in found}


def test_env_example_and_settings_list_the_same_variables():
    """In both directions."""
    assert set(example()) == {name.upper() for name in Settings.model_fields}


def test_env_example_has_the_required_settings_uncommented_and_empty():
    required = {name.upper() for name, field in Settings.model_fields.items() if field.is_required()}

    assert {name for name, (commented, _) in example().items() if not commented} == required
    assert all(example()[name] == (False, "") for name in required)


def test_commented_lines_of_env_example_hold_the_defaults(environment: pytest.MonkeyPatch):
    before = read_settings()
    for name, (commented, value) in example().items():
        if commented:
            environment.setenv(name, value)
    after = read_settings()

    assert after.database == before.database
    assert after.model_copy(update={"database_url": before.database_url}) == before


def test_unchanged_env_example_reports_the_two_missing_secrets(
    environment: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    environment.delenv("DISCORD_TOKEN")
    environment.delenv("VEO_API_KEY")
    (tmp_path / ".env").write_bytes(EXAMPLE.read_bytes())

    assert [problem.partition(":")[0] for problem in problems()] == ["DISCORD_TOKEN", "VEO_API_KEY"]
    assert caplog.records == []


def test_env_example_explains_every_setting():
    """Each paragraph begins with a comment in words and ends with its settings."""
    paragraphs = EXAMPLE.read_text(encoding="utf-8").strip().split("\n\n")

    for paragraph in paragraphs[1:]:
        assert re.match(r"# [A-Za-z]+[ ,'][^=]+\n", paragraph)
        assert re.search(r"^(# )?[A-Z_]+=.*$", paragraph.splitlines()[-1])
