"""Answers of servers through the fetching of images: state and sha256 in `fetches`."""

from pathlib import Path

import polars as pl
import pytest

from pipeline.images.fetch import fetch_images
from pipeline.images.wanted import WANTED
from pipeline.settings import HttpSettings, ImageSettings
from pipeline.tables import FETCHES
from tests.cases.reading import Case
from tests.pipeline.images.raw import RawProvider, response, serving

KINDS = ("http-answers",)


def as_told(case: Case, target: str):
    """The first answer of the case whose target and cookie fit."""
    answers = [each for each in case.given["answers"] if each["target"] == target]

    def answer(headers: dict[str, str], before: int) -> bytes:
        sent = headers.get("cookie", "").split("; ")
        told = next(each for each in answers if each.get("cookie") is None or each["cookie"] in sent)
        body = case.read(told["body"]) if told["body"] else b""
        return response(body, *map(tuple, told["headers"]), status=f"{told['status']} Told")

    return answer


@pytest.mark.shared
def test_http_answers(case: Case, folder: Path):
    with serving(RawProvider()) as provider:
        provider.answers = {each["target"]: as_told(case, each["target"]) for each in case.given["answers"]}
        wanted = pl.DataFrame([("/a/1", 0, case.given["url"], None)], schema=WANTED, orient="row")
        images = ImageSettings(allowed_addresses=("127.0.0.0/8",), attempts=2)
        http = HttpSettings(hosts={"*": provider.address}, backoff_first_s=0.01, backoff_cap_s=0.1)
        fetch_images(wanted, folder, images, http)
    (row,) = FETCHES.read(folder / "fetches.parquet").iter_rows(named=True)
    assert row["state"] == case.right["state"], row["reason"]
    assert row["content_sha256"] == case.right.get("sha256")
