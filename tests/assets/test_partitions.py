"""Partition keys are plain words, one for one with the keyword collections."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.partitions import collection_key, collection_of, collections_partitions
from pipeline.settings import full


@given(st.text())
def test_a_key_is_letters_digits_and_underscores(collection: str):
    assert re.fullmatch(r"[a-z0-9_]+", collection_key(collection))


def test_the_published_collections_have_distinct_keys_that_lead_back():
    settings = full()
    keys = collections_partitions(settings).get_partition_keys()
    assert len(keys) == len(set(keys)) == 17
    assert [collection_of(key, settings) for key in keys] == list(settings.harvest.collections)


@pytest.mark.parametrize(("collection", "key"), [("*", "everything"), ("art of sculpture", "art_of_sculpture")])
def test_known_keys(collection: str, key: str):
    assert collection_key(collection) == key
