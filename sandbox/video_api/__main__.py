"""The stand-in as a separate process: `python -m sandbox.video_api --tasks 20000`."""

import argparse
import asyncio
import contextlib
import signal

from sandbox.video_api.server import StandInVideoApi


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m sandbox.video_api", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--key", default="stand-in-key")
    parser.add_argument(
        "--tasks", type=int, default=0, help="number of tasks that stay processing: vgen_%%012x from 1"
    )
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(options.port, options.key, options.tasks))


async def _serve(port: int, key: str, tasks: int) -> None:
    """Print the address as one line and serve until SIGINT or SIGTERM."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with StandInVideoApi(key=key, port=port) as api:
        for _ in range(tasks):
            api.create(status="processing")
        print(api.url, flush=True)
        await stop.wait()


if __name__ == "__main__":
    main()
