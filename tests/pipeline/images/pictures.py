"""Pictures for the tests, drawn by code: ordinary, odd and hostile ones."""

import io
import struct
import zipfile
import zlib

import numpy as np
from PIL import Image

from pipeline.images.verify import Limits

LIMITS = Limits(short_side=256, min_short_side=16, jpeg_quality=90, max_pixels=10_000_000)


def drawing(width: int = 60, height: int = 40, seed: int = 0) -> Image.Image:
    """A smooth seeded picture in many colours."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def saved(picture: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    """The picture as a file's bytes."""
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def jpeg(seed: int = 0, width: int = 60, height: int = 40) -> bytes:
    """An ordinary small JPEG."""
    return saved(drawing(width, height, seed), quality=90)


def png_chunk(name: bytes, data: bytes) -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_claiming(width: int, height: int, rows: int = 0) -> bytes:
    """A PNG of the claimed size, grey, with so many rows of pixels really in it."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    pixels = png_chunk(b"IDAT", zlib.compress(b"\0" * (width + 1) * rows, 9))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + png_chunk(b"IEND", b"")


def archive() -> bytes:
    """A small ZIP."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("payload.txt", "hello")
    return out.getvalue()


def rotated() -> bytes:
    """A wide picture whose EXIF says: turn it by 90 degrees; GPS and a comment come along."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x9286] = b"where I live"
    return saved(drawing(60, 40), exif=exif, comment=b"secret")


def grey16(kind: str) -> bytes:
    """A 16-bit grey ramp."""
    ramp = np.linspace(0, 65_535, 48 * 40).reshape(40, 48).astype(np.uint16)
    return saved(Image.fromarray(ramp), kind)


def frames(kind: str) -> bytes:
    """Two frames or pages: the first a drawing, the second black."""
    second = Image.new("RGB", (60, 40))
    options = {"compression": "tiff_deflate"} if kind == "TIFF" else {"duration": 100, "loop": 0}
    return saved(drawing(), kind, save_all=True, append_images=[second], **options)


def transparent() -> bytes:
    """A drawing on nothing: half of it is see-through over black."""
    layer = drawing().convert("RGBA")
    layer.paste((0, 0, 0, 0), (30, 0, 60, 40))
    return saved(layer, "PNG")


ACCEPTED = {
    "jpeg": (jpeg(), (60, 40)),
    "grey jpeg": (saved(drawing().convert("L")), (60, 40)),
    "progressive jpeg": (saved(drawing(), progressive=True), (60, 40)),
    "cmyk jpeg": (saved(drawing().convert("CMYK")), (60, 40)),
    "turned by exif": (rotated(), (40, 60)),
    "png": (saved(drawing(), "PNG"), (60, 40)),
    "png with a palette": (saved(drawing().quantize(16), "PNG"), (60, 40)),
    "png with alpha": (transparent(), (60, 40)),
    "png of one bit": (saved(drawing().convert("1"), "PNG"), (60, 40)),
    "png of 16 bits": (grey16("PNG"), (48, 40)),
    "tiff": (saved(drawing(), "TIFF"), (60, 40)),
    "tiff of 16 bits": (grey16("TIFF"), (48, 40)),
    "tiff in cmyk": (saved(drawing().convert("CMYK"), "TIFF"), (60, 40)),
    "tiff of several pages": (frames("TIFF"), (60, 40)),
    "webp": (saved(drawing(), "WEBP"), (60, 40)),
    "animated webp": (frames("WEBP"), (60, 40)),
    "gif": (saved(drawing(), "GIF"), (60, 40)),
    "animated gif": (frames("GIF"), (60, 40)),
    "jpeg with trailing zeros": (jpeg() + b"\0" * 100, (60, 40)),
    "large, short side 256": (jpeg(0, 900, 600), (384, 256)),
    "large and tall": (saved(drawing(300, 1200), "PNG"), (256, 1024)),
}

REJECTED = {
    "zero bytes": (b"", "empty"),
    "html": (b"<!DOCTYPE html><html><body>Not found</body></html>", "html"),
    "html after blank lines": (b"\n\n  <html></html>", "html"),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', "svg"),
    "svg after a declaration": (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "svg"),
    "xml": (b'<?xml version="1.0"?><error>gone</error>', "xml"),
    "json": (b'{"error": "gone"}', "json"),
    "pdf": (b"%PDF-1.7\n", "pdf"),
    "zip": (archive(), "archive"),
    "bmp": (saved(drawing(), "BMP"), "unsupported_format"),
    "jpeg 2000": (b"\x00\x00\x00\x0cjP  \r\n\x87\n" + bytes(50), "unsupported_format"),
    "avif": (b"\x00\x00\x00\x1cftypavif" + bytes(50), "unsupported_format"),
    "noise": (bytes(range(1, 200)), "not_an_image"),
    "half a jpeg": (jpeg(0, 600, 400)[:3000], "truncated"),
    "half a png": (saved(drawing(600, 400), "PNG")[:3000], "truncated"),
    "only a jpeg's magic": (b"\xff\xd8\xff\xe0", "broken_header"),
    "only a gif's magic": (b"GIF89a", "broken_header"),
    "only a webp's magic": (b"RIFF\x10\x00\x00\x00WEBPVP8 ", "broken_header"),
    "tiff pointing nowhere": (b"II*\x00\xff\xff\xff\x7f", "broken_header"),
    "a png of 900 million pixels": (png_claiming(30_000, 30_000), "too_many_pixels"),
    "a png just over the limit": (png_claiming(10_001, 1_000), "too_many_pixels"),
    "a png without its pixels": (png_claiming(100, 100), "truncated"),
    "a counting pixel": (saved(Image.new("RGB", (1, 1)), "GIF"), "too_small"),
    "a line": (png_claiming(5_000, 3), "too_small"),
    "a jpeg and a zip": (jpeg() + archive(), "polyglot"),
    "a jpeg and a page": (jpeg() + b"<script>alert(1)</script>", "polyglot"),
    "a gif and a script": (saved(drawing(), "GIF") + b"/*<?php system($_GET[0]);*/", "polyglot"),
    "a jpeg with a page in its comment": (saved(drawing(), comment=b"<html><script>"), "polyglot"),
    "a jpeg and a pdf": (saved(drawing(), comment=b"%PDF-1.4"), "polyglot"),
    "one colour": (saved(Image.new("RGB", (60, 40), "beige")), "flat"),
}
