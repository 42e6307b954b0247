"""Which addresses a record's picture has."""

import polars as pl

from pipeline.images.wanted import thumbnail_urls, wanted_images


def test_the_addresses_of_a_thumbnail():
    preview = (
        "https://api.europeana.eu/thumbnail/v2/url.json"
        "?uri=http%3A%2F%2Fwww.mimo-db.eu%2Fmedia%2FUEDIN%2FIMAGE%2F0032195c.jpg&type=IMAGE"
    )
    # the md5 is the Knowledge Base's own example
    third = "https://api.europeana.eu/thumbnail/v3/400/820911931db3ccb20e1b7a022ee6dd33"
    assert thumbnail_urls(preview) == [third, preview]
    records = pl.DataFrame(
        {
            "record_id": ["/b/1", "/a/1", "/c/1"],
            "image_url": ["http://x.example/b.jpg", None, None],
            "thumbnail_url": [preview, preview, None],
        },
        schema={"record_id": pl.String, "image_url": pl.String, "thumbnail_url": pl.String},
    )
    assert wanted_images(records, "thumbnail").rows() == [("/a/1", 0, third, preview), ("/b/1", 0, third, preview)]
    assert wanted_images(records, "original").rows()[1] == ("/b/1", 0, "http://x.example/b.jpg", third)
