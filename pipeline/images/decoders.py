"""A pool of decoding processes with limits on memory and time; processes that die are replaced."""

import asyncio
import json
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.home import ROOT
from pipeline.images.pyramid import Pyramid
from pipeline.images.verify import MINIATURE, Limits, Picture, Rejected


@dataclass(frozen=True)
class Content:
    """Received bytes, in memory or, if there are many, in a file."""

    data: bytes | None
    file: Path | None


class Decoders:
    """An async context manager with `count` worker processes; `verify` gives a picture to a free one."""

    def __init__(self, limits: Limits, *, count: int, timeout_s: float, memory_mb: int) -> None:
        self._first_line = json.dumps({**vars(limits), "memory_mb": memory_mb}).encode() + b"\n"
        self._count = count
        self._timeout_s = timeout_s
        self._free: asyncio.Queue[asyncio.subprocess.Process | None] = asyncio.Queue()
        self._all: set[asyncio.subprocess.Process] = set()

    async def __aenter__(self) -> "Decoders":
        for _ in range(self._count):
            self._free.put_nowait(None)  # started when it is needed
        return self

    async def __aexit__(self, *exception: object) -> None:
        for process in list(self._all):
            await self._end(process)

    async def verify(self, content: Content, *, may_be_placeholder: bool = False) -> Picture:
        """The verified picture; raises Rejected, also if the worker dies or runs out of time or memory."""
        head, made = await self._made("picture", content, may_be_placeholder=may_be_placeholder)
        return Picture(miniature=made[: MINIATURE**2], jpeg=made[MINIATURE**2 :], **head)

    async def pyramid(self, content: Content, *, tile_side: int, most_pixels: int) -> Pyramid:
        """The picture in tiles, scaled down to `most_pixels` if it has more. Raises Rejected as `verify` does."""
        head, archive = await self._made("pyramid", content, tile_side=tile_side, most_pixels=most_pixels)
        return Pyramid(archive=archive, **head)

    async def tile(self, content: Content, *, width: int, height: int) -> bytes:
        """The JPEG of a tile, encoded again. Raises Rejected, `wrong_size` if it is not of this size."""
        return (await self._made("tile", content, width=width, height=height))[1]

    async def _made(self, make: str, content: Content, **options: Any) -> tuple[dict[str, Any], bytes]:
        """What a free worker makes of the content: what it says of it, and the bytes."""
        process = await self._free.get()
        answered = False
        try:
            if process is None:
                process = await self._start()
            async with asyncio.timeout(self._timeout_s):
                made = await _ask(process, content, {"make": make, "options": options})
            answered = True
            return made
        except Rejected:
            answered = True
            raise
        except TimeoutError as error:
            raise Rejected("decode_timeout", f"over {self._timeout_s:g} s") from error
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise Rejected("decoder_died", "the decoding process ended") from error
        finally:
            if process is not None and not answered:
                await self._end(process)
            self._free.put_nowait(process if answered else None)

    async def _start(self) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "pipeline.images.worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        )
        self._all.add(process)
        _streams(process)[0].write(self._first_line)
        return process

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        self._all.discard(process)
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _ask(
    process: asyncio.subprocess.Process, content: Content, wanted: dict[str, Any]
) -> tuple[dict[str, Any], bytes]:
    questions, answers = _streams(process)
    data = content.data or b""
    path = None if content.file is None else str(content.file)
    questions.write(json.dumps({"size": len(data), "path": path} | wanted).encode() + b"\n" + data)
    await questions.drain()
    head = json.loads(await answers.readuntil(b"\n"))
    made = await answers.readexactly(head.pop("size"))
    reason = head.pop("reason")
    if reason is not None:
        raise Rejected(reason)
    return head, made


def _streams(process: asyncio.subprocess.Process) -> tuple[asyncio.StreamWriter, asyncio.StreamReader]:
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("a decoding process was started without its streams")
    return process.stdin, process.stdout
