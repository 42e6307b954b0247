"""The choice of the outer providers, from features to published rows."""

import numpy as np
import polars as pl
import pytest

from pipeline.settings import SplitSettings
from pipeline.splits.frechet import DistanceError
from pipeline.splits.outer import choose, chosen_before, mark_eligible, provider_distances
from pipeline.tables import PROVIDER_DISTANCES, features_table

RULES = SplitSettings(kid_subset=60, bootstrap=5)


def sizes(rows: list[tuple[str, float, float]]) -> pl.DataFrame:
    """Providers with share and entropy."""
    return pl.DataFrame(rows, schema=["data_provider", "share", "entropy"], orient="row")


def museum(extractors: tuple[str, ...] = ("inception",)) -> tuple[pl.DataFrame, ...]:
    """Features, images, records, tags of 6 providers: `far` and `opposite` stand apart, `stamps` has one type only."""
    counts = {"big": 500, "far": 40, "opposite": 35, "stamps": 45, "near": 40, "tiny": 3}
    shifts = {"far": 3.0, "opposite": -1.0, "stamps": 9.0, "tiny": 5.0}
    rng = np.random.default_rng(4)
    records, images, tags, vectors = [], [], [], []
    for provider, count in counts.items():
        for number in range(count):
            record = f"/{provider}/{number}"
            records.append((record, provider))
            images.append((record, 0, f"{provider}-{number}"))
            tags.append((record, "object_types", "stamp" if provider == "stamps" else f"type{number % 4}", True))
            vectors.append(rng.standard_normal(12) + shifts.get(provider, 0.0))
    ids = [image for _, _, image in images]
    matrix = np.array(vectors).astype(np.float16)
    features = pl.concat(
        [pl.DataFrame({"image_id": ids, "extractor": name, "vector": pl.Series(matrix)}) for name in extractors]
    )
    return (
        features,
        pl.DataFrame(images, schema=["record_id", "view", "image_id"], orient="row"),
        pl.DataFrame(records, schema=["record_id", "data_provider"], orient="row"),
        pl.DataFrame(tags, schema=["record_id", "facet", "tag_id", "stated"], orient="row"),
    )


def of(table: pl.DataFrame, provider: str) -> dict[str, object]:
    return table.filter(pl.col("data_provider") == provider).row(0, named=True)


RANGE = RULES.model_copy(update={"outer_max_share": 0.08})


def test_the_first_is_the_farthest_of_those_in_range_and_diverse_and_the_second_the_farthest_from_it():
    table = provider_distances(*museum(), RANGE)
    PROVIDER_DISTANCES.conform(table)
    assert dict(table.filter(pl.col("chosen").is_not_null()).select("data_provider", "chosen").iter_rows()) == {
        "far": 1,
        "opposite": 2,
    }
    assert of(table, "far")["frechet_to_first"] == 0.0
    assert of(table, "far")["reason"] == (
        "chosen first, the farthest from the whole (eligible: share 6.03%, 2 bits of object types)"
    )
    assert of(table, "stamps")["frechet_to_whole"] > of(table, "far")["frechet_to_whole"]
    assert of(table, "stamps")["reason"] == "0 bits of object types are fewer than 1: images of too few kinds"
    assert of(table, "big")["reason"] == "share 75.41% is above 8.00%"
    assert of(table, "tiny")["fewer_images_than_dimensions"] is True
    assert of(table, "tiny")["low"] is None
    assert of(table, "far")["low"] < of(table, "far")["frechet_to_whole"] < of(table, "far")["high"]
    assert of(table, "stamps")["kid_rank"] == 1


def test_the_second_may_be_the_nearest():
    table = provider_distances(*museum(), RANGE.model_copy(update={"second_rule": "nearest"}))
    assert of(table, "near")["chosen"] == 2


def test_the_rows_order_and_their_cut_into_files_change_nothing(tmp_path):
    features, *others = museum()
    expected = provider_distances(features, *others, RANGE)
    shuffled = [table.sample(fraction=1.0, shuffle=True, seed=3) for table in (features, *others)]
    assert provider_distances(*shuffled, RANGE).equals(expected)
    for number, part in enumerate(shuffled[0].iter_slices(100)):
        features_table(12).write(part, tmp_path / f"part-{number:05d}.parquet")
    assert provider_distances(tmp_path, *others, RANGE).equals(expected)


def test_every_extractor_has_its_rows_and_inception_decides():
    table = provider_distances(*museum(("dinov2", "inception")), RANGE)
    assert table["extractor"].to_list() == ["dinov2", "inception"] * 6
    assert of(table.filter(pl.col("extractor") == "dinov2"), "far")["chosen"] == 1


def test_the_chosen_stay_chosen_unless_reselected():
    before = provider_distances(*museum(), RANGE).with_columns(
        chosen=pl.when(pl.col("data_provider") == "near").then(1).when(pl.col("data_provider") == "tiny").then(2)
    )
    kept = provider_distances(*museum(), RANGE, previous=before)
    assert (of(kept, "near")["chosen"], of(kept, "tiny")["chosen"]) == (1, 2)
    assert of(kept, "tiny")["reason"] == "chosen before, and kept (share 0.45% is below 2.00%)"
    again = provider_distances(*museum(), RANGE.model_copy(update={"reselect": True}), previous=before)
    assert of(again, "far")["chosen"] == 1


def test_the_earlier_splits_tell_who_was_chosen():
    splits = pl.DataFrame({"split": ["train", "outer_test", "outer_test"], "suite": ["train", "b", "a"]})
    assert chosen_before(splits) == ["a", "b"]


def test_where_too_few_are_diverse_the_next_by_entropy_are_let_in_and_say_so():
    marked = mark_eligible(sizes([("a", 0.03, 0.2), ("b", 0.03, 0.9), ("c", 0.03, 1.5), ("d", 0.5, 3.0)]), RULES)
    assert marked["eligible"].to_list() == [False, True, True, False]
    assert marked["reason"].to_list()[1] == (
        "relaxed: 0.9 bits of object types, but fewer than 2 providers in range reach 1"
    )


def test_ties_go_by_name():
    marked = mark_eligible(sizes([("b", 0.03, 2.0), ("a", 0.03, 2.0), ("c", 0.03, 2.0)]), RULES)
    table = marked.with_columns(frechet_to_whole=pl.lit(7.0))
    assert choose(table, lambda name: [1.0, 1.0, 1.0], RULES) == ["a", "b"]


def test_no_provider_in_range_means_no_outer_test():
    marked = mark_eligible(sizes([("a", 0.6, 2.0), ("b", 0.4, 2.0)]), RULES)
    assert choose(marked.with_columns(frechet_to_whole=pl.lit(7.0)), lambda name: [], RULES) == []


def test_an_image_without_features_is_named():
    features, *others = museum()
    with pytest.raises(DistanceError, match="1 images have no inception features, for example far-7;"):
        provider_distances(features.filter(pl.col("image_id") != "far-7"), *others, RANGE)


def test_exact_duplicates_of_a_provider_count_once():
    features, images, records, record_tags = museum()
    copies = images.filter(pl.col("record_id").str.starts_with("/far/")).with_columns(view=pl.lit(1, dtype=pl.Int64))
    again = provider_distances(features, pl.concat([images, copies]), records, record_tags, RANGE)
    assert again.equals(provider_distances(features, images, records, record_tags, RANGE))
