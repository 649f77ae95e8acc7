"""Docker's HEALTHCHECK: checks whether the bot in this container is alive. It runs twice a minute.

It requests /livez, not /healthz: Swarm and others restart an unhealthy container, and no restart brings
Discord back. It imports little, to start fast.
"""

import os
import sys
from collections.abc import Mapping
from http.client import HTTPConnection

_TIMEOUT = 5.0
# The server listens on every interface; the probe uses one of them.
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - these are replaced


def probe(environment: Mapping[str, str]) -> str | None:
    """Return what is wrong; None when nothing is. Without HTTP_PORT there is nothing to check."""
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
