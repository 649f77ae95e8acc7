"""Draws the two films beside this file: a harbour at dawn, in landscape and in portrait.

Run it with `python sandbox/video_api/clips/make.py`. Chromium draws each frame with harbour.glsl, and FFmpeg
encodes the frames and adds the sound of the sea. It takes about fifteen minutes on two cores.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import importlib
import shutil
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from playwright.async_api import async_playwright

if TYPE_CHECKING:
    from playwright.async_api import Page

FOLDER = Path(__file__).parent
SECONDS, RATE = 8, 24
# x264's constant rate factor: a lower one is a better picture and a larger file.
QUALITY = 27
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# WebGL in software, because a container has no graphics card.
_FLAGS = ("--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")


class Film(NamedTuple):
    """A film's name, its size in pixels, and the height of its horizon, from 0 at the lower edge to 1."""

    name: str
    width: int
    height: int
    horizon: float


FILMS = (Film("veo.mp4", 1280, 720, 0.42), Film("veo-portrait.mp4", 720, 1280, 0.40))

_PREPARE = """([source, width, height, horizon]) => {
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width, height });
    const gl = canvas.getContext("webgl", { preserveDrawingBuffer: true, antialias: false });
    const compiled = (kind, text) => {
        const shader = gl.createShader(kind);
        gl.shaderSource(shader, text);
        gl.compileShader(shader);
        if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
        return shader;
    };
    const program = gl.createProgram();
    const corner = "attribute vec2 corner; void main() { gl_Position = vec4(corner, 0.0, 1.0); }";
    gl.attachShader(program, compiled(gl.VERTEX_SHADER, corner));
    gl.attachShader(program, compiled(gl.FRAGMENT_SHADER, source));
    gl.linkProgram(program);
    gl.useProgram(program);
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ARRAY_BUFFER, new Float32Array([-1, -1, 3, -1, -1, 3]), gl.STATIC_DRAW);
    gl.enableVertexAttribArray(0);
    gl.bindAttribLocation(program, 0, "corner");
    gl.vertexAttribPointer(gl.getAttribLocation(program, "corner"), 2, gl.FLOAT, false, 0, 0);
    const uniform = (name) => gl.getUniformLocation(program, name);
    gl.uniform2f(uniform("size"), width, height);
    gl.uniform1f(uniform("height"), horizon);
    window.draw = (time) => {
        gl.uniform1f(uniform("time"), time);
        gl.drawArrays(gl.TRIANGLES, 0, 3);
        return canvas.toDataURL("image/png").split(",")[1];
    };
}"""


async def draw(film: Film, page: Page) -> None:
    """Draw all frames of a film into FFmpeg."""
    await _prepare(film, page)
    encoder = await asyncio.create_subprocess_exec(*_command(film), stdin=PIPE)
    assert encoder.stdin is not None
    for number in range(SECONDS * RATE):
        encoder.stdin.write(await _frame(page, number / RATE))
        await encoder.stdin.drain()
    encoder.stdin.close()
    if await encoder.wait() != 0:
        raise RuntimeError(f"FFmpeg could not make {film.name}")


async def _prepare(film: Film, page: Page) -> None:
    source = (FOLDER / "harbour.glsl").read_text(encoding="utf-8")
    await page.evaluate(_PREPARE, [source, film.width, film.height, film.horizon])


async def _frame(page: Page, second: float) -> bytes:
    return base64.b64decode(await page.evaluate("(second) => window.draw(second)", second))


def _command(film: Film) -> list[str]:
    """FFmpeg with the frames as its input, and brown noise that swells like waves as the sound."""
    waves = "volume='0.32+0.22*sin(2*PI*t/5.3)+0.1*sin(2*PI*t/3.1+1)':eval=frame"
    sea = f"anoisesrc=color=brown:sample_rate=48000:duration={SECONDS}:seed=7,lowpass=f=900,{waves}"
    return [
        *(_ffmpeg(), "-y", "-loglevel", "error"),
        *("-f", "image2pipe", "-framerate", str(RATE), "-i", "-"),
        *("-f", "lavfi", "-i", f"{sea},afade=t=in:d=0.6,afade=t=out:st={SECONDS - 1}:d=1"),
        *("-c:v", "libx264", "-preset", "veryslow", "-crf", str(QUALITY), "-tune", "animation"),
        *("-pix_fmt", "yuv420p", "-profile:v", "high", "-x264-params", "aq-mode=3"),
        *("-c:a", "aac", "-b:a", "64k", "-shortest", "-movflags", "+faststart"),
        *("-map_metadata", "-1", "-fflags", "+bitexact", "-flags:v", "+bitexact", "-flags:a", "+bitexact"),
        str(FOLDER / film.name),
    ]


def _ffmpeg() -> str:
    """The program in the wheel of imageio-ffmpeg, so that its version is the pinned one."""
    return str(importlib.import_module("imageio_ffmpeg").get_ffmpeg_exe())


async def _main(second: float | None, still: Path) -> None:
    browser_path = next(path for name in _BROWSERS if (path := shutil.which(name)))
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=browser_path, args=_FLAGS)
        for film in FILMS:
            page = await browser.new_page()
            if second is None:
                await draw(film, page)
            else:
                await _prepare(film, page)
                (still / f"{Path(film.name).stem}.png").write_bytes(await _frame(page, second))
            await page.close()
        await browser.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--second", type=float, help="draw only the frame at this second, as a PNG")
    parser.add_argument("--still", type=Path, default=Path.cwd(), help="the folder for that PNG")
    options = parser.parse_args()
    asyncio.run(_main(options.second, options.still))
