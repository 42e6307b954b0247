"""The pictures of a rehearsal: a few thousand are drawn, and each record's is mixed from two of them."""

import io
from functools import cache, partial
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.sandbox.drawing.photograph import photograph
from pipeline.sandbox.plan import Holding, holdings
from pipeline.sandbox.rendered import each_drawn, write_dated
from tests.rehearsal.plan import SEED, Plan

SIDE, MARGIN = 128, 16
QUALITY, COPY_QUALITY = 85, 60
FILES_A_FOLDER = 1_000
BLOCK = 500  # pictures that a process is given at a time
LOOKS = "looks"


def file_of(number: int) -> str:
    """Where the picture of a record is, below the folder of media."""
    return f"{number // FILES_A_FOLDER:04d}/{number:07d}.jpg"


def draw_pictures(folder: Path, plan: Plan) -> None:
    """All pictures below `folder`; the drawn ones are removed at the end."""
    looks = folder / LOOKS
    looks.mkdir(parents=True)
    things = list(enumerate(holdings(SEED, plan.looks)[: plan.looks]))
    for _ in each_drawn(partial(_draw_look, looks), things):
        pass
    np.save(folder / "looks.npy", np.stack([np.load(looks / f"{number}.npy") for number, _ in things]))
    for start in range(0, plan.everything, FILES_A_FOLDER):
        (folder / file_of(start)).parent.mkdir()
    blocks = [(plan.size, start) for start in range(0, plan.everything, BLOCK)]
    for _ in each_drawn(partial(_write_block, folder), blocks, worth=2, chunk=1):
        pass
    for file in [*looks.iterdir(), folder / "looks.npy"]:
        file.unlink()
    looks.rmdir()


def _draw_look(folder: Path, numbered: tuple[int, Holding]) -> None:
    number, holding = numbered
    side = SIDE + MARGIN
    picture = photograph(holding.thing, holding.provider.style, holding.view, SEED).convert("RGB")
    np.save(folder / f"{number}.npy", np.asarray(picture.resize((side, side), Image.Resampling.BOX)))


@cache
def _plan(size: int) -> Plan:
    return Plan(size)


def _write_block(folder: Path, block: tuple[int, int]) -> None:
    plan, start = _plan(block[0]), block[1]
    looks = np.load(folder / "looks.npy", mmap_mode="r")
    for number in range(start, min(start + BLOCK, plan.everything)):
        if plan.fault[number] != "gone":
            write_dated(folder / file_of(number), picture(plan, looks, number))


def picture(plan: Plan, looks: np.ndarray, number: int) -> bytes:
    """The file of a record as its server gives it, faulty ones as well."""
    fault = plan.fault[number]
    if fault == "page":
        return b"<html><body>This object is being digitised again.</body></html>"
    if fault == "tiny":
        return _jpeg(np.full((8, 8, 3), number % 255, np.uint8), QUALITY)
    like = int(plan.like[number])
    mixed = _mixed(plan, looks, like)
    if like == number or plan.exact[number]:
        content = _jpeg(mixed, QUALITY)
    else:
        edge = number % 6
        content = _jpeg(mixed[edge : SIDE - edge, edge : SIDE - edge], COPY_QUALITY)
    return content[: len(content) // 2] if fault == "cut" else content


def _mixed(plan: Plan, looks: np.ndarray, number: int) -> np.ndarray:
    """uint8 [SIDE, SIDE, 3]: the look of its type, that of its object, and light of its own."""
    of_object = number - int(plan.view[number])
    rng, own = np.random.default_rng([SEED, 11, number]), np.random.default_rng([SEED, 12, of_object])
    first = (int(plan.kind[of_object]) * 31 + int(own.integers(0, 5))) % len(looks)
    second = int(own.integers(0, len(looks)))
    share = own.uniform(0.35, 0.65)
    mixed = share * _crop(looks[first], rng) + (0.8 - share) * _crop(looks[second], rng)
    light = Image.fromarray(own.integers(0, 256, (5, 5, 3), dtype=np.uint8)).resize(
        (SIDE, SIDE), Image.Resampling.BICUBIC
    )
    mixed += np.float32(0.25) * np.asarray(light, np.float32)
    return np.clip(mixed, 0, 255).astype(np.uint8)


def _crop(look: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    down, right = (int(at) for at in rng.integers(0, MARGIN + 1, 2))
    part = look[down : down + SIDE, right : right + SIDE]
    return (part[:, ::-1] if rng.random() < 0.5 else part).astype(np.float32)


def _jpeg(pixels: np.ndarray, quality: int) -> bytes:
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, "JPEG", quality=quality)
    return target.getvalue()
