"""A IIIF image service on loopback that stands for those of other museums; each picture has its own way to lie."""

import io
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from PIL import Image
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ml.assistant.limits import AssistantLimits
from ml.assistant.remote_images import RemoteImages
from pipeline.settings import HarvestSettings, HttpSettings, ImageSettings

SIZES = {"scroll": (20_000, 1_600), "wall": (30_000, 30_000)}  # px; every other picture has the size of `scroll`
TILES = [{"width": 512, "scaleFactors": [1, 2, 4, 8, 16, 32]}]


class ImageServer:
    """Pictures that get redder from left to right.

    `asked` lists the regions that were requested, `described` counts the descriptions, each given after `pause_s`.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.described, self.pause_s = 0, 0.0
        self.app = Starlette(
            routes=[Route("/iiif/{name}/info.json", self.info), Route("/iiif/{name}/{request:path}", self.image)]
        )

    def info(self, request: Request) -> Response:
        """The description; `shapeless` says another size than it has, `mute` says nothing, `static` is of level 0."""
        name = request.path_params["name"]
        self.described += 1
        time.sleep(self.pause_s)
        if name == "mute":
            return JSONResponse({"error": "gone"}, 404)
        width, height = (9_000, 9_000) if name == "shapeless" else SIZES.get(name, SIZES["scroll"])
        level = 0 if name == "static" else 2
        described = {"type": "ImageService3", "protocol": "http://iiif.io/api/image", "profile": f"level{level}"}
        return JSONResponse({**described, "width": width, "height": height, "tiles": TILES})

    def image(self, request: Request) -> Response:
        """A region; for tiles, `liar` sends another size, `page` sends pages, `flood` sends too many bytes."""
        name, asked = request.path_params["name"], request.path_params["request"]
        width, height = SIZES.get(name, SIZES["scroll"])
        region, size = re.fullmatch(r"(full|[\d,]+)/(max|\d+,\d*)/0/default\.jpg", asked).groups()
        self.asked.append(region)
        left, _, across, down = (0, 0, width, height) if region == "full" else map(int, region.split(","))
        wide = across if size == "max" else int(size.split(",")[0])
        high = max(1, -(-down * wide // across))
        if region != "full" and name in ("liar", "page", "flood"):
            wrong = {"liar": red(0, 300, 200), "page": b"<html>sign in</html>", "flood": b"\xff\xd8\xff" * 2_000_000}
            return Response(wrong[name], media_type="image/jpeg")
        return Response(red(left / width, wide, high, across / width), media_type="image/jpeg")


def red(start: float, width: int, height: int, share: float = 1.0) -> bytes:
    """A picture whose red rises from `start` by `share` of the whole range, and whose green alternates by columns."""
    ramp = Image.linear_gradient("L").rotate(90).resize((width, height))
    picture = Image.merge(
        "RGB", [ramp.point(lambda value: int(255 * start + value * share)), ramp, Image.new("L", (width, height), 90)]
    )
    out = io.BytesIO()
    picture.save(out, "JPEG")
    return out.getvalue()


@contextmanager
def other_museums(folder: Path) -> Iterator[tuple[ImageServer, RemoteImages]]:
    """The image server, and the way to it for the assistant: every host name leads there."""
    museum = ImageServer()
    server = uvicorn.Server(uvicorn.Config(museum.app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server has ended"
        time.sleep(0.02)
    http = HttpSettings(hosts={"*": f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"})
    images = ImageSettings(allowed_addresses=("127.0.0.0/8",))
    limits = AssistantLimits()
    yield museum, RemoteImages(folder / "in", limits=limits, images=images, http=http, harvest=HarvestSettings())
    server.should_exit = True
    thread.join()
