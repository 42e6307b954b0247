"""The URLs of every record's image: the `wanted` table that fetching starts from."""

import hashlib
from typing import Literal
from urllib.parse import parse_qs, urlsplit

import polars as pl

ImageSource = Literal["thumbnail", "original"]
WANTED = pl.Schema({"record_id": pl.String, "view": pl.Int16, "url": pl.String, "fallback_url": pl.String})
THUMBNAIL_HOST = "https://api.europeana.eu"


def wanted_images(records: pl.DataFrame, image_source: ImageSource) -> pl.DataFrame:
    """One row per record with an image: columns record_id, view, url, fallback_url (or null), sorted by record.

    `thumbnail` uses the Thumbnail API, version 3 first, because it answers 404 where version 2 sends an icon;
    `original` uses the provider's edm:isShownBy and falls back to the thumbnail.
    """
    rows = []
    for record_id, image_url, thumbnail_url in records.select("record_id", "image_url", "thumbnail_url").iter_rows():
        thumbnails = thumbnail_urls(thumbnail_url) if thumbnail_url else []
        urls = [image_url, *thumbnails[:1]] if image_source == "original" else thumbnails
        urls = [url for url in urls if url]
        if urls:
            rows.append((record_id, 0, urls[0], urls[1] if len(urls) > 1 else None))
    return pl.DataFrame(rows, schema=WANTED, orient="row").sort("record_id", "view")


def thumbnail_urls(preview: str) -> list[str]:
    """The version 3 and version 2 URLs behind an edm:preview, or the given URL if it is no thumbnail.

    Version 3 URLs contain the md5 of the exact original URL (Knowledge Base, "Thumbnail API").
    """
    source = source_of_thumbnail(preview)
    if source is None:
        return [preview]
    digest = hashlib.md5(source.encode(), usedforsecurity=False).hexdigest()
    return [f"{THUMBNAIL_HOST}/thumbnail/v3/400/{digest}", preview]


def source_of_thumbnail(preview: str) -> str | None:
    """The address of the picture that a thumbnail's URL is of (`uri=`); None where it names none."""
    try:
        parts = urlsplit(preview)
    except ValueError:
        return None
    uri = parse_qs(parts.query).get("uri")
    return uri[0] if "/thumbnail" in parts.path and uri else None


def may_answer_with_icon(url: str) -> bool:
    """Whether the URL belongs to version 2 of the Thumbnail API, which sends an icon for a missing picture."""
    path = urlsplit(url).path
    return "/thumbnail/v2/" in path or path.endswith("/thumbnail-by-url.json")
