"""`check` resolves one public name, and explains a private address."""

import socket
from pathlib import Path
from typing import Any

import pytest

from bot.cli import check
from bot.core.errors import DependencyDown
from bot.settings import Settings, read_settings
from bot.veo.look_up import SystemResolver


def settings(tmp_path: Path, **changes: Any) -> Settings:
    values = {"discord_token": "t" * 20, "veo_api_key": "k" * 20, "data_dir": tmp_path}
    return read_settings(_env_file=None, **(values | changes))


def resolver(address: str | None, asked: list[str] | None = None) -> SystemResolver:
    """Resolves every name to this address; with None, the name server is down."""

    def getaddrinfo(host: str, port: int, **_: object) -> list[tuple[Any, ...]]:
        if asked is not None:
            asked.append(host)
        if address is None:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    return SystemResolver(getaddrinfo=getaddrinfo)


async def test_public_address_passes(tmp_path: Path):
    """The name of the API is looked up."""
    asked: list[str] = []
    said = await check._names(
        resolver("93.184.216.34", asked), settings(tmp_path, veo_api_url="https://api.example/base")
    )
    assert said == "api.example resolves to 93.184.216.34"
    assert asked == ["api.example"]


@pytest.mark.parametrize(
    "url", ["https://93.184.216.34/base", "http://10.1.2.3", "http://[2606:4700::1111]:80"]
)
async def test_example_com_is_looked_up_if_the_api_is_an_address(tmp_path: Path, url: str):
    """An address says nothing about the name server."""
    asked: list[str] = []
    await check._names(resolver("93.184.216.34", asked), settings(tmp_path, veo_api_url=url))
    assert asked == ["example.com"]


@pytest.mark.parametrize(("address", "network"), [("198.18.0.7", "198.18.0.0/15"), ("fc00::7", "fc00::/18")])
async def test_fake_ip_address_is_a_problem(tmp_path: Path, address: str, network: str):
    """Every video would be refused; the message names the setting that allows it."""
    with pytest.raises(DependencyDown, match=f"looks like fake-ip DNS: set VIDEO_NETWORKS={network}$"):
        await check._names(resolver(address), settings(tmp_path))
    said = await check._names(resolver(address), settings(tmp_path, video_networks=network))
    assert address in said


async def test_other_private_address_is_reported_but_passes(tmp_path: Path):
    """A private API may return links to public video hosts."""
    said = await check._names(resolver("10.1.2.3"), settings(tmp_path, veo_api_url="https://api.example"))
    assert "10.1.2.3, which is not public" in said
    assert "VIDEO_NETWORKS" in said


async def test_name_server_that_is_down_is_a_problem(tmp_path: Path):
    with pytest.raises(DependencyDown, match="is not resolved: the name server does not answer"):
        await check._names(resolver(None), settings(tmp_path))


async def test_api_on_this_machine_needs_no_look_up(tmp_path: Path):
    asked: list[str] = []
    said = await check._names(resolver(None, asked), settings(tmp_path, veo_api_url="http://localhost:8080"))
    assert "this machine" in said
    assert asked == []
