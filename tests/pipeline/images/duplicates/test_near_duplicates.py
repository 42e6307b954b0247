"""Which images stay together, and which do not."""

import io
import random
from functools import cache

import numpy as np
import polars as pl
import pytest
from PIL import Image

from benchmarks.near_duplicates import KINDS, colour, crop
from pipeline.images.duplicates import near_duplicates, nearest
from pipeline.images.duplicates.alignment import align
from pipeline.images.duplicates.near_duplicates import group_images, large_groups, near_duplicate_pairs
from pipeline.images.duplicates.page import duplicate_pairs_page
from pipeline.images.verify import difference_hash, miniature
from pipeline.settings import ImageSettings
from pipeline.tables import IMAGES
from tests.pipeline.images.pictures import saved

SETTINGS = ImageSettings()
ALIKE = SETTINGS.near_duplicate_candidates + 5  # more than are compared with one image


def picture(seed: int) -> Image.Image:
    """A seeded picture with large and small shapes, 240 x 180 px."""
    return drawn_once(seed).copy()


@cache
def drawn_once(seed: int) -> Image.Image:
    noise = np.random.default_rng(seed)
    layers = [
        np.asarray(
            Image.fromarray(noise.integers(0, 256, (size, size, 3), dtype=np.uint8)).resize(
                (240, 180), Image.Resampling.BICUBIC
            ),
            dtype=np.float32,
        )
        for size in (4, 9, 20)
    ]
    return Image.fromarray((layers[0] * 0.5 + layers[1] * 0.3 + layers[2] * 0.2).astype(np.uint8))


def row(record_id: str, image: Image.Image, *, image_id: str = "", view: int = 0) -> dict:
    return {
        "record_id": record_id,
        "view": view,
        "image_id": image_id or f"id of {record_id}#{view}",
        "perceptual_hash": difference_hash(image),
        "miniature": miniature(image),
        "image": image,
    }


def embedding(image: Image.Image) -> np.ndarray:
    """A stand-in for a network: the picture at 12 x 12 px, without its colour cast."""
    small = np.asarray(image.resize((12, 12)), np.float32)
    return (small - small.mean(axis=(0, 1))).ravel()


def grouped(rows: list[dict], seed: int = 0, vectors=None, pictures=None) -> dict[str, tuple[str, str]]:
    """name -> (group, reason); `vectors` are the embeddings by image_id, `pictures` where the bytes come from."""
    shuffled = random.Random(seed).sample(rows, len(rows))
    embedded = vectors or {item["image_id"]: embedding(item["image"]) for item in rows}
    features = pl.DataFrame(
        {"image_id": list(embedded), "vector": [vector.astype(np.float32).tolist() for vector in embedded.values()]}
    ).with_columns(pl.col("vector").list.to_array(len(next(iter(embedded.values())))))
    images = pl.DataFrame(
        [{name: value for name, value in item.items() if name != "image"} for item in shuffled],
        schema_overrides={"perceptual_hash": pl.UInt64},
    )
    bytes_of = {item["image_id"]: saved(item["image"]) for item in rows}
    pictures = pictures or (lambda wanted: [(image_id, bytes_of[image_id]) for image_id in wanted])
    half = len(features) // 2  # as shards, which may have an image twice
    groups = group_images(images, [features[:half], features[:1], features[half:]], pictures, SETTINGS)
    return {
        f"{record}#{view}": (group, reason)
        for record, view, group, reason in groups.select("record_id", "view", "group_id", "reason").iter_rows()
    }


def test_a_copy_joins_its_original_and_nothing_else_does():
    rows = [row(f"/m/{n}", picture(n)) for n in range(30)]
    copy = saved_again(picture(3).resize((120, 90)), quality=40)
    groups = grouped([*rows, row("/z/copy", copy)])
    assert groups["/z/copy#0"] == groups["/m/3#0"] == ("/m/3#0", "near_duplicate")
    assert all(groups[f"/m/{n}#0"] == (f"/m/{n}#0", "alone") for n in range(30) if n != 3)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_copy_is_found(kind: str):
    draw = random.Random(kind)
    rows = [row(f"/m/{n:02d}", picture(n)) for n in range(40)]
    copies = [row(f"/z/{n:02d}", KINDS[kind](picture(n), draw)) for n in range(40)]
    groups = grouped(rows + copies)
    found = [groups[f"/z/{n:02d}#0"][0] == f"/m/{n:02d}#0" for n in range(40)]
    assert sum(found) >= 38


@pytest.mark.parametrize("block", [7, 512])
def test_more_equal_vectors_than_are_compared_give_the_same_groups_in_any_order(monkeypatch, block: int):
    monkeypatch.setattr(nearest, "BLOCK", block)
    alike = [row(f"/m/{n:02d}", saved_again(picture(1), quality=40 + n)) for n in range(ALIKE)]
    rows = [*alike, *(row(f"/o/{n:02d}", picture(n)) for n in range(2, 30))]
    vectors = {item["image_id"]: embedding(rows[0]["image"] if item in alike else item["image"]) for item in rows}
    groups = grouped(rows, vectors=vectors)
    assert groups == grouped(rows, seed=1, vectors=vectors)
    assert {groups[f"/m/{n:02d}#0"] for n in range(ALIKE)} == {("/m/00#0", "near_duplicate")}


def saved_again(image: Image.Image, quality: int) -> Image.Image:
    return Image.open(io.BytesIO(saved(image, quality=quality)))


