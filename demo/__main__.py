"""`python -m demo`: the bot on this machine, without an account, as a page or as a story."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from demo.page.run import serve
from demo.page.server import DEFAULT_PORT, MAX_PORT
from demo.story import Story, save_video
from demo.terminal import ChannelView, without_web_fonts
from sandbox.bot_environment import BotEnvironment

WIDTH = 100


def main() -> int:
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        if not arguments.story:
            return _serve_page(Path(folder), arguments.port, arguments.poll_interval)
        return _run_story(Path(folder), arguments.out, arguments.svg)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    page = parser.add_argument_group("the page")
    page.add_argument("--port", type=_port, default=DEFAULT_PORT, help="or the next free one")
    page.add_argument("--poll-interval", type=float, help="the bot's POLL_INTERVAL, such as the real 30")
    story = parser.add_argument_group("the story")
    story.add_argument("--story", action="store_true", help="tell a story in the terminal, then end")
    story.add_argument("--out", type=Path, default=Path("demo-out"), help="where the video is saved")
    story.add_argument("--svg", type=Path, help="also save the channel as a picture")
    return parser.parse_args()


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) <= MAX_PORT):
        raise argparse.ArgumentTypeError(f"{text} is no port: it must be a number from 0 to {MAX_PORT}")
    return int(text)


def _serve_page(folder: Path, port: int, poll_interval: float | None) -> int:
    try:
        asyncio.run(serve(folder, port, poll_interval))
    except OSError as problem:
        print(f"The page could not be started: {problem}", file=sys.stderr)
        return 1
    return 0


def _run_story(folder: Path, out: Path, svg: Path | None) -> int:
    console = Console(width=WIDTH, highlight=False)
    began = time.monotonic()
    same = asyncio.run(_demo(console, folder, out, svg))
    console.print(f"[dim]{time.monotonic() - began:.1f} seconds, no account, no network but loopback.[/]")
    return 0 if same else 1


async def _demo(console: Console, folder: Path, out: Path, svg: Path | None) -> bool:
    began = time.monotonic()

    def report(step: str) -> None:
        console.print(f"[dim]{time.monotonic() - began:5.1f} s[/]  {step}", markup=True)

    console.print("[bold]veo-courier[/]: stand-ins for Discord and the video API, and the real bot.\n")
    async with BotEnvironment(folder) as env:
        story = Story(env, report)
        video = await story.run()
        path, same = save_video(video, out)
        view = ChannelView({p.id: p.name for p in (env.alice, env.bob, env.discord.bot)}, env.discord.bot.id)
        verdict = "the same bytes as the API's" if same else "NOT the bytes that the API gave out"
        view.saved[video.attachments[0].id] = f"saved as {path}: {verdict}"
        messages = [*env.channel.messages, *story.private]
        console.print()
        console.print(view.draw(env.channel, messages))
        if svg is not None:
            _save_picture(svg, view, env)
        env.check()
    return same


def _save_picture(svg: Path, view: ChannelView, env: BotEnvironment) -> None:
    with Path("/dev/null").open("w") as nowhere:
        canvas = Console(record=True, width=WIDTH, file=nowhere, highlight=False, force_terminal=True)
        view.saved.clear()
        canvas.print(view.draw(env.channel, env.channel.messages))
        svg.parent.mkdir(parents=True, exist_ok=True)
        svg.write_text(without_web_fonts(canvas.export_svg(title="veo-courier in a channel")))


if __name__ == "__main__":
    sys.exit(main())
