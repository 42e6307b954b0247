"""Curation of a million synthetic records: both fixed points, with a label distribution shaped like the paper's."""

import argparse
import json
import resource
import time

import numpy as np
import polars as pl

from pipeline import FACETS
from pipeline.curation.curate import curate_usable, select_records
from pipeline.settings import CurationSettings
from pipeline.tables import CONCEPT_ALIGNMENTS, CONCEPTS, CORRECTIONS, RECORD_TAGS, TOMBSTONES
from pipeline.vocabulary.facets import Rules

# Concepts per facet: three times the paper's tags, so that the rule of few images has work to do.
CONCEPTS_PER_FACET = (2_730, 828, 99, 8)
# Paper, section 3: images with one, two, three and four facets annotated.
FACETS_PER_IMAGE = (78_948, 215_196, 51_734, 446)
# How often a facet is among those annotated; subjects and classifications are rare in the published rows.
FACET_WEIGHTS = (0.52, 0.40, 0.05, 0.03)
PROVIDERS = 358  # paper


def synthetic_concepts(random: np.random.Generator) -> pl.DataFrame:
    """A forest per facet below one root: each concept hangs under a random earlier one, as deep as the AAT's."""
    rows = []
    for number, (facet, n) in enumerate(zip(FACETS, CONCEPTS_PER_FACET, strict=True)):
        ids = [f"3{number}{place:07d}" for place in range(n + 1)]
        for place in range(n + 1):
            parent = None if place == 0 else ids[int(random.integers(0, min(place, 1 + place // 2)))]
            rows.append(
                {
                    "concept_id": ids[place],
                    "kind": "facet" if place == 0 else "concept",
                    "facet": facet,
                    "preferred_parent": parent,
                    "parents": [parent] if parent else [],
                    "labels": [{"language": "en", "text": f"{facet} {place}"}],
                }
            )
    return CONCEPTS.frame(rows)


def synthetic_records(n: int, concepts: pl.DataFrame, random: np.random.Generator) -> pl.DataFrame:
    """Records with one to four annotated facets and one to three tags in each, concepts drawn by Zipf's law."""
    n_facets = random.choice(4, n, p=np.array(FACETS_PER_IMAGE) / sum(FACETS_PER_IMAGE)) + 1
    # Gumbel's trick: the first n_facets of a random weighted order are annotated
    order = np.argsort(-(np.log(FACET_WEIGHTS) + random.gumbel(size=(n, 4))), axis=1)
    rows, uris = [], []
    for place in range(4):
        has = np.flatnonzero(n_facets > place)
        times = random.choice(3, len(has), p=(0.6, 0.28, 0.12)) + 1
        row = np.repeat(has, times)
        facet = order[row, place]
        for number, name in enumerate(FACETS):
            ids = concepts.filter((pl.col("facet") == name) & (pl.col("kind") == "concept"))["concept_id"]
            weights = 1 / np.arange(1, len(ids) + 1) ** 1.05
            drawn = random.choice(len(ids), int((facet == number).sum()), p=weights / weights.sum())
            shuffled = random.permutation(len(ids))[drawn]
            rows.append(row[facet == number])
            uris.append("http://vocab.getty.edu/aat/" + ids.gather(shuffled))
    stated = pl.DataFrame({"row": np.concatenate(rows), "uri": pl.concat(uris)})
    lists = stated.group_by("row").agg(concept_uris=pl.col("uri").unique().sort()).sort("row")
    provider = np.minimum(random.zipf(1.3, n) - 1, PROVIDERS - 1)
    numbers = pl.Series("number", np.arange(n))
    return pl.DataFrame(
        {
            "record_id": numbers.cast(pl.String)
            .str.pad_start(7, "0")
            .to_frame()
            .select(pl.format("/2048{}/object_DE_{}", pl.col("number").str.slice(0, 3), pl.col("number")))
            .to_series(),
            "data_provider": pl.Series([f"Museum {each}" for each in range(PROVIDERS)]).gather(provider),
            "rights_uri": pl.Series(
                ["http://creativecommons.org/publicdomain/mark/1.0/", "http://rightsstatements.org/vocab/InC/1.0/"]
            ).gather((random.random(n) < 0.05).astype(np.int64)),
            "concept_uris": lists["concept_uris"],
        }
    ).with_columns(
        image_url=pl.format("https://museum.example{}.jpg", "record_id"),
        thumbnail_url=pl.format("https://thumbnails.example{}.jpg", "record_id"),
        type_uris=pl.lit([], dtype=pl.List(pl.String)),
        subject_uris=pl.lit([], dtype=pl.List(pl.String)),
    )


def peak_mb() -> float:
    """Peak resident memory of this process so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Print one JSON line; the time counts both curation steps, not the drawing of the records."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=1_000_000)
    n = parser.parse_args().n
    random = np.random.default_rng(340)
    concepts = synthetic_concepts(random)
    records = synthetic_records(n, concepts, random)
    alignments = CONCEPT_ALIGNMENTS.frame(
        [
            {"uri": f"http://vocab.getty.edu/aat/{each}", "concept_id": each, "evidence": "direct", "match": "exact"}
            for each in concepts["concept_id"]
        ]
    )
    settings, rules = CurationSettings(), Rules(dict.fromkeys(FACETS, ""), ())
    drawn_mb = peak_mb()
    start = time.perf_counter()
    selection = select_records(records, alignments, concepts, TOMBSTONES.empty(), CORRECTIONS.empty(), rules, settings)
    selected_s = time.perf_counter() - start
    # Three images in a hundred are lost, two in a hundred are exact duplicates of another.
    kept = selection.selected_records["record_id"]
    duplicate_of = np.where(
        random.random(len(kept)) < 0.02, random.integers(0, len(kept), len(kept)), np.arange(len(kept))
    )
    images = pl.DataFrame({"record_id": kept, "image_id": pl.Series(duplicate_of).cast(pl.String)}).filter(
        pl.Series(random.random(len(kept)) >= 0.03)
    )
    start = time.perf_counter()
    curated = curate_usable(selection.record_tags, images, concepts, settings)
    usable_s = time.perf_counter() - start
    curated_mb = peak_mb()
    start = time.perf_counter()
    RECORD_TAGS.conform(curated.record_tags)
    conform_s = time.perf_counter() - start
    print(
        json.dumps(
            {
                "name": "curation",
                "n": n,
                "ours_s": round(selected_s + usable_s, 2),
                "peer": None,
                "peer_version": None,
                "peer_s": None,
                "ratio": None,
                "ours_rss_mb": round(curated_mb),
                "peer_rss_mb": None,
                "note": f"{selection.record_tags.height} record tags selected in {selected_s:.1f} s, "
                f"{curated.record_tags.height} kept on usable images in {usable_s:.1f} s, {curated.tags.height} tags; "
                f"{drawn_mb:.0f} MB before curation; casting and sorting the table takes {conform_s:.1f} s more, "
                f"{peak_mb():.0f} MB",
            }
        )
    )


if __name__ == "__main__":
    main()
