"""What is sent to harm is refused with a reason, and the assistant goes on."""

import io
import json
import random
import re
import struct
import time
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import httpx
from PIL import Image

import ml.assistant
from ml.assistant.limits import AssistantLimits
from tests.ml.assistant.conftest import served
from tests.pipeline.images.pictures import ACCEPTED, REJECTED

PIXELS = Image.effect_noise((64, 64), 80).convert("RGB")


def saved(kind: str, **options) -> bytes:
    out = io.BytesIO()
    PIXELS.save(out, kind, **options)
    return out.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, *chunks: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IEND", b"")


def archive() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr("a.txt", "a")
    return out.getvalue()


HOSTILE = {
    "bomb by its header": (png(60_000, 60_000, chunk(b"IDAT", zlib.compress(b"\0" * 1000))), 413),
    "bomb by its text": (png(64, 64, chunk(b"zTXt", b"a\0\0" + zlib.compress(b"\0" * 90_000_000))), 422),
    "too few pixels for its header": (png(500, 500, chunk(b"IDAT", zlib.compress(b"\0" * 10))), 422),
    "cut in half": (saved("JPEG")[:900], 422),
    "a page behind a picture": (saved("JPEG") + b"<script>alert(1)</script>", 415),
    "an archive behind a picture": (saved("PNG") + archive(), 415),
    "a drawing with a script": (b"<?xml version='1.0'?><svg onload='alert(1)'/>", 415),
    "a page": (b"<!doctype html><script>alert(1)</script>", 415),
    "a program": (b"\x7fELF" + bytes(5_000), 415),
    "a Windows bitmap": (saved("BMP"), 415),
    "nothing but its magic": (b"\xff\xd8\xff", 422),
    "noise": (random.Random(1).randbytes(100_000), 415),
    "noise that says it is a TIFF": (b"II*\x00" + random.Random(2).randbytes(50_000), 422),
    "noise that says it is a WebP": (b"RIFF\x00\x10\x00\x00WEBP" + random.Random(3).randbytes(4_096), 422),
    "a counting pixel": (png(1, 1, chunk(b"IDAT", zlib.compress(b"\0" * 4))), 422),
}


def test_hostile_uploads_are_refused_with_a_reason_and_the_desk_goes_on(client, drawn_vase):
    for name, (data, status) in HOSTILE.items():
        for address in ("/api/images?who=anna", "/api/suggest"):
            answer = client.post(address, content=data, headers={"content-type": "image/jpeg"})
            assert answer.status_code == status, (name, answer.text)
            assert answer.json()["message"], name
    assert client.get("/api/queue").json()["progress"]["all"] == 0
    assert client.post("/api/images?who=anna", content=drawn_vase()).status_code == 201


def test_the_image_stages_corpus_is_refused_and_taken_here_too(client):
    for name, (data, _) in REJECTED.items():
        answer = client.post("/api/images?who=anna", content=data, headers={"content-type": "image/jpeg"})
        assert answer.status_code in (400, 413, 415, 422), (name, answer.text)
        assert answer.json()["message"].endswith("."), name
        assert "Traceback" not in answer.text
    assert client.get("/api/queue").json()["progress"]["all"] == 0
    for name, (data, _) in ACCEPTED.items():
        assert client.post("/api/images?who=anna", content=data).status_code == 201, name


def test_the_page_has_words_for_every_reason_of_refusal():
    page = Path(ml.assistant.__file__).parent / "page"
    words = json.loads((page / "i18n" / "en.json").read_text())
    code = (page / "adding.js").read_text()
    listed = set(re.findall(r'"(\w+)"', "".join(re.findall(r"^const [A-Z]+ = \[.*\];", code, re.MULTILINE))))
    for reason in {reason for _, reason in REJECTED.values()}:
        assert reason in listed or f"error.{reason}" in words, reason


def test_what_a_picture_says_about_its_owner_is_not_kept(client):
    exif = Image.Exif()
    exif[0x010F] = "Secret Camera"
    exif.get_ifd(0x8825)[1] = "N"
    data = saved("JPEG", exif=exif)
    assert b"Secret Camera" in data
    image_id = client.post("/api/images?who=anna", content=data).json()["image"]["image_id"]
    for kind in ("picture", "thumbnail"):
        assert b"Secret" not in client.get(f"/api/images/{image_id}/{kind}").content


def hundred_megapixels() -> bytes:
    """A PNG of 124 KB that takes a decoder most of a second."""
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(b"\0" + bytes([row % 256]) * 10_000) for row in range(10_000)) + packer.flush()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 10_000, 10_000, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_where_others_fill_the_decoders_an_honest_upload_is_told_soon(service, drawn_vase):
    service.limits = AssistantLimits(decoders=1, decoder_patience_s=0.2)
    large, page = hundred_megapixels(), {"x-assistant": "1"}
    with served(service) as address, ThreadPoolExecutor(4) as pool:
        attack = [pool.submit(httpx.post, f"{address}/api/suggest", content=large, timeout=60) for _ in range(4)]
        deadline = time.monotonic() + 30
        while httpx.get(f"{address}/api/status").json()["in_work"]["decoders"] < 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        began = time.monotonic()
        told = httpx.post(f"{address}/api/images?who=x", content=drawn_vase(), headers=page, timeout=60)
        took = time.monotonic() - began
        assert (told.status_code, told.json()["error"]) == (503, "busy")
        assert told.json()["message"] == "Other pictures are being read. Try again in a moment."
        assert int(told.headers["retry-after"]) > 0
        assert took < 2
        wait(attack)
        again = httpx.post(f"{address}/api/images?who=x", content=drawn_vase(), headers=page, timeout=60)
        assert again.status_code == 201
        assert {each.result().status_code for each in attack} <= {200, 422, 503}


def test_no_more_uploads_wait_than_the_limit(service, drawn_vase):
    service.limits = AssistantLimits(waiting_for_decoder=0)
    with served(service) as address:
        answer = httpx.post(f"{address}/api/suggest", content=drawn_vase())
    assert (answer.status_code, answer.json()["error"]) == (503, "busy")


def test_the_five_kinds_are_taken(client):
    for kind in ("JPEG", "PNG", "WEBP", "TIFF", "GIF"):
        assert client.post("/api/images?who=anna", content=saved(kind)).status_code == 201, kind
