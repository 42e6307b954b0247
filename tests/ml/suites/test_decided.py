"""Ten decisions on a new tag: drawn from different groups, counted on others, and taken back."""

import numpy as np
import pytest
import torch

from ml.suites.collection import Collection
from ml.suites.decided import DECISIONS, Mixture, decide, drawn, measured, recall, with_held_out
from ml.suites.task import Task
from pipeline.settings import SUITES
from pipeline.splits.suites import splits_of
from tests.ml.suites.conftest import make_collection

SEED = 3


@pytest.fixture(scope="module")
def clear() -> Collection:
    """240 images whose features show their tags."""
    return make_collection(240, seen=3.0)


@pytest.fixture(scope="module")
def split(clear: Collection):
    """A part of the new tags, with the pictures that are held out."""
    parts = splits_of(SUITES["new_tags"], clear.annotated, SEED)
    return with_held_out(parts[0], clear, SEED)


def test_decided_and_other_pictures_of_a_tag_share_no_group(clear: Collection):
    for tag in range(6):
        decided, others = drawn(clear, tag, SEED)
        groups = clear.annotated.groups
        assert len(set(groups[decided])) == len(decided) == DECISIONS
        assert not set(groups[decided]) & set(groups[others])
        assert clear.annotated.tags[np.concatenate([decided, others]), tag].all()


def test_held_out_pictures_are_not_trained_on_and_have_no_new_tag(clear: Collection, split):
    chosen, held_out = split
    groups = clear.annotated.groups
    assert len(held_out)
    assert not set(groups[chosen.train]) & set(groups[chosen.test])
    assert set(held_out) <= set(chosen.test)
    assert not clear.annotated.tags[np.ix_(held_out, chosen.asked)].any()
    assert not clear.annotated.tags[np.ix_(chosen.train, chosen.asked)].any()


def test_recall_counts_the_five_best_of_the_facet_alone():
    answers = np.array([[0, 0, 9, 8, 7, 6, 5, 4], [0, 0, 4, 5, 6, 7, 8, 9], [9, 9, 1, 1, 1, 1, 1, 1]], np.float32)
    assert [recall(answers, (2, 6), place) for place in (2, 7, 0)] == [pytest.approx(2 / 3), pytest.approx(1 / 3), 1.0]


def test_ten_decisions_make_a_tag_likelier_on_its_other_pictures_and_are_taken_back(clear: Collection, split):
    chosen, held_out = split
    mixture = Mixture(Task(clear, chosen, 16, SEED), None)
    before = {name: tensor.clone() for name, tensor in mixture.memory.state_dict().items()}
    answers = mixture.answers()
    for tag in chosen.asked:  # the facets' tags stand in the order of the columns
        decided, others = drawn(clear, tag, SEED)
        asked = mixture.vectors(others), mixture.groups(others)
        unknown = torch.cat(mixture.memory(*asked), 1)[:, tag]
        decide(mixture, tag, decided)
        assert (torch.cat(mixture.memory(*asked), 1)[:, tag] > unknown + 5).all()  # natural logs of shares
        assert not np.array_equal(mixture.answers()[:, tag], answers[:, tag])
        mixture.memory.forget(range(DECISIONS))
    assert all(each.others >= 5 and 0 <= each.recall_after <= 1 for each in measured(mixture, held_out, SEED))
    assert all(torch.equal(before[name], tensor) for name, tensor in mixture.memory.state_dict().items())
    assert np.array_equal(mixture.answers(), answers)
