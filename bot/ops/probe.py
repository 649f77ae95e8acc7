"""Docker's HEALTHCHECK: whether the bot in this container is alive. It runs twice a minute: imports little.

Asks /livez, not /healthz: Swarm and others restart what is unhealthy, and no restart brings back Discord.
"""

import os
import sys
from collections.abc import Mapping
from http.client import HTTPConnection

_TIMEOUT = 5.0
# Every interface is listened on; one of them is asked.
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - these are replaced


def probe(environment: Mapping[str, str]) -> str | None:
    """What is wrong; None when nothing is. Without HTTP_PORT the process alone counts, and it is there."""
    port = environment.get("HTTP_PORT", "").strip()
    if not port:
        return None
    host = environment.get("HTTP_HOST", "").strip().strip("[]") or "127.0.0.1"
    connection = HTTPConnection(_ANY.get(host, host), int(port), timeout=_TIMEOUT)
    try:
        connection.request("GET", "/livez")
        status = connection.getresponse().status
    except OSError as error:
        return f"no answer from HTTP_PORT {port}: {error}"
    finally:
        connection.close()
    return None if status == 200 else f"HTTP_PORT {port} answers {status}"


if __name__ == "__main__":
    if problem := probe(os.environ):
        sys.exit(problem)
