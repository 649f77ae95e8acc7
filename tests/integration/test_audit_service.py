"""The audit of the lock file against a stand-in for the service that knows vulnerabilities."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests import audit

AFFECTED = "aiohttp"
LOCK = f"{AFFECTED}==3.14.5 \\\n    --hash=sha256:{'0' * 64}\nyarl==1.25.1 \\\n    --hash=sha256:{'1' * 64}\n"
VULNERABILITY = {
    "id": "PYSEC-2099-1",
    "aliases": [],
    "details": "reads what it should not",
    "affected": [
        {
            "package": {"name": AFFECTED, "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "3.15.0"}]}],
        }
    ],
}


class Service:
    """OSV's one route."""

    def __init__(self) -> None:
        self.known: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.url = ""

    async def query(self, request: web.Request) -> web.Response:
        name = (await request.json())["package"]["name"]
        self.asked.append(name)
        return web.json_response({"vulns": self.known} if name == AFFECTED and self.known else {})


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    service, application = Service(), web.Application()
    application.router.add_post("/v1/query", service.query)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    service.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1/query"
    yield service
    await runner.cleanup()


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "requirements.lock"
    path.write_text(LOCK)
    return path


async def audited(lock: Path, *options: str) -> int:
    return await asyncio.to_thread(audit.main, [str(lock), *options])


async def test_known_vulnerability_fails(service: Service, lock: Path, capsys: pytest.CaptureFixture[str]):
    """Named with its version, and with the version that mends it."""
    service.known.append(VULNERABILITY)

    code = await audited(lock, "--vulnerability-service=osv", f"--osv-url={service.url}")

    assert code == 1
    assert capsys.readouterr().out == (
        f"requirements.lock: VULNERABLE {AFFECTED} 3.14.5: PYSEC-2099-1, fixed in 3.15.0\n"
    )


async def test_no_known_vulnerability_passes(
    service: Service, lock: Path, capsys: pytest.CaptureFixture[str]
):
    """Every package of the lock file was asked about."""
    code = await audited(lock, "--vulnerability-service=osv", f"--osv-url={service.url}")

    assert (code, sorted(service.asked)) == (0, [AFFECTED, "yarl"])
    assert capsys.readouterr().out == "requirements.lock: no known vulnerability in 2 packages.\n"


async def test_service_that_is_not_there_is_said_in_one_line(lock: Path, capsys: pytest.CaptureFixture[str]):
    """Work goes on without a network."""
    code = await audited(lock, "--vulnerability-service=osv", "--osv-url=http://127.0.0.1:9/v1/query")

    assert code == 0
    assert capsys.readouterr().out.startswith("requirements.lock: not audited")


async def test_lock_file_that_cannot_be_read_fails(tmp_path: Path):
    """It is no matter of the network."""
    lock = tmp_path / "requirements.lock"
    lock.write_text("aiohttp\n")

    with pytest.raises(RuntimeError, match="hash"):
        await audited(lock)
