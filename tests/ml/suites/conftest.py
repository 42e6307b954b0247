"""A collection whose features show its tags, from three providers that hold them in different shares."""

import numpy as np
import pytest

from ml.dataset.tag_list import FacetTags
from ml.suites.collection import Collection, FacetTruth
from pipeline.splits.suites import Annotated

# facet -> labels with their parents, as positions
TREES = {
    "object_types": (["vessels", "bowls", "jars", "cups"], (-1, 0, 0, 0)),
    "subjects": (["landscapes", "portraits"], (-1, -1)),
}


def make_collection(n: int = 180, *, seed: int = 0, seen: float = 1.0) -> Collection:
    """`n` images with a bowl, a jar or a cup each; two of them share a group. `seen`: how clear the features are."""
    generator = np.random.default_rng(seed)
    providers = generator.choice(["Aa", "Bb", "Cc"], n)
    kind = np.array([generator.choice(3, p=[0.6, 0.3, 0.1] if p == "Aa" else [0.2, 0.3, 0.5]) for p in providers])
    subject = generator.integers(0, 2, n)
    tags = np.zeros((n, 6), bool)
    tags[:, 0] = True
    tags[np.arange(n), 1 + kind] = True
    tags[np.arange(n), 4 + subject] = generator.random(n) < 0.8
    facets, listed, position = {}, [], 0
    for facet, (labels, parents) in TREES.items():
        ids = tuple(f"30000{position + at:04d}" for at in range(len(labels)))
        tag_list = FacetTags(facet, ids, tuple(labels), parents, (0,) * len(ids))
        facets[facet] = FacetTruth(tag_list, np.arange(position, position + len(ids)), tuple(labels))
        listed += [(tag, facet, at not in parents) for at, tag in enumerate(ids)]
        position += len(ids)
    signal = np.hstack([np.eye(3)[kind], np.eye(2)[subject], np.eye(3)[np.unique(providers, return_inverse=True)[1]]])
    vectors = seen * signal @ generator.normal(size=(8, 24)) + 0.3 * generator.normal(size=(n, 24))
    groups = np.array([f"/{at // 2:04d}#0" for at in range(n)])
    columns = [np.array(column) for column in zip(*listed, strict=True)]
    annotated = Annotated(groups, providers, tags, *columns)
    return Collection(annotated, vectors.astype(np.float16), facets)


@pytest.fixture(scope="session")
def collection() -> Collection:
    """180 images, six tags in two facets."""
    return make_collection()
