"""Answers in words, as a language model gives them, as a predictions folder that `eufcc evaluate` scores.

One line of JSON per image and facet: `record_id`, `view`, `facet`, `tags`, the named tags with the surest first.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from ml.dataset.ground_truth import Dataset, EvaluationError, Truth, load_truth
from ml.dataset.open import load_dataset
from ml.dataset.prediction_files import write_predictions
from ml.dataset.tag_list import QUALIFIER, FacetTags
from pipeline.text_files import read_text
from pipeline.texts import loads

NOT_NAMED = -1000.0  # below every named tag: exact in float16, as the places 0, -1, -2 … are


class Answer(BaseModel):
    """A line of the file."""

    model_config = ConfigDict(extra="forbid")

    record_id: str
    view: int = 0
    facet: str
    tags: list[str]


@dataclass
class Counts:
    """What the answers held: named tags, those that are not in the list by name, and images without an answer."""

    named: int = 0
    unknown: Counter[str] = field(default_factory=Counter)
    unanswered: int = 0


def predictions_of(answers: Path, release: Path, folder: Path, split: str = "inner_test") -> Counts:
    """Write the answers' predictions for a split of a dataset or release into `folder`; returns what was counted.

    A tag is named by its English label, with or without a qualifier in brackets, or by its id, whatever the case; one
    that is named brings those above it. Named tags rank in their order, all others tie below them. Raises
    EvaluationError for a line that cannot be read, an unknown facet, an image of another split, and a second answer.
    """
    dataset = load_dataset(release)
    truth = load_truth(dataset, split)
    counts = Counts()
    given = _by_image(_read(answers), dataset, truth)
    scores = {
        facet: _scores(given, facet, tags, len(truth.record_ids), counts)
        for facet, tags in dataset.facets.items()
        if len(tags)
    }
    write_predictions(scores, truth, dataset, folder, baseline=folder.name, seed=0, logarithms=False)
    return counts


def _read(file: Path) -> Iterator[tuple[int, Answer]]:
    # Only line feeds and carriage returns end a line of JSON; str.splitlines would divide texts, at U+2028 for example.
    for number, line in enumerate(StringIO(read_text(file, EvaluationError), newline=None), start=1):
        if line.strip():
            try:
                yield number, Answer.model_validate(loads(line))
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(map(str, first["loc"])) or "the line"
                raise EvaluationError(f"{file}, line {number}: {where}: {first['msg']}.") from error
            except ValueError as error:
                raise EvaluationError(f"{file}, line {number}, is no JSON ({error}): write it again.") from error


def _by_image(
    answers: Iterator[tuple[int, Answer]], dataset: Dataset, truth: Truth
) -> dict[tuple[str, int], list[str]]:
    """Named tags by facet and position of the image."""
    position = {key: at for at, key in enumerate(zip(truth.record_ids, truth.views, strict=True))}
    given: dict[tuple[str, int], list[str]] = {}
    for number, answer in answers:
        at = position.get((answer.record_id, answer.view))
        if answer.facet not in dataset.facets:
            raise EvaluationError(f"Line {number}: no facet `{answer.facet}`; there are {', '.join(dataset.facets)}.")
        if at is None:
            raise EvaluationError(f"Line {number}: {answer.record_id} view {answer.view} is not in {truth.name}.")
        if (answer.facet, at) in given:
            raise EvaluationError(f"Line {number}: a second answer for {answer.record_id}, {answer.facet}: keep one.")
        given[answer.facet, at] = answer.tags
    return given


def _scores(
    given: Mapping[tuple[str, int], list[str]], facet: str, tags: FacetTags, images: int, counts: Counts
) -> np.ndarray:
    """Minus the place of each named tag, images x tags; a tag above a named one stands before it."""
    names, scores = _names(tags), np.full((images, len(tags)), NOT_NAMED, np.float32)
    for image in range(images):
        answer = given.get((facet, image))
        counts.unanswered += answer is None
        ranked: list[int] = []
        for name in answer or ():
            tag = names.get(_plain(name), names.get(_plain(QUALIFIER.sub("", name))))
            counts.named += 1
            if tag is None:
                counts.unknown[name] += 1
            else:
                ranked += [above for above in tags.paths[tag] if above not in ranked]
        scores[image, ranked] = -np.arange(len(ranked), dtype=np.float32)
    return scores


def _names(tags: FacetTags) -> dict[str, int]:
    """The names of tags; a label that two tags share names neither."""
    named: dict[str, int] = {}
    shared = {label for label, count in Counter(map(_plain, tags.labels)).items() if count > 1}
    for tag, (tag_id, label) in enumerate(zip(tags.tag_ids, tags.labels, strict=True)):
        named[_plain(tag_id)] = tag
        if _plain(label) not in shared:
            named[_plain(label)] = tag
    return named


def _plain(name: str) -> str:
    return " ".join(name.casefold().split())