def test_views_of_a_record_and_equal_bytes_join_without_likeness():
    rows = [
        row("/m/1", picture(1)),
        row("/m/1", picture(2), view=1),
        row("/m/2", picture(3), image_id="same"),
        row("/m/3", picture(3), image_id="same"),
        row("/m/4", picture(4)),
    ]
    assert grouped(rows) == {
        "/m/1#0": ("/m/1#0", "same_record"),
        "/m/1#1": ("/m/1#0", "same_record"),
        "/m/2#0": ("/m/2#0", "same_bytes"),
        "/m/3#0": ("/m/2#0", "same_bytes"),
        "/m/4#0": ("/m/4#0", "alone"),
    }


def test_links_chain_and_the_group_is_named_by_its_smallest_member():
    rows = [
        row("/m/2", picture(1)),
        row("/m/2", picture(2), view=1),
        row("/a/9", picture(2), image_id="b"),
        row("/m/7", picture(3), image_id="c"),
        row("/z/1", picture(3), image_id="c"),
    ]
    groups = grouped(rows)
    assert {groups[name][0] for name in ("/m/2#0", "/m/2#1", "/a/9#0")} == {"/a/9#0"}
    assert {groups[name][0] for name in ("/m/7#0", "/z/1#0")} == {"/m/7#0"}


def test_both_must_agree():
    alike = [row(f"/m/{n:03d}", picture(n)) for n in range(150)] + [row("/z/1", picture(3).resize((120, 90)))]
    noise = np.random.default_rng(0)
    vectors = {item["image_id"]: noise.normal(size=32) for item in alike}
    vectors["id of /z/1#0"] = -vectors["id of /m/003#0"]  # the embedding says: opposite
    assert grouped(alike, vectors=vectors)["/z/1#0"] == ("/z/1#0", "alone")
    same = {item["image_id"]: np.ones(32) + 0.001 * noise.normal(size=32) for item in alike}
    same["id of /m/005#0"] = same["id of /m/006#0"]  # the embedding says: the same; the pictures differ
    assert grouped(alike, vectors=same)["/m/005#0"][1] == "alone"


def test_groups_do_not_depend_on_the_order_of_rows():
    draw = random.Random(1)
    rows = [row(f"/m/{n:02d}", picture(n)) for n in range(20)]
    rows += [row(f"/z/{n:02d}", crop(colour(picture(n), draw), draw)) for n in range(0, 20, 2)]
    assert grouped(rows, seed=1) == grouped(rows, seed=2) == grouped(rows, seed=3)


def test_no_images_and_one_image():
    assert grouped([row("/m/1", picture(1))]) == {"/m/1#0": ("/m/1#0", "alone")}
    images = IMAGES.empty().select("record_id", "view", "image_id", "perceptual_hash", "miniature")
    features = pl.DataFrame(
        {"image_id": [], "vector": []}, schema={"image_id": pl.String, "vector": pl.Array(pl.Float32, 4)}
    )
    assert group_images(images, [features], dict, SETTINGS).is_empty()
    assert near_duplicate_pairs(images, [features], dict, SETTINGS).is_empty()


@pytest.mark.parametrize("block", [1, 2, 100])
def test_the_first_vector_of_an_image_counts_and_images_without_one_have_no_row(monkeypatch, block: int):
    monkeypatch.setattr(near_duplicates, "BLOCK", block)
    drawn = np.random.default_rng(1).standard_normal((6, 3)).astype(np.float32)
    frames = [
        pl.DataFrame({"image_id": names, "vector": pl.Series(drawn[rows])})
        for names, rows in ((["f", "x"], [0, 1]), (["c", "f", "c"], [2, 3, 4]), (["a"], [5]))
    ]
    vectors, described = near_duplicates._unit_vectors(pl.Series(list("abcdef")), frames)
    assert described.tolist() == [True, False, True, False, False, True]
    expected = drawn[[5, 2, 0]]
    np.testing.assert_allclose(vectors, expected / np.linalg.norm(expected, axis=1, keepdims=True), rtol=1e-6)


def test_likeness_is_one_for_the_same_picture_and_low_for_another():
    stack = np.stack([np.frombuffer(miniature(picture(n)), np.uint8) for n in (1, 1, 2)])
    (same, other), _, _ = align(stack, np.array([[0, 1], [0, 2]]), 0.75)
    assert same == pytest.approx(1.0)
    assert other < 0.6


def test_a_large_group_is_reported():
    groups = pl.DataFrame({"group_id": ["a"] * 21 + ["b"] * 20 + ["c"] * 30})
    assert large_groups(groups, SETTINGS).rows() == [("c", 30), ("a", 21)]


def test_the_page_shows_groups_and_escapes_what_it_shows(tmp_path):
    rows = [row("/m/<script>", picture(1), image_id="a"), row("/m/2", picture(2), image_id="b")]
    table = [
        {
            **{name: item[name] for name in ("record_id", "view", "image_id", "perceptual_hash", "miniature")},
            "image": {"bytes": saved(item["image"]), "path": "x.jpg"},
        }
        for item in rows
    ]
    IMAGES.write(IMAGES.frame(table), tmp_path / "images" / "part-00000.parquet")
    groups = pl.DataFrame(
        {
            "record_id": ["/m/<script>", "/m/2"],
            "view": [0, 0],
            "group_id": ["/m/2#0", "/m/2#0"],
            "reason": ["near_duplicate", "near_duplicate"],
        }
    )
    duplicate_pairs_page(groups, tmp_path / "images", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 2
    assert "<script>" not in page
    assert "http" not in page.replace("Content-Security-Policy", "").replace("http-equiv", "")
